"""Parts of the page: a callback with its controls and outputs, places for images and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

Component = gr.components.Component
# Values reach our functions unchanged: inputs.py and the core check them, with clearer messages.
PUBLIC: dict[str, Any] = {"preprocess": False, "show_progress": "hidden", "trigger_mode": "always_last"}
PRIVATE: dict[str, Any] = {**PUBLIC, "api_visibility": "private"}  # the page's own plumbing
# Events that say where was clicked: gradio's "always_last" calls again with the data of an earlier one.
CLICKED: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple"}
# gradio empties an image when another is dropped on it, too, and says the same as when its button was pressed, which
# address.js notes. The second value says which it was. amend.js brings back what a refused one has emptied.
BY_HAND = "(record, _) => [record, Date.now() - (globalThis.dcalPressed ?? 0) < 2000 ? 'by hand' : '']"


@dataclass(frozen=True)
class ViewBinding:
    """One callback, the controls that it reads, and the images and sentences that it fills."""

    function: Callable[..., Any]
    inputs: Sequence[Component]
    outputs: Sequence[Component]

    def on(self, *triggers: Any, name: str) -> None:
        """Draw at any of the `triggers`; `name` is the API endpoint's."""
        gr.on(list(triggers), self.function, list(self.inputs), list(self.outputs), api_name=name, **PUBLIC)

    def privately(self, *triggers: Any) -> None:
        """Draw at any of the `triggers`, without an endpoint."""
        gr.on(list(triggers), self.function, list(self.inputs), list(self.outputs), **PRIVATE)

    def endpoint(self, name: str) -> None:
        """An endpoint of the API without an event of its own in the page."""
        self.on(gr.Button(visible=False).click, name=name)

    def after(self, event: Any) -> Any:
        """Draw when `event` has succeeded."""
        return event.success(self.function, list(self.inputs), list(self.outputs), **PRIVATE)

    def draw(self, values: dict[Component, Any]) -> dict[Component, Any]:
        """Its outputs for these values of the controls."""
        return dict(zip(self.outputs, self.function(*(values[control] for control in self.inputs)), strict=True))


def drawing(name: str, clickable: bool = False) -> gr.Image:
    """An output for a drawn image."""
    return gr.Image(
        label=name,
        show_label=False,
        interactive=False,
        format="jpeg",
        buttons=["fullscreen"],
        elem_id=name.lower().replace(" ", "-"),
        elem_classes=["drawn", "clickable"] if clickable else ["drawn"],
    )


def on_removed(
    image: gr.Image,
    clear: Callable[..., Any],
    record: gr.State,
    outputs: Sequence[Component],
    shown: Callable[[str | None], Any],
) -> Any:
    """The event of a visitor taking `image` away: `clear`, which takes the record, fills `outputs`.

    When another image is dropped on it, what is shown stays until that is inspected, or for good if it cannot be. One
    that is too large gradio itself refuses, without an event: amend.js then has `shown(record)` put back.
    """

    def removed(record: str | None, by_hand: str) -> Any:
        return clear(record) if by_hand else (gr.skip(),) * len(outputs)

    again = gr.Button("The image again", visible="hidden", elem_id=f"{image.elem_id}-again")
    again.click(shown, record, image, **PRIVATE)
    return image.clear(removed, [record, gr.Textbox(visible=False)], list(outputs), js=BY_HAND, **PRIVATE)


def sentence(name: str) -> gr.Markdown:
    """An output for the caption of an image."""
    return gr.Markdown(label=name, elem_id=name.lower().replace(" ", "-"), elem_classes="sentence")


def image_and_samples(
    samples: Sequence[Path], height: int, image_id: str, samples_id: str
) -> tuple[gr.Image, gr.Dataset]:
    """Where a visitor puts an image (the first sample is there already), and the samples to choose from below it."""
    image = gr.Image(
        str(samples[0]) if samples else None,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Image: upload, paste or drop",
        height=height,
        buttons=["fullscreen"],
        elem_id=image_id,
    )
    thumbnails = gr.Dataset(
        components=[gr.Image(visible=False, type="filepath")],
        samples=[[str(path)] for path in samples],
        label="Samples",
        type="index",
        elem_id=samples_id,
    )
    return image, thumbnails

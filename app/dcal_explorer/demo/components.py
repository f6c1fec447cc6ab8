"""A view of an inspected image: its controls, its outputs, and the callback that draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from dcal import Inspection

Component = gr.components.Component
# Values reach our functions unchanged: inputs.py and the core check them, with clearer messages.
PUBLIC: dict[str, Any] = {"preprocess": False, "show_progress": "hidden", "trigger_mode": "always_last"}
PRIVATE: dict[str, Any] = {**PUBLIC, "api_visibility": "private"}  # the page's own plumbing


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


@dataclass(frozen=True, kw_only=True)
class View:
    """A tab, what it draws while it is open, and how its controls are fitted to a new record.

    `fits`: control → function of (record, its value now) that gives the control's update. `applies`: whether a record
    has anything to show here; the tab is hidden otherwise.
    """

    tab: gr.Tab
    drawings: Sequence[ViewBinding]
    fits: dict[Any, Callable[[Inspection, Any], Any]] = field(default_factory=dict)
    applies: Callable[[Inspection], bool] = lambda seen: True


@dataclass(frozen=True, kw_only=True)
class LayersView(View):
    """Also the image in which a patch can be clicked."""

    whole: gr.Image


@dataclass(frozen=True, kw_only=True)
class TokenView(View):
    """Also the controls of the patch, (row, column)."""

    place: tuple[gr.Number, gr.Number]


@dataclass(frozen=True, kw_only=True)
class LiveViewTab(View):
    """Also the control of the class whose evidence it shows."""

    target: gr.Dropdown


def picture(name: str, clickable: bool = False) -> gr.Image:
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


def sentence(name: str) -> gr.Markdown:
    """An output for the caption of an image."""
    return gr.Markdown(label=name, elem_id=name.lower().replace(" ", "-"), elem_classes="sentence")


def fit_layer(seen: Inspection, now: float) -> Any:
    """A layer slider for this record's model; it keeps its value if that exists."""
    return gr.update(maximum=seen.num_layers, value=min(int(now), seen.num_layers))

"""A view of an inspected picture: its controls, its pictures, and the callback that draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from dcal import Inspection

Component = gr.components.Component
# Values go to our functions as they came: the core checks them, and says more plainly what is wrong with them.
PUBLIC: dict[str, Any] = {"preprocess": False, "show_progress": "hidden", "trigger_mode": "always_last"}
PRIVATE: dict[str, Any] = {**PUBLIC, "api_visibility": "private"}  # the page's own plumbing


@dataclass(frozen=True)
class ViewBinding:
    """One callback of the explorer, the controls that it reads, and the pictures and sentences that it fills."""

    function: Callable[..., Any]
    inputs: Sequence[Component]
    outputs: Sequence[Component]

    def on(self, *triggers: Any, name: str) -> None:
        """Draw at any of the `triggers`; `name` is the API endpoint's."""
        gr.on(list(triggers), self.function, list(self.inputs), list(self.outputs), api_name=name, **PUBLIC)

    def after(self, event: Any) -> Any:
        """Draw when `event` has succeeded."""
        return event.success(self.function, list(self.inputs), list(self.outputs), **PRIVATE)

    def draw(self, values: dict[Component, Any]) -> dict[Component, Any]:
        """What its outputs become, given what the controls say."""
        return dict(zip(self.outputs, self.function(*(values[control] for control in self.inputs)), strict=True))


@dataclass(frozen=True, kw_only=True)
class View:
    """A tab, what it draws while it is open, and how its controls fit themselves to a new record.

    `fits`: control → function of (record, its value now) that gives the control's update.
    """

    tab: gr.Tab
    drawings: Sequence[ViewBinding]
    fits: dict[Any, Callable[[Inspection, Any], Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LayersView(View):
    """Also the picture in which a patch can be clicked, and the layer that it shows."""

    whole: gr.Image
    layer: gr.Slider


@dataclass(frozen=True, kw_only=True)
class TokenView(View):
    """Also the controls that say which layer and which patch, (row, column)."""

    layer: gr.Slider
    place: tuple[gr.Number, gr.Number]


def picture(name: str, clickable: bool = False) -> gr.Image:
    """A place for a drawn picture."""
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
    """A place for what a picture says."""
    return gr.Markdown(label=name, elem_id=name.lower().replace(" ", "-"), elem_classes="sentence")


def fit_layer(seen: Inspection, now: float) -> Any:
    """A layer slider for this record's model; it stays where it is if it can."""
    return gr.update(maximum=seen.num_layers, value=min(int(now), seen.num_layers))

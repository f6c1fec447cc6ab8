"""The tab "Inspect": on the left the photo and what the model says, on the right the views of what it looks at.

Every event that answers a person is an API endpoint with a name that a person would guess. Only the view that is open
is drawn; opening another, a new picture, or another look draws it from the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dcal import Inspection, draw
from dcal_explorer.content import captions
from dcal_explorer.demo import inspect_views
from dcal_explorer.demo.components import PRIVATE, PUBLIC, LayersView, TokenView, View
from dcal_explorer.demo.events import ClickHandlers
from dcal_explorer.demo.inspect_callbacks import InspectCallbacks

# The visible button makes the file; the hidden one then hands it over.
CLICK = "() => setTimeout(() => document.querySelector('#{}').click(), 200)"


def build(page: gr.Blocks, explorer: InspectCallbacks, samples: Sequence[Path], first: Inspection) -> None:
    """Lay the tab out inside `page`, its controls fit for the record `first`. It opens with the first sample."""
    record, names = gr.State(), explorer.shelf.names()
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            photo = gr.Image(
                str(samples[0]) if samples else None,
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                label="Photo: upload, paste or drop",
                height=280,
                buttons=["fullscreen"],
                elem_id="photo",
            )
            thumbnails = gr.Dataset(
                components=[gr.Image(visible=False, type="filepath")],
                samples=[[str(path)] for path in samples],
                label="Samples",
                type="index",
                elem_id="samples",
            )
            checkpoint = gr.Dropdown(names, value=names[0], label="Checkpoint", elem_id="checkpoint")
            summary = gr.Markdown(captions.EMPTY, label="summary", elem_id="summary")
            predictions = gr.JSON(label="predictions", visible=False)
            bars = gr.HTML(elem_id="predictions")
        with gr.Column(scale=8, min_width=320):
            stage = InspectViews(explorer, record, bars, first)
    picked = thumbnails.click(lambda index: str(samples[index]), thumbnails, photo, **PRIVATE)
    call = explorer.inspect, [photo, checkpoint, record], [record, predictions, summary]
    progress = {"show_progress": "minimal", "show_progress_on": photo}
    # Not photo.change, which fires twice for some pictures, nor photo.clear, which a picture dropped on another fires.
    asked = [page.load, photo.upload, checkpoint.change]
    for looked in (
        gr.on(asked, *call, api_name="inspect", **{**PUBLIC, **progress}),
        picked.success(*call, **{**PRIVATE, **progress}),
    ):
        looked.success(stage.settle, stage.inputs, stage.settled, **PRIVATE)
        emptied = looked.failure(stage.empty, None, [photo, record, summary], **PRIVATE)
        emptied.success(stage.settle, stage.inputs, stage.settled, **PRIVATE)


class InspectViews:
    """All views of the record, and what they share: how maps are coloured, and the downloads."""

    def __init__(self, explorer: InspectCallbacks, record: gr.State, bars: gr.HTML, first: Inspection) -> None:
        self.explorer, self.record, self.bars = explorer, record, bars
        self.open = gr.State("layers")
        with gr.Row(elem_classes="controls"):
            colormap = gr.Dropdown(list(draw.COLORMAPS), value=draw.COLORMAPS[0], label="Colour map", min_width=120)
            opacity = gr.Slider(0, 1, 0.6, step=0.05, label="Opacity", min_width=200, buttons=[])
            smooth = gr.Checkbox(False, label="Smooth between patches")
        look: list[Any] = [colormap, opacity, smooth]
        with gr.Tabs(elem_id="views") as self.tabs:
            layers = inspect_views.layers(explorer, record, look, first)
            heads = inspect_views.heads(explorer, record, look, first)
            token = inspect_views.token(explorer, record, look, first)
            compare = inspect_views.compare(explorer, record, look)
            select = inspect_views.select(explorer, record, first)
            evidence = inspect_views.evidence(explorer, record, look, first)
        self.views: dict[str, View] = {str(v.tab.id): v for v in (layers, heads, token, compare, select, evidence)}
        drawings = [drawing for view in self.views.values() for drawing in view.drawings]
        self.inputs: set[Any] = {record, self.open, *(control for drawing in drawings for control in drawing.inputs)}
        self.outputs: set[Any] = {output for drawing in drawings for output in drawing.outputs}
        self.settled = {bars, *self.outputs, *(control for view in self.views.values() for control in view.fits)}
        self._wire(look, layers, token)
        self._downloads()

    def _wire(self, look: Sequence[Any], layers: LayersView, token: TokenView) -> None:
        """What redraws the open view, and the click on a layer that opens the view of patches."""
        gr.on([control.input for control in look], self.redraw, self.inputs, self.outputs, **PRIVATE)
        clicked = layers.whole.select(
            ClickHandlers(self.explorer.records).patch_from_layer,
            [self.record, layers.layer],
            [*token.place, token.layer, self.tabs, self.open],
            **PRIVATE,
        )
        opened = [
            view.tab.select(lambda name=name: name, None, self.open, **PRIVATE) for name, view in self.views.items()
        ]
        for event in (clicked, *opened):
            event.success(self.redraw, self.inputs, self.outputs, **PRIVATE)

    def _downloads(self) -> None:
        with gr.Row(elem_classes="controls"):
            for what, label, make in (
                ("picture", "Download this picture (PNG)", self.explorer.download_picture),
                ("record", "Download the record (NPZ)", self.explorer.download_record),
            ):
                button = gr.Button(label, size="md", elem_id=f"download-{what}", min_width=200)
                file = gr.DownloadButton(f"{what} file", visible="hidden", elem_id=f"{what}-file")
                made = button.click(make, self.record, file, api_name=f"download_{what}", **PUBLIC)
                made.success(None, None, None, js=CLICK.format(f"{what}-file"))

    def empty(self) -> tuple[None, None, str]:
        """No photo, no record, and what to do."""
        return None, None, captions.EMPTY

    def settle(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """After a new record: the predictions, every control fitted to it, and the open view drawn."""
        if not values[self.record]:
            return {self.bars: "", **{place: None for place in self.outputs}}
        seen = self.explorer.records.get(values[self.record]).seen
        fitted = {c: fit(seen, values[c]) for view in self.views.values() for c, fit in view.fits.items()}
        now = values | {control: update["value"] for control, update in fitted.items()}
        return {self.bars: captions.bars(captions.top(seen)), **fitted, **self.redraw(now)}

    def redraw(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """The open view's pictures and sentences; nothing without a record."""
        if not values[self.record]:
            return {place: gr.skip() for place in self.outputs}
        drawn: dict[Any, Any] = {}
        for drawing in self.views[values[self.open]].drawings:
            drawn |= drawing.draw(values)
        return drawn

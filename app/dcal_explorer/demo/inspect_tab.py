"""The tab "Inspect": on the left the image and the predictions, on the right the views of what the model attends to.

Every event of a visitor is an API endpoint with a name that one would guess. Only the open view is drawn; opening
another one, a new image, or another look draws it from the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dcal import DCALError, Inspection, draw
from dcal_explorer.content import captions, cards
from dcal_explorer.demo import inspect_views
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.components import PRIVATE, PUBLIC, LayersView, LiveViewTab, TokenView, View, fit_layer
from dcal_explorer.demo.events import ClickHandlers, card

# The visible button makes the file; the hidden one then downloads it.
CLICK = "() => setTimeout(() => document.querySelector('#{}').click(), 200)"


def build(page: gr.Blocks, callbacks: InspectCallbacks, samples: Sequence[Path], first: Inspection) -> None:
    """Lay out the tab inside `page`, its controls fitted to the record `first`. It opens with the first sample."""
    record, names = gr.State(), callbacks.library.names()
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            photo = gr.Image(
                str(samples[0]) if samples else None,
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                label="Image: upload, paste or drop",
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
            bars = gr.HTML(elem_id="predictions", js_on_load=cards.CLICK)
        with gr.Column(scale=8, min_width=320):
            views = InspectViews(callbacks, record, bars, first)
    picked = thumbnails.click(lambda index: str(samples[index]), thumbnails, photo, **PRIVATE)
    call = callbacks.inspect, [photo, checkpoint, record], [record, predictions, summary]
    progress = {"show_progress": "minimal", "show_progress_on": photo}
    triggers = [page.load, photo.upload, checkpoint.input]  # not photo.change, which fires twice for some images
    for inspected in (
        gr.on(triggers, *call, api_name="inspect", **{**PUBLIC, **progress}),
        picked.success(*call, **{**PRIVATE, **progress}),
    ):
        inspected.success(views.settle, views.inputs, views.settled, **PRIVATE)
        inspected.failure(views.restore, record, [photo, checkpoint], **PRIVATE)  # the page shows what it had
    # Dropping an image on another one fires this too, before the upload: the maps are cleared for a moment.
    cleared = photo.clear(views.clear, record, [record, summary], **PRIVATE)
    cleared.success(views.settle, views.inputs, views.settled, **PRIVATE)


class InspectViews:
    """All views of the record, and what they share: how maps are drawn, and the downloads."""

    def __init__(self, callbacks: InspectCallbacks, record: gr.State, bars: gr.HTML, first: Inspection) -> None:
        self.callbacks, self.record, self.bars = callbacks, record, bars
        # The live view has controls of its own.
        with gr.Row(elem_classes="controls", visible=False, elem_id="look") as self.controls:
            self.layer = inspect_views.layer_slider(first)
            colormap = gr.Dropdown(list(draw.COLORMAPS), value=draw.COLORMAPS[0], label="Colour map", min_width=120)
            opacity = gr.Slider(0, 1, 0.6, step=0.05, label="Opacity", min_width=200, buttons=[])
            smooth = gr.Checkbox(False, label="Smooth between patches")
        look: list[Any] = [colormap, opacity, smooth]
        self.open = gr.State("live")
        with gr.Tabs(elem_id="views", selected="live") as self.tabs:
            live = inspect_views.live(callbacks, record, first)
            evidence = inspect_views.evidence(callbacks, record, look, first)
            layers = inspect_views.layers(callbacks, record, self.layer, look)
            heads = inspect_views.heads(callbacks, record, self.layer, look)
            token = inspect_views.token(callbacks, record, self.layer, look, first)
            compare = inspect_views.compare(callbacks, record, look)
            select = inspect_views.select(callbacks, record, first)
        every = live, evidence, layers, heads, token, compare, select
        self.views: dict[str, View] = {str(view.tab.id): view for view in every}
        drawings = [drawing for view in self.views.values() for drawing in view.drawings]
        self.inputs: set[Any] = {record, self.open, *(control for drawing in drawings for control in drawing.inputs)}
        self.outputs: set[Any] = {output for drawing in drawings for output in drawing.outputs}
        fitted = {control for view in self.views.values() for control in (view.tab, *view.fits)}
        self.settled = {bars, self.open, self.tabs, self.layer, *self.outputs, *fitted}
        self._wire(look, layers, token, live)
        self._downloads()

    def _wire(self, look: Sequence[Any], layers: LayersView, token: TokenView, live: LiveViewTab) -> None:
        """What redraws the open view, and the clicks that open another one."""
        moved = [control.input for control in (self.layer, *look)]
        gr.on(moved, self.redraw, self.inputs, self.outputs, **PRIVATE)
        clicked = layers.whole.select(
            ClickHandlers(self.callbacks.records).patch_from_layer,
            self.record,
            [*token.place, self.tabs, self.open],
            **PRIVATE,
        )
        named = self.bars.click(self.class_of, None, [live.target, self.tabs, self.open], **PRIVATE)
        opened = [
            view.tab.select(
                lambda name=name: (name, gr.update(visible=name != "live")), None, [self.open, self.controls], **PRIVATE
            )
            for name, view in self.views.items()
        ]
        for event in (clicked, named, *opened):
            event.success(self.redraw, self.inputs, self.outputs, **PRIVATE)

    def _downloads(self) -> None:
        with gr.Row(elem_classes="controls"):
            for what, label, make in (
                ("picture", "Download this image (PNG)", self.callbacks.download_picture),
                ("record", "Download the record (NPZ)", self.callbacks.download_record),
            ):
                button = gr.Button(label, size="md", elem_id=f"download-{what}", min_width=200)
                file = gr.DownloadButton(f"{what} file", visible="hidden", elem_id=f"{what}-file")
                made = button.click(make, self.record, file, api_name=f"download_{what}", **PUBLIC)
                made.success(None, None, None, js=CLICK.format(f"{what}-file"))

    def class_of(self, event: gr.EventData) -> tuple[str, Any, str]:
        """The class of a prediction that was clicked, whose evidence the live view then shows."""
        return card(event), gr.Tabs(selected="live"), "live"

    def clear(self, record: str | None) -> tuple[None, str]:
        """After the image was removed: no record, and what to do."""
        self.callbacks.records.let_go(record or "")
        return None, captions.EMPTY

    def restore(self, record: str | None) -> tuple[Any, Any]:
        """After a failure: the image and the checkpoint of the record that the page still shows, if there is one."""
        try:
            entry = self.callbacks.records.get(record)
        except DCALError:
            return None, gr.skip()
        return gr.skip() if entry.path is None else str(entry.path), entry.checkpoint

    def settle(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """After a new record: the predictions, every control fitted to it, and the open view drawn.

        Views that the record has nothing for are hidden; the first other one is then opened instead.
        """
        if not values[self.record]:
            return {self.bars: "", **{place: None for place in self.outputs}}
        seen = self.callbacks.records.get(values[self.record]).seen
        fitted = {c: fit(seen, values[c]) for view in self.views.values() for c, fit in view.fits.items()}
        fitted[self.layer] = fit_layer(seen, values[self.layer])
        shown = {name: view.applies(seen) for name, view in self.views.items()}
        opened = values[self.open] if shown[values[self.open]] else next(name for name in shown if shown[name])
        now = values | {control: update["value"] for control, update in fitted.items()} | {self.open: opened}
        tabs = {self.views[name].tab: gr.update(visible=visible) for name, visible in shown.items()}
        return {
            self.bars: captions.bars(captions.top(seen), clickable=True),
            **{self.open: opened, self.tabs: gr.update(selected=opened)},
            **tabs,
            **fitted,
            **self.redraw(now),
        }

    def redraw(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """The open view's images and sentences; nothing without a record."""
        if not values[self.record]:
            return {place: gr.skip() for place in self.outputs}
        drawn: dict[Any, Any] = {}
        for drawing in self.views[values[self.open]].drawings:
            drawn |= drawing.draw(values)
        return drawn

"""The tab "Inspect": on the left the image and what the model predicts, on the right the live view of its maps.

Every event of a visitor that computes is an endpoint (see endpoints.py, too). What is chosen stands in the page's
address (address.js), from which a link or the browser's back button restores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dcal import DCALError, Inspection
from dcal_explorer.content import captions, cards
from dcal_explorer.content.live_payload import rivals
from dcal_explorer.demo import endpoints
from dcal_explorer.demo.address import WRITE, Wanted
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.components import CLICKED, PRIVATE, PUBLIC, image_and_samples, on_removed
from dcal_explorer.demo.events import card
from dcal_explorer.demo.inputs import shows_errors
from dcal_explorer.demo.previews import preview
from dcal_explorer.view.gradio_view import live_view

# The visible button makes the file; the hidden one then downloads it.
CLICK = "() => setTimeout(() => document.querySelector('#{}').click(), 200)"


class InspectTab:
    """The tab's components, fitted to the record `first`, and which event updates which. `arrive` starts it."""

    def __init__(self, callbacks: InspectCallbacks, samples: Sequence[Path], first: Inspection) -> None:
        self.callbacks, self.samples = callbacks, samples
        self.record, self.wanted = gr.State(), gr.State(Wanted())
        self.sample = gr.Textbox("", visible="hidden", elem_id="sample")  # no gr.State: the browser reads it
        with gr.Row(equal_height=False, elem_id="inspect-row"):
            with gr.Column(scale=3, min_width=280, elem_id="inspect-left"):
                self._lay_image()
                self._lay_controls(first)
            with gr.Column(scale=9, min_width=320, elem_id="inspect-right"):
                self._lay_view()
        endpoints.build(callbacks, self.record, callbacks.library.names()[0])
        self._wire()

    def _lay_image(self) -> None:
        names = self.callbacks.library.names()
        self.image, self.thumbnails = image_and_samples(self.samples, 200, "image", "samples")
        self.checkpoint = gr.Dropdown(names, value=names[0], label="Checkpoint", elem_id="checkpoint")

    def _lay_controls(self, first: Inspection) -> None:
        has_classes, has_glca = captions.names_classes(first.config), first.selected is not None
        with gr.Row(elem_classes="controls", elem_id="inspect-classes"):
            self.target = gr.Dropdown(
                captions.choices(first),
                value=captions.first_choice(first),
                label="Evidence for",
                min_width=120,
                visible=has_classes,
                elem_id="live-class",
            )
            self.rival = gr.Dropdown(
                rivals(first),
                value="",
                label="Contrasted with",
                min_width=120,
                visible=has_classes,
                elem_id="live-rival",
            )
        self.ratio = gr.Slider(
            0.01,
            1,
            first.top_ratio,
            step=0.01,
            label="R, share that GLCA selects",
            buttons=[],
            visible=has_glca,
            elem_id="live-ratio",
        )
        self.moved = gr.Markdown(label="moved", elem_id="moved", elem_classes="sentence", visible=has_glca)
        self.predictions = gr.JSON(label="predictions", visible=False)
        self.bars = gr.HTML(elem_id="predictions", js_on_load=cards.CLICK)
        self.summary = gr.Markdown(captions.EMPTY, label="summary", elem_id="summary")

    def _lay_view(self) -> None:
        self.shown = live_view(self.callbacks.record_of, model_of=self.callbacks.model_of, elem_id="live-view")
        with gr.Row(elem_classes="controls", elem_id="inspect-files"):
            button = gr.Button("Download the record (NPZ)", size="sm", elem_id="download-record", min_width=200)
            file = gr.DownloadButton("record file", visible="hidden", elem_id="record-file")
            made = button.click(self.callbacks.download_record, self.record, file, api_name="download_record", **PUBLIC)
            made.success(None, None, None, js=CLICK.format("record-file"))

    @property
    def _chosen(self) -> list[Any]:
        return [self.record, self.target, self.rival, self.ratio]

    @property
    def _drawn(self) -> list[Any]:
        return [self.shown, self.bars, self.moved]

    def _wire(self) -> None:
        call = (
            self.callbacks.inspect,
            [self.image, self.checkpoint, self.record],
            [self.record, self.predictions, self.summary],
        )
        progress = {"show_progress": "minimal", "show_progress_on": self.image}
        self.image.upload(lambda: "", None, self.sample, **PRIVATE)
        picked = self.thumbnails.click(self.pick, self.thumbnails, [self.image, self.sample], **PRIVATE)
        triggers = [self.image.upload, self.checkpoint.input]  # not image.change, which fires twice for some images
        self._settled(gr.on(triggers, *call, api_name="inspect", **{**PUBLIC, **progress}))
        self._settled(picked.success(*call, **{**PRIVATE, **progress}))
        emptied = [self.record, self.summary, self.sample, *self._drawn]
        on_removed(self.image, self.clear, self.record, emptied, lambda record: self.restore(record)[0])
        moved = [self.target.input, self.rival.input, self.ratio.input]
        drawn = gr.on(moved, self.callbacks.live, self._chosen, self._drawn, **PRIVATE)
        self._note(drawn)
        self._settled(drawn.failure(*call, **PRIVATE))  # a record that is lost is made anew from the image shown
        named = self.bars.click(card, None, self.target, **CLICKED)
        self._note(named.success(self.evidence_of, self._chosen, self._drawn, **PRIVATE))

    def arrive(self, arrived: Any) -> None:
        """Show what the page's address says, once the event `arrived` has put it into `wanted`."""
        call = (
            self.callbacks.inspect,
            [self.image, self.checkpoint, self.record],
            [self.record, self.predictions, self.summary],
        )
        placed = arrived.success(self.place, self.wanted, [self.image, self.checkpoint, self.sample], **PRIVATE)
        self._settled(placed.success(*call, **PRIVATE))

    def _settled(self, inspected: Any) -> None:
        """What follows an inspection: controls fitted to the record, view and address; or what there was before."""
        controls = [self.target, self.rival, self.ratio, self.wanted, self.moved]
        fitted = inspected.success(self.settle, [self.record, self.wanted], [*controls, *self._drawn[:2]], **PRIVATE)
        self._note(fitted)
        inspected.success(self.preview, self.record, self.image, **PRIVATE)
        inspected.failure(self.restore, self.record, [self.image, self.checkpoint], **PRIVATE)

    def _note(self, event: Any) -> None:
        """After `event`, what is chosen is written into the address; that runs in the browser."""
        chosen = [self.sample, self.checkpoint, self.target, self.rival, self.ratio]
        event.success(None, chosen, None, js=WRITE, **PRIVATE)

    def pick(self, index: int) -> tuple[str, str]:
        """A sample that was clicked: its file, and its name."""
        return str(self.samples[index]), self.samples[index].stem

    def place(self, wanted: Wanted) -> tuple[Any, Any, str]:
        """The image and the checkpoint that the address asks for, and the sample's name; else the first of each.

        An image of the visitor's own, which the page showed before it was loaded again, has no name.
        """
        checkpoint = wanted.checkpoint or self.callbacks.library.names()[0]
        if wanted.upload is not None:
            return str(wanted.upload), checkpoint, ""
        paths = {path.stem: path for path in self.samples}
        path = paths.get(wanted.image or "", next(iter(paths.values()), None))
        return None if path is None else str(path), checkpoint, "" if path is None else path.stem

    @shows_errors
    def settle(self, record: str | None, wanted: Wanted) -> tuple[Any, ...]:
        """Controls fitted to a new record, and its view: of what the address asks for, as far as the record has it."""
        if not record:
            return (gr.skip(),) * 3 + (Wanted(), gr.skip(), None, "")
        seen = self.callbacks.records.get(record).seen
        has_classes, has_glca = captions.names_classes(seen.config), seen.selected is not None
        target = wanted.target if wanted.target in seen.classes else captions.first_choice(seen)
        rival = wanted.rival if wanted.rival in seen.classes else ""
        ratio = wanted.ratio or seen.top_ratio
        packed, bars, moved = self.callbacks.live(record, target, rival, ratio, wanted.state)
        return (
            gr.update(choices=captions.choices(seen), value=target, visible=has_classes),
            gr.update(choices=rivals(seen), value=rival, visible=has_classes),
            gr.update(value=ratio, visible=has_glca),
            Wanted(),
            gr.update(value=moved, visible=has_glca),
            packed,
            bars,
        )

    @shows_errors
    def evidence_of(self, record: str, target: str, rival: str, ratio: float) -> tuple[Any, str, str]:
        """The view of the evidence for a prediction that was clicked."""
        return self.callbacks.live(record, target, rival, ratio, {"map": "relevance"})

    def preview(self, record: str | None) -> Any:
        """The image as the browser shows it, where it does not show the upload itself."""
        if not record:
            return gr.skip()
        entry = self.callbacks.records.get(record)
        made = None if entry.path is None else preview(entry.path, entry.seen.image)
        return gr.skip() if made is None else str(made)

    def clear(self, record: str | None) -> tuple[Any, ...]:
        """After the image was removed: no record, what to do, and nothing drawn."""
        self.callbacks.records.let_go(record or "")
        return None, captions.EMPTY, "", None, "", ""

    def restore(self, record: str | None) -> tuple[Any, Any]:
        """After a failure: the image and the checkpoint of the record that the page still shows, if there is one."""
        try:
            entry = self.callbacks.records.get(record)
        except DCALError:
            return None, gr.skip()
        return gr.skip() if entry.path is None else str(entry.path), entry.checkpoint

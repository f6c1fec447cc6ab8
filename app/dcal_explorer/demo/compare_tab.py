"""The tab "Compare": one image through two to four checkpoints; one control moves all views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from dcal import DCAL, DCALError, Inspection
from dcal_explorer.content import captions, compare_captions
from dcal_explorer.content.html_table import html_table
from dcal_explorer.content.live_payload import live_payload
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.demo.callbacks.compare import MOST, CompareCallbacks
from dcal_explorer.demo.components import PRIVATE, PUBLIC, image_and_samples, on_removed
from dcal_explorer.demo.endpoints import LOOK, endpoint
from dcal_explorer.demo.inputs import shows_errors
from dcal_explorer.demo.previews import preview
from dcal_explorer.view.gradio_view import live_view

LINK = "compare"  # views of one name move together


def build(tab: gr.Tab, callbacks: CompareCallbacks, samples: Sequence[Path]) -> gr.Image:
    """Lay out the tab, and return the place of its image. Nothing is computed until it is opened."""
    return CompareTab(tab, callbacks, samples).image


class CompareTab:
    """The tab's components, and which event updates which."""

    def __init__(self, tab: gr.Tab, callbacks: CompareCallbacks, samples: Sequence[Path]) -> None:
        self.callbacks, self.samples, self.record = callbacks, samples, gr.State()
        names = callbacks.library.names()
        compared = callbacks.library.ablations(names[0])[:MOST]
        gr.Markdown(compare_captions.ABOUT, elem_classes="sentence")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=240):
                self._lay_image()
            with gr.Column(scale=7, min_width=320):
                self._lay_choice(names, compared)
                self.verdict = gr.Markdown(label="verdict", elem_id="verdict", elem_classes="sentence")
                self.predictions = gr.JSON(label="predictions", visible=False)
                self.table = gr.HTML(elem_id="compared-predictions")
        self.controls = live_view(
            self.one_record, link=LINK, model_of=self.one_model, parts="controls", elem_id="compared-controls"
        )
        with gr.Row(elem_id="compared", equal_height=True):
            self.columns, self.heads, self.views = [], [], []
            for number in range(MOST):
                with gr.Column(min_width=220, visible=number < len(compared)) as column:
                    self.heads.append(gr.HTML())
                    view = live_view(
                        self.one_record,
                        link=LINK,
                        model_of=self.one_model,
                        parts="maps",
                        elem_id=f"compared-{number + 1}",
                    )
                    self.views.append(view)
                self.columns.append(column)
        self._lay_agreement(compared)
        self._wire(tab)

    def _lay_image(self) -> None:
        self.image, self.thumbnails = image_and_samples(self.samples, 220, "compared-image", "compared-samples")

    def _lay_choice(self, names: list[str], compared: list[str]) -> None:
        with gr.Row(elem_classes="controls"):
            self.checkpoints = gr.Dropdown(
                names,
                value=compared,
                multiselect=True,
                max_choices=MOST,
                label="Checkpoints",
                min_width=260,
                scale=3,
                elem_id="checkpoints",
            )
            self.target = gr.Dropdown([], label="Class whose evidence is shown", min_width=180, scale=2)

    def _lay_agreement(self, compared: list[str]) -> None:
        with gr.Accordion("Agreement in numbers", open=True):
            with gr.Row(elem_classes="controls"):
                self.reference = gr.Dropdown(compared, value=compared[0], label="Reference", min_width=200)
            self.agreed = gr.JSON(label="agreement", visible=False)
            self.agreement = gr.HTML(elem_id="agreement")
            gr.Markdown(compare_captions.AGREEMENT, elem_classes="sentence")

    def _wire(self, tab: gr.Tab) -> None:
        call = self.callbacks.compare_checkpoints
        inputs, outputs = (
            [self.image, self.checkpoints, self.target, self.record],
            [*(self.record, self.predictions, self.verdict)],
        )
        shown = {self.table, self.target, self.reference, self.controls, *self.columns, *self.heads, *self.views}
        picked = self.thumbnails.click(lambda i: str(self.samples[i]), self.thumbnails, self.image, **PRIVATE)
        first = tab.select(self.arrive, [self.image, self.checkpoints, self.target, self.record], outputs, **PRIVATE)
        progress = {"show_progress": "minimal", "show_progress_on": self.image}
        moved = [self.checkpoints.input, self.target.input]
        for event in (
            first,
            gr.on(moved, call, inputs, outputs, api_name="compare_checkpoints", **{**PUBLIC, **progress}),
            *(
                trigger(self.anew, [self.image, self.checkpoints, self.record], outputs, **{**PRIVATE, **progress})
                for trigger in (self.image.upload, picked.success)
            ),
        ):
            event.failure(self.restore, self.record, [self.image, self.checkpoints], **PRIVATE)
            drawn = event.success(self.show, [self.record, self.reference], shown, **PRIVATE)
            self._agree(drawn.success)
            event.success(self.preview, self.record, self.image, **PRIVATE)
        emptied = [self.table, self.agreement, self.controls, *self.heads, *self.views]
        on_removed(self.image, self.clear, self.record, [*outputs, *emptied], lambda record: self.restore(record)[0])
        gr.on(
            [self.reference.input],
            self.callbacks.agreements,
            [self.record, self.reference],
            self.agreed,
            api_name="agreements",
            **PUBLIC,
        ).success(self.tabled, self.agreed, self.agreement, **PRIVATE)
        endpoint(
            self.callbacks.differences,
            self.record,
            {"reference": ("Textbox", ""), "map": ("Textbox", "rollout"), **LOOK},
            [("Gallery", "differences")],
        )

    def _agree(self, after: Any) -> None:
        after(self.agreed_on, [self.record, self.reference], self.agreement, **PRIVATE)

    def one_record(self, key: str) -> Inspection:
        """The record that a view fetches from: its key is the comparison's and the checkpoint's."""
        record, _, checkpoint = key.partition("/")
        seen = self.callbacks.records.get(record).seen
        if checkpoint not in seen:
            raise DCALError("This comparison has other checkpoints now.")
        return seen[checkpoint]

    @contextmanager
    def one_model(self, key: str) -> Iterator[DCAL]:
        """The model of such a record, one caller at a time."""
        self.one_record(key)
        model = self.callbacks.library.model(key.partition("/")[2])
        with self.callbacks.models.queue.running:
            yield model

    def arrive(self, image: Any, checkpoints: list[str], target: str | None, record: str | None) -> Any:
        """When the tab is first opened: the comparison of the image that it shows."""
        if record:
            return gr.skip(), gr.skip(), gr.skip()
        return self.callbacks.compare_checkpoints(image, checkpoints, target, record)

    def anew(self, image: Any, checkpoints: list[str], record: str | None) -> Any:
        """A new image, explained for the class that it is predicted to be."""
        return self.callbacks.compare_checkpoints(image, checkpoints, None, record)

    def preview(self, record: str | None) -> Any:
        """The image as the browser shows it, where it does not show the upload itself."""
        if not record:
            return gr.skip()
        compared = self.callbacks.records.get(record)
        made = preview(compared.path, next(iter(compared.seen.values())).image)
        return gr.skip() if made is None else str(made)

    def clear(self, record: str | None) -> tuple[Any, ...]:
        """After the image was removed: no comparison, what to do, and neither tables nor views."""
        self.callbacks.records.let_go(record or "")
        return None, [], captions.EMPTY, "", "", None, *("" for _ in self.heads), *(None for _ in self.views)

    def restore(self, record: str | None) -> Any:
        """After a failure: the image and the checkpoints that the page still shows, if there are any."""
        try:
            compared = self.callbacks.records.get(record)
        except DCALError:
            return None, gr.skip()
        return str(compared.path), list(compared.seen)

    @shows_errors
    def show(self, record: str | None, reference: str | None) -> dict[Any, Any]:
        """The views, heads and controls of a comparison; without one, everything stays."""
        if not record:
            return {}
        compared = self.callbacks.records.get(record)
        scales = compare_captions.shared_scales(compared.seen)
        names = list(compared.seen)
        page: dict[Any, Any] = {
            self.table: html_table(
                [compare_captions.prediction_row(n, seen) for n, seen in compared.seen.items()], "Predictions"
            ),
            self.reference: gr.update(choices=names, value=reference if reference in names else names[0]),
            self.target: gr.update(choices=captions.choices(compared.seen[names[0]]), value=compared.target),
        }
        most: dict[str, Any] = {"maps": []}  # the one with all kinds of maps controls the others
        for number, (column, head, view) in enumerate(zip(self.columns, self.heads, self.views, strict=True)):
            page[column] = gr.update(visible=number < len(names))
            if number < len(names):
                name = names[number]
                seen = compared.seen[name]
                about = captions.about(seen.config, name, self.callbacks.library.metrics(name))
                page[head] = f'<div class="about">{about}</div>'
                packed = live_payload(
                    seen,
                    f"{record}/{name}",
                    name,
                    record,
                    scales,
                    has_model=True,
                    scores=MapScores.of(self.callbacks.library.analysis(name)),
                    checkpoint=name,
                )
                page[view] = packed
                most = max(most, packed, key=lambda packed: len(packed["maps"]))
            else:
                page[view] = None
        page[self.controls] = most
        return page

    @shows_errors
    def agreed_on(self, record: str | None, reference: str) -> str:
        """The table of agreement; without a comparison, none."""
        if not record:
            return ""
        names = list(self.callbacks.records.get(record).seen)
        own = reference if reference in names else names[0]
        return self.tabled(self.callbacks.agreements(record, own))

    def tabled(self, rows: list[dict[str, str]]) -> str:
        return html_table(rows, "Agreement with the reference")

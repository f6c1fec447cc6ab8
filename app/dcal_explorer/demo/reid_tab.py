"""The tab "Re-identify": on the left the query, on the right the ranking of the gallery and why a hit matched.

Nothing is read until the tab is opened; then the checkpoint's gallery is, and its first image is the query.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal import DCALError
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import ALL, GalleryWithMetadata
from dcal_explorer.demo.callbacks.reid import MOST, ReIDCallbacks
from dcal_explorer.demo.components import PRIVATE, PUBLIC
from dcal_explorer.demo.events import card
from dcal_explorer.demo.inputs import shows_errors
from dcal_explorer.demo.match_view import MatchView

SHOWN = 12  # images of a ranking, at first
PAGE = 40  # images to choose from at once: the yard's test vehicles by one camera


def build(tab: gr.Tab, callbacks: ReIDCallbacks) -> None:
    """Lay out the tab; without a re-identification checkpoint it says how to get one."""
    names = callbacks.galleries.names()
    if names:
        FindTab(tab, callbacks, names)
    else:
        gr.Markdown(reid_captions.NO_CHECKPOINT, elem_id="no-checkpoint")


class FindTab:
    """The tab's components, and which event updates which."""

    def __init__(self, tab: gr.Tab, callbacks: ReIDCallbacks, names: list[str]) -> None:
        self.callbacks, self.record = callbacks, gr.State()
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self._lay_query(names)
            with gr.Column(scale=8, min_width=320):
                self._lay_ranking()
                self.match = MatchView(callbacks, self.record)
        self._wire_query(tab)
        self._wire_ranking()

    def _lay_query(self, names: list[str]) -> None:
        self.checkpoint = gr.Dropdown(names, value=names[0], label="Checkpoint", elem_id="find-checkpoint")
        self.photo = gr.Image(
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            label="Query: upload, paste or drop a crop",
            height=280,
            buttons=["fullscreen"],
            elem_id="query",
        )
        self.caption = gr.Markdown(
            reid_captions.EMPTY, label="query", elem_id="query-sentence", elem_classes="sentence"
        )
        with gr.Row(elem_classes="controls"):
            self.camera = gr.Dropdown([], label="Images of camera", min_width=120, elem_id="camera")
            self.model = gr.Dropdown([], label="Of model", min_width=140, elem_id="model", visible=False)
            self.page = gr.Number(1, minimum=1, precision=0, label="Page", min_width=80, visible=False)
        self.pictures = gr.HTML(elem_id="pictures", js_on_load=cards.CLICK)
        self.picture = gr.Textbox(visible=False, label="picture")

    def _lay_ranking(self) -> None:
        with gr.Row(elem_classes="controls"):
            self.across = gr.Checkbox(True, label=reid_captions.ACROSS, elem_id="across")
            self.cameras = gr.Dropdown(
                [], multiselect=True, label="Rank only these cameras", min_width=180, elem_id="cameras"
            )
            self.models = gr.Dropdown(
                [], multiselect=True, label="Rank only these models", min_width=180, elem_id="models", visible=False
            )
            self.most = gr.Slider(1, MOST, SHOWN, step=1, label="Images shown", min_width=200, buttons=[])
        self.worth = gr.Markdown(label="ranking", elem_id="ranking-sentence", elem_classes="sentence")
        self.found = gr.JSON(label="ranking", visible=False)
        self.hits = gr.HTML(elem_id="hits", js_on_load=cards.CLICK)

    def _wire_query(self, tab: gr.Tab) -> None:
        """What changes the query, and which pictures there are to choose from."""
        everything: Any = {
            *(self.camera, self.model, self.page, self.pictures, self.cameras, self.models, self.match.branch),
            *(self.record, self.caption, self.photo),
        }
        for event in (
            tab.select(self.arrive, [self.checkpoint, self.record], everything, **PRIVATE),
            self.checkpoint.input(self.change, [self.checkpoint, self.record], everything, **PRIVATE),
        ):
            event.failure(
                self.back,
                self.record,
                {self.checkpoint, self.record, self.pictures, self.photo, self.caption},
                **PRIVATE,
            )
        progress = {**PUBLIC, "show_progress": "minimal", "show_progress_on": self.photo}
        query = [self.record, self.caption]
        sent = self.photo.upload(
            self.callbacks.search, [self.photo, self.checkpoint, self.record], query, api_name="search", **progress
        )
        sent.failure(self.query_picture, self.record, self.photo, **PRIVATE)  # the page shows the query it had
        self.photo.clear(self.clear, self.record, [self.record, self.caption], **PRIVATE)
        picked = self.pictures.click(card, None, self.picture, **PRIVATE)
        taken = picked.success(
            self.callbacks.choose, [self.picture, self.checkpoint, self.record], query, api_name="choose", **PUBLIC
        )
        taken.success(self.query_picture, self.record, self.photo, **PRIVATE)
        choosers = [self.camera, self.model, self.page]
        gr.on(
            [self.camera.input, self.model.input, self.page.submit, self.page.blur],
            self.choices,
            [self.checkpoint, *choosers, self.record],
            {self.pictures, self.page},
            **PRIVATE,
        )

    def _wire_ranking(self) -> None:
        """A new query is ranked; so is the old one under other filters."""
        call = [self.record, self.across, self.cameras, self.models, self.most], [self.found, self.worth]
        moved = [self.across.input, self.cameras.input, self.models.input, self.most.input]
        shown = {self.hits, self.match.hit, self.match.place, self.match.hint}
        for ranked in (
            gr.on(moved, self.callbacks.ranking, *call, api_name="ranking", **PUBLIC),
            self.record.change(self.ranking, *call, **PRIVATE),
        ):
            ranked.success(self.show, self.record, shown, **PRIVATE)
        self.match.on_click(self.hits)

    @shows_errors
    def arrive(self, checkpoint: str, record: str | None) -> dict[Any, Any]:
        """When the tab is first opened: the gallery, and its first image as the query."""
        if record:
            return {}
        gallery = self.callbacks.galleries.open(checkpoint)
        camera = next(iter(gallery.embedded.cameras), ALL)
        first = gallery.images_of(camera)[0]
        key, caption = self.callbacks.choose(first.path, checkpoint)
        return {**self.fitted(checkpoint, gallery, camera, key), **self.query_shown(key, caption)}

    @shows_errors
    def change(self, checkpoint: str, record: str | None) -> dict[Any, Any]:
        """The same query for another checkpoint, whose gallery may be another."""
        if not record:
            return self.arrive(checkpoint, record)
        gallery = self.callbacks.galleries.open(checkpoint)
        key, caption = self.callbacks.change(checkpoint, record)
        camera = next(iter(gallery.embedded.cameras), ALL)
        page = {**self.fitted(checkpoint, gallery, camera, key), **self.query_shown(key, caption)}
        self.callbacks.records.let_go(record)  # last: after a failure the page still holds it
        return page

    def query_shown(self, record: str, caption: str) -> dict[Any, Any]:
        return {self.record: record, self.caption: caption, self.photo: self.callbacks.query_picture(record)}

    def fitted(self, checkpoint: str, gallery: GalleryWithMetadata, camera: str, record: str) -> dict[Any, Any]:
        """All choices as this gallery has them, and no filter."""
        names = [(f"Camera {name}", name) for name in gallery.embedded.cameras]
        models = [(name, name) for name in gallery.models]
        config = self.callbacks.library.config(checkpoint)
        return {
            self.camera: gr.update(choices=[("All cameras", ALL), *names], value=camera),
            self.model: gr.update(choices=[("All models", ALL), *models], value=ALL, visible=bool(models)),
            self.cameras: gr.update(choices=names, value=[]),
            self.models: gr.update(choices=models, value=[], visible=bool(models)),
            **self.choices(checkpoint, camera, ALL, 1, record),
            **self.match.fit("glca" in config.branches),
        }

    @shows_errors
    def choices(self, checkpoint: str, camera: str, model: str, page: int, record: str | None) -> dict[Any, Any]:
        """The images of one camera and model to choose a query from, one page of them."""
        gallery = self.callbacks.galleries.open(checkpoint)
        there = gallery.images_of(camera, model)
        pages = max(1, -(-len(there) // PAGE))
        page = min(max(1, int(page or 1)), pages)
        chosen = self.callbacks.records.get(record).known.path if record else None
        return {
            self.pictures: cards.thumbnails(gallery, there[(page - 1) * PAGE : page * PAGE], chosen),
            self.page: gr.update(value=page, maximum=pages, visible=pages > 1, label=f"Page, of {pages}"),
        }

    def ranking(self, record: str | None, *filters: Any) -> tuple[dict[str, Any] | None, str]:
        """`ReIDCallbacks.ranking`, and nothing without a query."""
        return self.callbacks.ranking(record, *filters) if record else (None, "")

    @shows_errors
    def show(self, record: str | None) -> dict[Any, Any]:
        """The ranking as cards, with no hit open."""
        if not record:
            return {self.hits: "", **self.match.closed(False)}
        session = self.callbacks.records.get(record)
        assert session.ranking is not None
        gallery = self.callbacks.galleries.open(session.checkpoint)
        return {self.hits: cards.hits(gallery, session.ranking), **self.match.closed(bool(session.ranking.hits))}

    def clear(self, record: str | None) -> tuple[None, str]:
        """After the query was removed: no session, and what to do."""
        self.callbacks.records.let_go(record or "")
        return None, reid_captions.EMPTY

    def query_picture(self, record: str | None) -> Any:
        return self.callbacks.query_picture(record) if record else None

    def back(self, record: str | None) -> dict[Any, Any]:
        """After a failure: the present query and the checkpoint that ranked it, or an empty page."""
        try:
            return {self.checkpoint: self.callbacks.records.get(record).checkpoint}
        except DCALError:
            return {self.record: None, self.pictures: "", self.photo: None, self.caption: reid_captions.EMPTY}

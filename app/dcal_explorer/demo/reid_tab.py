"""The tab "Re-identify": on the left the query, on the right what it found in the gallery, and why a hit matched.

Nothing is read until the tab is opened: then the chosen checkpoint's gallery is, and its first picture is the query.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal import DCALError
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import ALL, GalleryWithMetadata
from dcal_explorer.demo.components import PRIVATE, PUBLIC
from dcal_explorer.demo.events import card
from dcal_explorer.demo.inputs import told
from dcal_explorer.demo.match_view import MatchView
from dcal_explorer.demo.reid_callbacks import MOST, ReIDCallbacks

SHOWN = 12  # pictures of a ranking, at first
PAGE = 40  # pictures to choose from at once: the yard's test vehicles by one camera


def build(tab: gr.Tab, finder: ReIDCallbacks) -> None:
    """Lay the tab out; without a re-identification checkpoint it says how to get one."""
    names = finder.galleries.names()
    if names:
        FindTab(tab, finder, names)
    else:
        gr.Markdown(reid_captions.NO_CHECKPOINT, elem_id="no-checkpoint")


class FindTab:
    """The tab's components, and what moves which."""

    def __init__(self, tab: gr.Tab, finder: ReIDCallbacks, names: list[str]) -> None:
        self.finder, self.record = finder, gr.State()
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self._lay_query(names)
            with gr.Column(scale=8, min_width=320):
                self._lay_ranking()
                self.view = MatchView(finder, self.record)
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
        self.said = gr.Markdown(reid_captions.EMPTY, label="query", elem_id="query-sentence", elem_classes="sentence")
        with gr.Row(elem_classes="controls"):
            self.camera = gr.Dropdown([], label="Pictures by camera", min_width=120, elem_id="camera")
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
            self.most = gr.Slider(1, MOST, SHOWN, step=1, label="Pictures shown", min_width=200, buttons=[])
        self.worth = gr.Markdown(label="ranking", elem_id="ranking-sentence", elem_classes="sentence")
        self.found = gr.JSON(label="ranking", visible=False)
        self.hits = gr.HTML(elem_id="hits", js_on_load=cards.CLICK)

    def _wire_query(self, tab: gr.Tab) -> None:
        """What changes the query, and which pictures there are to choose from."""
        everything: Any = {
            *(self.camera, self.model, self.page, self.pictures, self.cameras, self.models, self.view.branch),
            *(self.record, self.said, self.photo),
        }
        for event in (
            tab.select(self.arrive, [self.checkpoint, self.record], everything, **PRIVATE),
            self.checkpoint.input(self.change, [self.checkpoint, self.record], everything, **PRIVATE),
        ):
            event.failure(
                self.back,
                self.record,
                {self.checkpoint, self.record, self.pictures, self.photo, self.said},
                **PRIVATE,
            )
        looking = {**PUBLIC, "show_progress": "minimal", "show_progress_on": self.photo}
        asked = [self.record, self.said]
        sent = self.photo.upload(
            self.finder.search, [self.photo, self.checkpoint, self.record], asked, api_name="search", **looking
        )
        sent.failure(self.query_picture, self.record, self.photo, **PRIVATE)  # the page shows the query that it has
        picked = self.pictures.click(card, None, self.picture, **PRIVATE)
        taken = picked.success(
            self.finder.choose, [self.picture, self.checkpoint, self.record], asked, api_name="choose", **PUBLIC
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
        """A new query is ranked, and so is the old one under other filters."""
        call = [self.record, self.across, self.cameras, self.models, self.most], [self.found, self.worth]
        moved = [self.across.input, self.cameras.input, self.models.input, self.most.input]
        shown = {self.hits, self.view.hit, self.view.place, self.view.hint}
        for ranked in (
            gr.on(moved, self.finder.ranking, *call, api_name="ranking", **PUBLIC),
            self.record.change(self.ranking, *call, **PRIVATE),
        ):
            ranked.success(self.show, self.record, shown, **PRIVATE)
        self.view.on_click(self.hits)

    @told
    def arrive(self, checkpoint: str, record: str | None) -> dict[Any, Any]:
        """When the tab is opened first: the gallery, and its first picture as the query."""
        if record:
            return {}
        catalogue = self.finder.galleries.catalogue(checkpoint)
        camera = next(iter(catalogue.gallery.cameras), ALL)
        first = catalogue.pictures(camera)[0]
        key, said = self.finder.choose(first.path, checkpoint)
        return {**self.fitted(checkpoint, catalogue, camera, key), **self.asked(key, said)}

    @told
    def change(self, checkpoint: str, record: str | None) -> dict[Any, Any]:
        """The same query for another checkpoint, whose gallery may be another."""
        if not record:
            return self.arrive(checkpoint, record)
        catalogue = self.finder.galleries.catalogue(checkpoint)
        key, said = self.finder.change(checkpoint, record)
        camera = next(iter(catalogue.gallery.cameras), ALL)
        page = {**self.fitted(checkpoint, catalogue, camera, key), **self.asked(key, said)}
        self.finder.records.let_go(record)  # last: after a failure the page holds it still
        return page

    def asked(self, record: str, said: str) -> dict[Any, Any]:
        return {self.record: record, self.said: said, self.photo: self.finder.query_picture(record)}

    def fitted(self, checkpoint: str, catalogue: GalleryWithMetadata, camera: str, record: str) -> dict[Any, Any]:
        """All choices as this gallery has them, and no filter."""
        names = [(f"Camera {name}", name) for name in catalogue.gallery.cameras]
        models = [(name, name) for name in catalogue.models]
        config = self.finder.shelf.config(checkpoint)
        return {
            self.camera: gr.update(choices=[("All cameras", ALL), *names], value=camera),
            self.model: gr.update(choices=[("All models", ALL), *models], value=ALL, visible=bool(models)),
            self.cameras: gr.update(choices=names, value=[]),
            self.models: gr.update(choices=models, value=[], visible=bool(models)),
            **self.choices(checkpoint, camera, ALL, 1, record),
            **self.view.fit("glca" in config.branches),
        }

    @told
    def choices(self, checkpoint: str, camera: str, model: str, page: int, record: str | None) -> dict[Any, Any]:
        """The pictures of one camera and model to choose a query from, a page of them."""
        catalogue = self.finder.galleries.catalogue(checkpoint)
        there = catalogue.pictures(camera, model)
        pages = max(1, -(-len(there) // PAGE))
        page = min(max(1, int(page or 1)), pages)
        chosen = self.finder.records.get(record).known.path if record else None
        return {
            self.pictures: cards.thumbnails(catalogue, there[(page - 1) * PAGE : page * PAGE], chosen),
            self.page: gr.update(value=page, maximum=pages, visible=pages > 1, label=f"Page, of {pages}"),
        }

    def ranking(self, record: str | None, *filters: Any) -> tuple[dict[str, Any] | None, str]:
        """`ReIDCallbacks.ranking`, and nothing without a query."""
        return self.finder.ranking(record, *filters) if record else (None, "")

    @told
    def show(self, record: str | None) -> dict[Any, Any]:
        """The ranking as cards; no hit is open."""
        if not record:
            return {self.hits: "", **self.view.closed(False)}
        quest = self.finder.records.get(record)
        assert quest.ranking is not None
        catalogue = self.finder.galleries.catalogue(quest.checkpoint)
        return {self.hits: cards.hits(catalogue, quest.ranking), **self.view.closed(bool(quest.ranking.hits))}

    def query_picture(self, record: str | None) -> Any:
        return self.finder.query_picture(record) if record else None

    def back(self, record: str | None) -> dict[Any, Any]:
        """After a failure: the query that there is and the checkpoint that ranked it, or nothing to choose from."""
        try:
            return {self.checkpoint: self.finder.records.get(record).checkpoint}
        except DCALError:
            return {self.record: None, self.pictures: "", self.photo: None, self.said: reid_captions.EMPTY}

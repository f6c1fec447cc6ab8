"""The tab "Re-identify": on the left the query, on the right the ranking of the gallery and why a hit matched.

Nothing is read until the tab is opened; then the checkpoint's gallery is, and its first image is the query.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal import DCALError
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import ALL, FOLDER, OWN, GalleryWithMetadata
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.callbacks.reid_ranking import PAGE
from dcal_explorer.demo.components import CLICKED, PRIVATE, PUBLIC, on_removed
from dcal_explorer.demo.events import card
from dcal_explorer.demo.inputs import shows_errors
from dcal_explorer.demo.reid_ranking_panel import RankingPanel
from dcal_explorer.demo.restart import Shown


def build(tab: gr.Tab, callbacks: ReIDCallbacks) -> gr.State:
    """Lay out the tab; without a re-identification checkpoint it says how to get one.

    Returns the place of what the page showed before it was loaded again.
    """
    names = callbacks.galleries.names()
    if names:
        return FindTab(tab, callbacks, names).before
    gr.Markdown(reid_captions.NO_CHECKPOINT, elem_id="no-checkpoint")
    return gr.State(Shown())


class FindTab:
    """The tab's components, and which event updates which."""

    def __init__(self, tab: gr.Tab, callbacks: ReIDCallbacks, names: list[str]) -> None:
        self.callbacks, self.record, self.before = callbacks, gr.State(), gr.State(Shown())
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self._lay_query(names)
            with gr.Column(scale=8, min_width=320):
                self.ranked = RankingPanel(callbacks, self.record)
                self.match = self.ranked.match
        self._wire_place(tab)
        self._wire_query()
        self._wire_choices()

    def _lay_query(self, names: list[str]) -> None:
        self.checkpoint = gr.Dropdown(names, value=names[0], label="Checkpoint", elem_id="find-checkpoint")
        self.gallery = gr.Dropdown([], label="Gallery", elem_id="find-gallery", visible=False)
        self.image = gr.Image(
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
        self.add = gr.Checkbox(False, label="Several images as one query: add the next", elem_id="add")
        with gr.Row(elem_classes="controls"):
            self.camera = gr.Dropdown([], label="Images of camera", min_width=120, elem_id="camera")
            self.model = gr.Dropdown([], label="Of model", min_width=140, elem_id="model", visible=False)
            self.page = gr.Number(1, minimum=1, precision=0, label="Page", min_width=80, visible=False)
        self.queries = gr.HTML(elem_id="queries", js_on_load=cards.CLICK)
        self.chosen = gr.Textbox(visible=False, label="image")

    @property
    def kept(self) -> list[Any]:
        """The controls that stay as they are under another checkpoint or gallery, where it has what they say."""
        return [self.camera, self.model, self.ranked.cameras, self.ranked.models, self.match.branch]

    def _wire_place(self, tab: gr.Tab) -> None:
        """The tab is opened, or another checkpoint or gallery chosen."""
        everything: Any = {*self.kept, self.gallery, self.page, self.queries, self.record, self.caption, self.image}
        everything |= {self.ranked.same_view, self.ranked.per_identity}
        now = [self.checkpoint, self.gallery, self.record, *self.kept]
        for event in (
            tab.select(self.come, [self.before, *now], everything, **PRIVATE),
            self.checkpoint.input(self.change_checkpoint, now, everything, **PRIVATE),
            self.gallery.input(self.change, now, everything, **PRIVATE),
        ):
            shown = {self.checkpoint, self.gallery, self.record, self.queries, self.image, self.caption}
            event.failure(self.back, self.record, shown, **PRIVATE)

    def _wire_query(self) -> None:
        progress = {**PUBLIC, "show_progress": "minimal", "show_progress_on": self.image}
        query, place = [self.record, self.caption], [self.checkpoint, self.record, self.gallery, self.add]
        sent = self.image.upload(self.callbacks.search, [self.image, *place], query, api_name="search", **progress)
        sent.success(self.query_image, self.record, self.image, **PRIVATE)  # of several, all
        sent.failure(self.query_image, self.record, self.image, **PRIVATE)  # the page shows the query it had
        on_removed(self.image, self.clear, self.record, [self.record, self.caption], self.query_image)
        picked = self.queries.click(card, None, self.chosen, **CLICKED)
        taken = picked.success(self.callbacks.choose, [self.chosen, *place], query, api_name="choose", **PUBLIC)
        taken.success(self.query_image, self.record, self.image, **PRIVATE)
        marked = [self.checkpoint, self.gallery, self.camera, self.model, self.page, self.record]
        taken.success(self.marked, [self.add, *marked], self.queries, **PRIVATE)
        sent.success(self.choices, marked, {self.queries, self.page}, **PRIVATE)  # none of them is the query now

    def _wire_choices(self) -> None:
        """Which images there are to choose a query from."""
        choosers = [self.camera, self.model, self.page]
        gr.on(
            [self.camera.input, self.model.input, self.page.submit, self.page.blur],
            self.choices,
            [self.checkpoint, self.gallery, *choosers, self.record],
            {self.queries, self.page},
            **PRIVATE,
        )
        listed = gr.JSON(visible=False, label="gallery")
        gr.Button(visible=False).click(
            self.callbacks.gallery,
            [self.checkpoint, self.gallery, *choosers],
            listed,
            api_name="gallery",
            **PUBLIC,
        )

    @shows_errors
    def come(self, before: Shown, checkpoint: str, gallery: str | None, record: str | None, *kept: Any) -> Any:
        """When the tab is opened: `arrive`, with the query that the page showed before it was loaded again."""
        page = self.arrive(checkpoint, gallery, record, *kept)
        if record or (before.query is None and before.card is None):
            return page
        place = checkpoint, page[self.record], gallery or OWN
        try:
            key, caption = (
                self.callbacks.choose(before.card, *place)
                if before.card is not None
                else self.callbacks.search({"path": str(before.query)}, *place)
            )
        except gr.Error:  # it is not in this gallery: the first image stays
            return page
        return {**page, **(self.query_shown(key, caption) if key else {})}

    @shows_errors
    def arrive(self, checkpoint: str, gallery: str | None, record: str | None, *kept: Any) -> dict[Any, Any]:
        """When the tab is first opened: the gallery, and its first image as the query."""
        if record:
            return {}
        opened = self.callbacks.galleries.open(checkpoint, gallery or OWN)
        camera = kept[0] if kept and kept[0] in opened.embedded.cameras else next(iter(opened.embedded.cameras), ALL)
        first = opened.images_of(camera)[0]
        key, caption = self.callbacks.choose(first.path, checkpoint, None, gallery or OWN)
        shown = self.fitted(checkpoint, gallery or OWN, opened, key, camera, *kept[1:])
        return {**shown, **self.query_shown(key, caption)}

    @shows_errors
    def change_checkpoint(self, checkpoint: str, gallery: str | None, record: str | None, *kept: Any) -> dict[Any, Any]:
        """Another checkpoint, with its gallery of the same name if it has one, else its own."""
        there = self.callbacks.galleries.choices(checkpoint) if checkpoint in self.callbacks.galleries.names() else {}
        return self.change(checkpoint, gallery if gallery in there else OWN, record, *kept)

    @shows_errors
    def change(self, checkpoint: str, gallery: str | None, record: str | None, *kept: Any) -> dict[Any, Any]:
        """The same query for another checkpoint or gallery, and the same filters as far as it has them."""
        if not record:
            return self.arrive(checkpoint, gallery, record, *kept)
        opened = self.callbacks.galleries.open(checkpoint, gallery or OWN)
        key, caption = self.callbacks.change(checkpoint, record, gallery or OWN)
        caption += self.dropped(opened, *kept)
        page = {
            **self.fitted(checkpoint, gallery or OWN, opened, key, *kept),
            **self.query_shown(key, caption),
        }
        self.callbacks.records.let_go(record)  # last: after a failure the page still holds it
        return page

    def dropped(self, gallery: GalleryWithMetadata, *kept: Any) -> str:
        """A sentence on the filters that another gallery cannot have."""
        cameras, models = (kept[place] if place < len(kept) else None for place in (2, 3))
        gone = [f"camera {name}" for name in cameras or [] if name not in gallery.embedded.cameras]
        gone += [name for name in models or [] if name not in gallery.models]
        return f"\n\nNot in this gallery, and no longer a filter: {', '.join(gone)}." if gone else ""

    def query_shown(self, record: str, caption: str) -> dict[Any, Any]:
        return {self.record: record, self.caption: caption, self.image: self.callbacks.query_image(record)}

    def fitted(
        self,
        checkpoint: str,
        name: str,
        gallery: GalleryWithMetadata,
        record: str,
        camera: str | None = ALL,
        model: str | None = ALL,
        cameras: list[str] | None = None,
        models: list[str] | None = None,
        branch: str | None = None,
    ) -> dict[Any, Any]:
        """All choices as this gallery has them; what was chosen before stays where it exists here."""
        names, there = [(f"Camera {own}", own) for own in gallery.embedded.cameras], gallery.models
        camera = camera if camera in gallery.embedded.cameras else ALL
        model = model if model in there else ALL
        galleries = [(own or FOLDER, own) for own in self.callbacks.galleries.choices(checkpoint)]
        config = self.callbacks.library.config(checkpoint)
        return {
            self.gallery: gr.update(
                choices=galleries,
                value=name if name in dict(galleries).values() else galleries[0][1],
                visible=len(galleries) > 1,
            ),
            self.camera: gr.update(choices=[("All cameras", ALL), *names], value=camera),
            self.model: gr.update(
                choices=[("All models", ALL), *((own, own) for own in there)], value=model, visible=bool(there)
            ),
            **self.ranked.fitted(gallery, cameras or [], models or []),
            **self.choices(checkpoint, name, camera, model, 1, record),
            **self.match.fit("glca" in config.branches, branch),
        }

    @shows_errors
    def choices(
        self, checkpoint: str, gallery: str | None, camera: str, model: str, page: int, record: str | None
    ) -> dict[Any, Any]:
        """The images of one camera and model to choose a query from, one page of them."""
        opened = self.callbacks.galleries.open(checkpoint, gallery or OWN)
        there = opened.images_of(camera, model)
        pages = max(1, -(-len(there) // PAGE))
        page = min(max(1, int(page or 1)), pages)
        chosen = [image.known.path for image in self.callbacks.records.get(record).images] if record else []
        return {
            self.queries: cards.thumbnails(opened, there[(page - 1) * PAGE : page * PAGE], *chosen),
            self.page: gr.update(value=page, maximum=pages, visible=pages > 1, label=f"Page, of {pages}"),
        }

    def marked(self, add: bool, *choice: Any) -> Any:
        """The images to choose from with all that are the query marked; where it is one, the click has marked it."""
        return self.choices(*choice)[self.queries] if add else gr.skip()

    def clear(self, record: str | None) -> tuple[None, str]:
        """After the query was removed: no session, and what to do."""
        self.callbacks.records.let_go(record or "")
        return None, reid_captions.EMPTY

    def query_image(self, record: str | None) -> Any:
        return self.callbacks.query_image(record) if record else None

    def back(self, record: str | None) -> dict[Any, Any]:
        """After a failure: the present query, the checkpoint and the gallery that ranked it, or an empty page."""
        try:
            session = self.callbacks.records.get(record)
            return {self.checkpoint: session.checkpoint, self.gallery: session.gallery}
        except DCALError:
            return {self.record: None, self.queries: "", self.image: None, self.caption: reid_captions.EMPTY}

"""The filters of the tab "Re-identify", its ranking, and the files to take away."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.callbacks.reid_ranking import MOST
from dcal_explorer.demo.components import PRIVATE, PUBLIC
from dcal_explorer.demo.inputs import shows_errors
from dcal_explorer.demo.match_view import MatchView

SHOWN = 12  # images of a ranking, at first
# The visible button makes the file; the hidden one then downloads it.
DOWNLOAD = "() => setTimeout(() => document.querySelector('#{}').click(), 200)"


class RankingPanel:
    """What restricts and orders the ranking, the ranking as cards, and the hit that is explained."""

    def __init__(self, callbacks: ReIDCallbacks, record: gr.State) -> None:
        self.callbacks, self.record = callbacks, record
        with gr.Row(elem_classes="controls"):
            self.across = gr.Checkbox(True, label=reid_captions.ACROSS, elem_id="across")
            self.cameras = gr.Dropdown(
                [], multiselect=True, label="Rank only these cameras", min_width=180, elem_id="cameras"
            )
            self.models = gr.Dropdown(
                [], multiselect=True, label="Rank only these models", min_width=180, elem_id="models", visible=False
            )
            self.most = gr.Slider(1, MOST, SHOWN, step=1, label="Images shown", min_width=200, buttons=[])
        with gr.Row(elem_classes="controls"):
            self.rerank = gr.Checkbox(False, label=reid_captions.RERANK, elem_id="rerank")
            self.per_identity = gr.Checkbox(
                False, label=reid_captions.PER_IDENTITY.format("identity"), elem_id="per-identity"
            )
            self.same_view = gr.Checkbox(False, label=reid_captions.SAME_VIEW, elem_id="same-view", visible=False)
        self.worth = gr.Markdown(label="ranking", elem_id="ranking-sentence", elem_classes="sentence")
        self.found = gr.JSON(label="ranking", visible=False)
        self.hits = gr.HTML(elem_id="hits", js_on_load=cards.CLICK)
        self._downloads()
        self.match = MatchView(callbacks, record, self.hits)
        self._wire()

    @property
    def filters(self) -> list[Any]:
        return [self.across, self.cameras, self.models, self.most, self.same_view, self.rerank, self.per_identity]

    def _wire(self) -> None:
        """A new query is ranked; so is the old one under other filters."""
        call = [self.record, *self.filters], [self.found, self.worth]
        shown = {self.hits, self.match.hit, self.match.place, self.match.hint}
        moved = [control.input for control in self.filters]
        for ranked in (
            gr.on(moved, self.callbacks.ranking, *call, api_name="ranking", **PUBLIC),
            self.record.change(self.ranking, *call, **PRIVATE),
        ):
            ranked.success(self.show, self.record, shown, **PRIVATE)
        self.match.on_click()

    def _downloads(self) -> None:
        with gr.Row(elem_classes="controls"):
            for what, label, make in (
                ("ranking", "Download the ranking (PNG)", self.callbacks.download_ranking),
                ("hits", "Download the hits (CSV)", self.callbacks.download_hits),
                ("reviews", "Download all answers (CSV)", self.callbacks.download_reviews),
            ):
                button = gr.Button(label, size="md", elem_id=f"download-{what}", min_width=180)
                file = gr.DownloadButton(f"{what} file", visible="hidden", elem_id=f"{what}-file")
                made = button.click(make, self.record, file, api_name=f"download_{what}", **PUBLIC)
                made.success(None, None, None, js=DOWNLOAD.format(f"{what}-file"))

    def fitted(self, gallery: GalleryWithMetadata, cameras: list[str], models: list[str]) -> dict[Any, Any]:
        """The filters as this gallery has them: what was chosen stays chosen where it exists here."""
        names = [(f"Camera {name}", name) for name in gallery.embedded.cameras]
        known = gallery.models
        return {
            self.cameras: gr.update(choices=names, value=[name for name in cameras if name in dict(names).values()]),
            self.models: gr.update(
                choices=[(name, name) for name in known],
                value=[name for name in models if name in known],
                visible=bool(known),
            ),
            self.same_view: gr.update(visible=bool(gallery.embedded.viewpoints)),
            self.per_identity: gr.update(label=reid_captions.PER_IDENTITY.format(gallery.noun)),
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
        return {self.hits: self.match.marked(record, 0), **self.match.closed(bool(session.ranking.hits))}

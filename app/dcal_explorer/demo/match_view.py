"""The part of the tab "Re-identify" that explains a hit and asks a person about it; hidden until one is clicked."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal import DCALError, draw
from dcal.gallery import Hit
from dcal.gallery.reviews import ANSWERS, WITHDRAWN
from dcal_explorer.content import cards, match_captions, reid_captions
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.components import CLICKED, PRIVATE, PUBLIC, ViewBinding, drawing, sentence
from dcal_explorer.demo.events import card, pixel
from dcal_explorer.demo.inputs import shows_errors

SCROLL = """() => document.querySelector('#why')?.scrollIntoView({
  behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth', block: 'nearest'})"""
NONE = ("no other: why it is similar", 0)


class MatchView:
    """Why the clicked hit matched. `hit` is its place in the ranking, from 1; 0: none is open."""

    def __init__(self, callbacks: ReIDCallbacks, record: gr.State, hits: gr.HTML) -> None:
        self.callbacks, self.record, self.hits = callbacks, record, hits
        self.hit = gr.Number(0, precision=0, visible=False, label="hit")
        self.hint = gr.Markdown(visible=False, elem_id="hint", elem_classes="sentence")
        with gr.Column(visible=False, elem_id="why") as self.place:
            gr.Markdown("### Why did it match?")
            with gr.Row(elem_classes="controls"):
                self.against = gr.Dropdown(
                    [NONE], value=0, label="Rather than", scale=2, min_width=280, elem_id="against"
                )
                self.branch = gr.Radio([], label="Branch", scale=2, min_width=240, elem_id="branch")
                self.answer = gr.Radio(
                    [*ANSWERS, ("no answer", WITHDRAWN)],
                    value=WITHDRAWN,
                    label="What do you say: does it show the query's identity?",
                    scale=3,
                    min_width=280,
                    elem_id="answer",
                )
            self.kept = gr.Markdown(elem_id="answer-sentence", elem_classes="sentence")
            self.pair = drawing("Pair drawing", clickable=True)
            self.caption, self.twins = sentence("Pair sentence"), sentence("Twin sentence")
            with gr.Row(elem_classes="controls"):
                self.row = gr.Number(0, minimum=0, precision=0, label="Patch: row (0: all)", scale=2, min_width=120)
                self.column = gr.Number(0, minimum=0, precision=0, label="Column (0: all)", scale=2, min_width=120)
                self.whole = gr.Button("All patches again", size="md", scale=1, min_width=150, elem_id="whole")
            with gr.Row(elem_classes="branches"):
                places = []
                for name in ("SA", "GLCA"):
                    with gr.Column(min_width=260):
                        places.append((drawing(f"{name} match"), sentence(f"{name} match sentence")))
            with gr.Accordion("How maps are drawn", open=False), gr.Row():
                colormap = gr.Dropdown(list(draw.COLORMAPS), value=draw.COLORMAPS[0], label="Colour map", min_width=120)
                opacity = gr.Slider(0, 1, 0.6, step=0.05, label="Opacity", min_width=200, buttons=[])
                smooth = gr.Checkbox(False, label="Smooth between patches")
        look, (sa, glca) = [colormap, opacity, smooth], places
        self.one = ViewBinding(
            callbacks.match,
            [record, self.hit, self.branch, self.row, self.column, *look, self.against],
            [self.pair, self.caption, self.twins],
        )
        self.each = ViewBinding(
            callbacks.branches, [record, self.hit, *look, self.against], [sa[0], glca[0], sa[1], glca[1]]
        )
        self._wire(look)

    def _wire(self, look: list[Any]) -> None:
        patch = [self.row, self.column]
        chosen = [self.branch.input, *(event for number in patch for event in (number.submit, number.blur))]
        looked = [self.against.input, *(control.input for control in look)]
        self.one.on(*chosen, *looked, name="match")
        self.each.on(*looked, name="branches")
        clicked = self.pair.select(self.patch_at, [self.record, self.hit, self.against], patch, **CLICKED)
        for event in (clicked, self.whole.click(lambda: (0, 0), None, patch, **PRIVATE)):
            self.one.after(event)
        said = self.answer.input(
            self.callbacks.review, [self.record, self.hit, self.answer], self.kept, api_name="review", **PUBLIC
        )
        said.success(self.marked, [self.record, self.hit], self.hits, **PRIVATE)
        said.failure(self.callbacks.answer_of, [self.record, self.hit], self.answer, **PRIVATE)

    def on_click(self) -> None:
        """A click on a card of the ranking opens it here."""
        place = [self.hit, self.row, self.column, self.place, self.hint, self.against, self.answer, self.kept]
        opened = self.hits.click(self.opened, self.record, place, **CLICKED)
        self.one.after(opened).success(None, None, None, js=SCROLL)
        self.each.after(opened)

    @shows_errors
    def opened(self, record: str, event: gr.EventData) -> tuple[Any, ...]:
        """The clicked card's number, all patches, the visible panel, what to hold it against, what was said of it."""
        number = int(card(event))
        choices = [NONE, *((self.label(record, i, hit), i) for i, hit in self.others(record, number))]
        rival = gr.update(choices=choices, value=0)
        return number, 0, 0, gr.update(visible=True), gr.update(visible=False), rival, self.said(record, number), ""

    def others(self, record: str, number: int) -> list[tuple[int, Hit]]:
        """The other hits by their places, from 1."""
        ranking = self.callbacks.ranked(record).ranking
        assert ranking is not None
        return [(place, hit) for place, hit in enumerate(ranking.hits, 1) if place != number]

    def label(self, record: str, number: int, hit: Hit) -> str:
        """A hit as a choice: "2: vehicle 26, camera 1 (its twin)"."""
        session = self.callbacks.ranked(record)
        assert session.ranking is not None
        gallery = self.callbacks.opened(session)
        verdict = reid_captions.verdict(gallery, session.ranking.known, hit).text
        facts = ", ".join(reid_captions.facts(gallery, hit.item)) or hit.item.path
        return f"{'–' if hit.rank is None else hit.rank}: {facts}" + (f" ({verdict})" if verdict else "")

    def said(self, record: str, number: int) -> str:
        """What was said of a hit before."""
        return self.callbacks.answer_of(record, number)

    @shows_errors
    def marked(self, record: str, number: int) -> str:
        """The ranking's cards again, with what was said of them, the open one marked."""
        session = self.callbacks.ranked(record)
        assert session.ranking is not None
        gallery, reviews = self.callbacks.opened(session), self.callbacks.reviewed(session)
        return cards.hits(gallery, session.ranking, reviews=reviews, chosen=number)

    def closed(self, some: bool) -> dict[Any, Any]:
        """No hit is open; if there are `some`, a hint that one can be opened."""
        hint = gr.update(value=reid_captions.NOTHING_OPEN, visible=some)
        return {self.hit: 0, self.place: gr.update(visible=False), self.hint: hint}

    def fit(self, glca: bool, now: str | None = None) -> dict[Any, Any]:
        """The branches to choose from; the present one stays if it is there."""
        names = list(match_captions.BRANCHES.items()) if glca else [("SA", "fused")]
        kept = now if now in dict(names).values() else "fused"
        return {self.branch: gr.update(choices=names, value=kept)}

    @shows_errors
    def patch_at(self, record: str, hit: int, against: int, event: gr.SelectData) -> tuple[int, int]:
        """(row, column) of the query's patch that was clicked."""
        match = self.callbacks.explained(record, hit, against).match
        found = draw.patch_on_pair(match, *pixel(event))
        if found is None:
            raise DCALError("There is no patch there. Click inside the bright part of the query, on the left.")
        side, patch = found
        if side != "query":
            which = "match" if side == "match" else "other image"
            raise DCALError(
                f"That is the {which}. Click a patch of the query, on the left, to see what it matched here."
            )
        row, column = divmod(patch, match.query.layout.cols)
        return row + 1, column + 1

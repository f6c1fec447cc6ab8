"""The part of the tab "Re-identify" that explains a hit; hidden until one is clicked."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal import DCALError, draw
from dcal_explorer.content import reid_captions
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.components import PRIVATE, ViewBinding, picture, sentence
from dcal_explorer.demo.events import card, pixel
from dcal_explorer.demo.inputs import shows_errors

SCROLL = """() => document.querySelector('#why')?.scrollIntoView({
  behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth', block: 'nearest'})"""


class MatchView:
    """Why the clicked hit matched. `hit` is its place in the ranking, from 1; 0: none is open."""

    def __init__(self, callbacks: ReIDCallbacks, record: gr.State) -> None:
        self.callbacks, self.record = callbacks, record
        self.hit = gr.Number(0, precision=0, visible=False, label="hit")
        self.hint = gr.Markdown(visible=False, elem_id="hint", elem_classes="sentence")
        with gr.Column(visible=False, elem_id="why") as self.place:
            gr.Markdown("### Why did it match?")
            with gr.Row(elem_classes="controls"):
                self.branch = gr.Radio([], label="Branch", scale=4, min_width=280, elem_id="branch")
                self.row = gr.Number(0, minimum=0, precision=0, label="Patch: row (0: all)", scale=2, min_width=120)
                self.column = gr.Number(0, minimum=0, precision=0, label="Column (0: all)", scale=2, min_width=120)
                self.whole = gr.Button("All patches again", size="md", scale=1, min_width=150, elem_id="whole")
            self.pair = picture("Pair picture", clickable=True)
            self.caption, self.twins = sentence("Pair sentence"), sentence("Twin sentence")
            with gr.Row(elem_classes="branches"):
                places = []
                for name in ("SA", "GLCA"):
                    with gr.Column(min_width=260):
                        places.append((picture(f"{name} match"), sentence(f"{name} match sentence")))
            with gr.Accordion("How maps are drawn", open=False), gr.Row():
                colormap = gr.Dropdown(list(draw.COLORMAPS), value=draw.COLORMAPS[0], label="Colour map", min_width=120)
                opacity = gr.Slider(0, 1, 0.6, step=0.05, label="Opacity", min_width=200, buttons=[])
                smooth = gr.Checkbox(False, label="Smooth between patches")
        look = [colormap, opacity, smooth]
        patch = [self.row, self.column]
        (sa, sa_caption), (glca, glca_caption) = places
        self.one = ViewBinding(
            callbacks.match, [record, self.hit, self.branch, *patch, *look], [self.pair, self.caption, self.twins]
        )
        self.each = ViewBinding(callbacks.branches, [record, self.hit, *look], [sa, glca, sa_caption, glca_caption])
        self._wire(look)

    def _wire(self, look: list[Any]) -> None:
        patch = [self.row, self.column]
        chosen = [self.branch.input, *(event for number in patch for event in (number.submit, number.blur))]
        self.one.on(*chosen, *(control.input for control in look), name="match")
        self.each.on(*(control.input for control in look), name="branches")
        clicked = self.pair.select(self.patch_at, [self.record, self.hit], patch, **PRIVATE)
        for event in (clicked, self.whole.click(lambda: (0, 0), None, patch, **PRIVATE)):
            self.one.after(event)

    def on_click(self, hits: gr.HTML) -> None:
        """A click on a card of the ranking opens it here."""
        opened = hits.click(self.opened, None, [self.hit, self.row, self.column, self.place, self.hint], **PRIVATE)
        self.one.after(opened).success(None, None, None, js=SCROLL)
        self.each.after(opened)

    def opened(self, event: gr.EventData) -> tuple[int, int, int, Any, Any]:
        """The clicked card's number, all patches, and the visible panel."""
        return int(card(event)), 0, 0, gr.update(visible=True), gr.update(visible=False)

    def closed(self, some: bool) -> dict[Any, Any]:
        """No hit is open; if there are `some`, a hint that one can be opened."""
        hint = gr.update(value=reid_captions.NOTHING_OPEN, visible=some)
        return {self.hit: 0, self.place: gr.update(visible=False), self.hint: hint}

    def fit(self, glca: bool) -> dict[Any, Any]:
        """The branches to choose from."""
        names = list(reid_captions.BRANCHES.items()) if glca else [("SA", "fused")]
        return {self.branch: gr.update(choices=names, value="fused")}

    @shows_errors
    def patch_at(self, record: str, hit: int, event: gr.SelectData) -> tuple[int, int]:
        """(row, column) of the query's patch that was clicked."""
        match = self.callbacks.explained(record, hit).match
        found = draw.patch_on_pair(match, *pixel(event))
        if found is None:
            raise DCALError("There is no patch there. Click inside the bright part of the query, on the left.")
        side, patch = found
        if side == "match":
            raise DCALError("That is the match. Click a patch of the query, on the left, to see what it matched here.")
        row, column = divmod(patch, match.query.layout.cols)
        return row + 1, column + 1

"""Handlers of clicks in images and of the play button. Rows, columns and layers count from 1, as on the page."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dcal import DCALError, Inspection, draw
from dcal_explorer.demo.inputs import shows_errors
from dcal_explorer.demo.sessions import Entry, SessionStore

PLAY, PAUSE = "▶ Play", "❚❚ Pause"


class ClickHandlers:
    """The page's private callbacks: they move controls; a public callback then draws."""

    def __init__(self, records: SessionStore[Entry]) -> None:
        self.records = records

    @shows_errors
    def patch_at(self, record: str, event: gr.SelectData) -> tuple[int, int]:
        """(row, column) of the clicked patch of a drawn image."""
        seen = self.records.get(record).seen
        found = draw.patch_at(seen, *pixel(event), draw.drawn_size(seen))
        if found is None:
            raise DCALError("There is no patch there. Click inside the bright part.")
        return found[0] + 1, found[1] + 1

    def patch_from_layer(self, record: str, event: gr.SelectData) -> tuple[int, int, Any, str]:
        """The clicked patch, and the view of one patch opened for it."""
        return *self.patch_at(record, event), gr.Tabs(selected="token"), "token"

    @shows_errors
    def layer_at(self, record: str, event: gr.SelectData) -> Any:
        """The layer that was clicked in the strip."""
        seen = self.records.get(record).seen
        found = draw.tile_at(seen, *pixel(event), seen.num_layers)
        return gr.skip() if found is None else found + 1

    @shows_errors
    def play(self, record: str, playing: bool, layer: int) -> tuple[bool, Any, str, int]:
        """Start playing the rollout, from the first layer if the last is shown, or stop."""
        depth = self.records.get(record).seen.num_layers
        return *running(not playing), 1 if not playing and layer >= depth else layer

    @shows_errors
    def advance(self, record: str, layer: int) -> tuple[bool, Any, str, int]:
        """The next layer while the rollout plays; it stops at the last one."""
        depth = self.records.get(record).seen.num_layers
        return *running(layer + 1 < depth), min(layer + 1, depth)


def running(playing: bool) -> tuple[bool, Any, str]:
    """The state, the timer and the button's label while the rollout plays, or does not."""
    return playing, gr.Timer(active=playing), PAUSE if playing else PLAY


def pixel(event: gr.SelectData) -> tuple[int, int]:
    """(x, y) of a click, in pixels of the drawn image."""
    x, y = event.index  # a pair, for images
    return int(x), int(y)


def card(event: gr.EventData) -> str:
    """The key of the card that was clicked (content/cards.py)."""
    return str(event.card)


def strongest(seen: Inspection) -> tuple[int, int]:
    """(row, column) of the patch that contributes most to the class token."""
    row, column = divmod(int(seen.scores.argmax()), seen.layout.cols)
    return row + 1, column + 1

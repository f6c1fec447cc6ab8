"""What an event of the page carries."""

from __future__ import annotations

import gradio as gr


def pixel(event: gr.SelectData) -> tuple[int, int]:
    """(x, y) of a click, in pixels of the drawn image."""
    x, y = event.index  # a pair, for images
    return int(x), int(y)


def card(event: gr.EventData) -> str:
    """The key of the card that was clicked (content/cards.py)."""
    return str(event.card)

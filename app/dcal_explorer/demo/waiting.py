"""What a visitor sees while others are served."""

from __future__ import annotations

import gradio as gr

from dcal_explorer.demo.model_queue import OnWait


def place_in_queue(progress: gr.Progress) -> OnWait:
    """Shows a visitor on the page how many requests are before the own one, and about how long they take."""
    first: list[int] = []

    def show(place: int, seconds: float) -> None:
        first.append(place + 1)
        words = f"Waiting: {place} before this one, about {max(1, round(seconds))} s"
        progress((max(0, first[0] - place - 1), first[0]), desc=words, unit="requests")

    return show

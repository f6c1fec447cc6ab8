"""What stands in the page's address, so that a link or the back button restores it (written by address.js)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr

from dcal_explorer.demo.components import PRIVATE
from dcal_explorer.demo.restart import KEPT, shown

TABS = ("inspect", "compare", "reidentify")
READ = (Path(__file__).with_name("address.js")).read_text(encoding="utf-8")  # a function that gives the address
READ_ALL = f"async () => [({READ})(), await ({KEPT})()]"  # and the images that the page showed before it was loaded
# What is chosen in the controls; the view and the tabs write theirs themselves.
WRITE = """(image, checkpoint, target, rival, ratio) => {
    globalThis.dcalAddress?.set({ image, checkpoint, class: target, rival, r: ratio });
    return [];
}"""


def wire(
    page: gr.Blocks, inspect: Any, tabs: gr.Tabs, each: Mapping[str, gr.Tab], others: Sequence[gr.Component] = ()
) -> None:
    """Restore what the address says when the page is opened and when the visitor goes back; write the open tab.

    `others` are the image of Compare and what Re-identify remembers, where there are such tabs.
    """
    search, kept = gr.Textbox(visible=False), gr.JSON(visible=False)
    names = inspect.callbacks.library.names()

    def arrived(search: str, kept: Any) -> tuple[Any, ...]:
        before = shown(inspect.callbacks.folder, kept)
        found = replace(wanted(search, names, inspect.samples), upload=before.inspect)
        tab = gr.Tabs(selected=found.tab) if found.tab in each else gr.skip()  # who has chosen one by now keeps it
        return found, tab, *(gr.skip() if before.compare is None else str(before.compare), before)[: len(others)]

    def went_back(search: str) -> tuple[Wanted, Any]:
        found = wanted(search, names, inspect.samples)
        return found, gr.Tabs(selected=found.tab if found.tab in each else TABS[0])

    again = gr.Button("Restore", visible="hidden", elem_id="restore")
    places = [inspect.wanted, tabs]
    inspect.arrive(page.load(arrived, [search, kept], [*places, *others], js=READ_ALL, **PRIVATE))
    inspect.arrive(again.click(went_back, search, places, js=READ, **PRIVATE))
    for name, tab in each.items():
        tab.select(None, None, None, js=f"() => globalThis.dcalAddress?.set({{ tab: '{name}' }})", **PRIVATE)


@dataclass(frozen=True)
class Wanted:
    """What the address asks for; None where it says nothing, or nothing that the page has.

    `image` is a sample's name. `state` is the live view's, which checks every value of it. `upload` is the image that
    the page showed before it was loaded again, which no address names.
    """

    tab: str | None = None
    image: str | None = None
    checkpoint: str | None = None
    target: str | None = None
    rival: str | None = None
    ratio: float | None = None
    state: dict[str, Any] | None = None
    upload: Path | None = None


def wanted(search: str, checkpoints: Sequence[str], samples: Sequence[Path]) -> Wanted:
    """What the part of an address behind the question mark asks for. Whatever cannot be had is left out."""
    given = {name: values[0] for name, values in parse_qs(str(search).removeprefix("?")).items()}

    def among(name: str, known: Sequence[str]) -> str | None:
        return given[name] if given.get(name) in known else None

    return Wanted(
        tab=among("tab", TABS),
        image=among("image", [path.stem for path in samples]),
        checkpoint=among("checkpoint", checkpoints),
        target=given.get("class"),
        rival=given.get("rival"),
        ratio=_ratio(given.get("r")),
        state=_state(given.get("view")),
    )


def _ratio(text: str | None) -> float | None:
    try:
        ratio = float(text or "")
    except ValueError:
        return None
    return ratio if 0 < ratio <= 1 else None


def _state(text: str | None) -> dict[str, Any] | None:
    try:
        state = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return state if isinstance(state, dict) else None

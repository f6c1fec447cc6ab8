"""Names that are markup, on every page of both faces: they are shown as text."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from gradio.exceptions import Error
from streamlit.testing.v1 import AppTest

from dcal_explorer.content import captions, cards
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.places import sample_images
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from dcal_explorer.dashboard.views.runs import RUNS
from dcal_explorer.demo.callbacks.compare import CompareCallbacks
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from tests.app.test_dashboard import PATIENCE
from tests.fixtures.hostile_names import PAYLOADS, Markup, write_hostile, wrong_in

Hostile = tuple[Path, str, str]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    return write_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def callbacks(hostile: Hostile, tmp_path: Path) -> InspectCallbacks:
    return InspectCallbacks(CheckpointLibrary(hostile[0]), tmp_path)


@pytest.fixture
def upload(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / f"{PAYLOADS[9]}.webp"
    path.write_bytes(sample_images()[0].read_bytes())
    return {"path": str(path), "orig_name": path.name}


def texts(found: Any) -> Iterator[str]:
    """The sentences among outputs: not the keys, tables and payloads, which pages show as text."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, tuple):
        for part in found:
            yield from texts(part)


def check(pieces: list[str], least: int) -> None:
    """That no piece has markup of a name, and that at least so many do show a name."""
    assert {piece: wrong for piece in pieces if (wrong := wrong_in(piece))} == {}
    read = [html.unescape(piece.replace("\\", "")) for piece in pieces]
    assert sum(any(mark in piece for mark in ("hit=1", "evil", "<i>", "<style>*")) for piece in read) >= least, pieces


def test_what_is_looked_for_is_found() -> None:
    """Each name alone is markup, as HTML or as Markdown; those of attributes and of text need a place."""
    assert [bool(wrong_in(name)) for name in PAYLOADS] == [True] * 3 + [True, False, False] + [True] * 5 + [False]
    assert Markup(f"<img alt='{PAYLOADS[4]}'>").wrong and Markup(f'<img alt="{PAYLOADS[5]}">').wrong
    assert wrong_in(f"<p>{PAYLOADS[11].replace('&lt;', '<')}</p>")


def test_inspect_and_its_endpoints(callbacks: InspectCallbacks, hostile: Hostile, upload: dict[str, Any]) -> None:
    _, name, _ = hostile
    key, _, summary = callbacks.inspect(upload, name)
    pieces = [summary]
    for target in PAYLOADS:
        pieces += [*texts(callbacks.evidence(key, target)), *texts(callbacks.live(key, target, PAYLOADS[0], 0.5)[1:])]
    for found in (callbacks.layer(key, 6), callbacks.select(key, 1.0), callbacks.compare(key)):
        pieces += texts(found)
    check(pieces, least=2 * len(PAYLOADS))


def test_compare(callbacks: InspectCallbacks, hostile: Hostile, upload: dict[str, Any]) -> None:
    _, name, other = hostile
    compared = CompareCallbacks(callbacks)
    _, _, verdict = compared.compare_checkpoints(upload, [name, other])
    library = callbacks.library
    heads = [captions.about(library.config(own), own, library.evaluation(own)) for own in (name, other)]
    check([verdict, *heads], least=3)


def test_re_identify(callbacks: InspectCallbacks, hostile: Hostile) -> None:
    _, _, name = hostile
    find = ReIDCallbacks(callbacks, [])
    gallery = find.galleries.open(name)
    pieces: list[str] = []
    for item in gallery.embedded.items[: len(PAYLOADS)]:
        key, caption = find.choose(item.path, name)
        _, sentence = find.ranking(key, across=False, most=20)
        session = find.records.get(key)
        reviews = {hit.item.path: PAYLOADS[3] for hit in session.ranking.hits}
        pieces += [caption, sentence, cards.hits(gallery, session.ranking, reviews=reviews)]
        pieces += [cards.thumbnails(gallery, [item], item.path), cards.views(gallery, [item], item)]
        pieces.append(cards.captioned(gallery, [item]))
    pieces += texts(find.match(key, 1))
    _, several = find.choose(gallery.embedded.items[1].path, name, key, add=True)
    check([*pieces, several], least=5 * len(PAYLOADS))


def test_errors(callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
    """Gradio shows an error as HTML."""
    pieces = []
    for name in PAYLOADS:
        with pytest.raises(Error) as caught:
            callbacks.inspect(upload, f"no {name}")
        pieces.append(f"<p>{caught.value.message}</p>")
    check(pieces, least=len(PAYLOADS))


def page(name: str) -> None:
    import importlib

    importlib.import_module(f"dcal_explorer.dashboard.views.{name}").page()


def said(app: AppTest) -> list[str]:
    """All that a page shows in HTML and Markdown."""
    kinds = (app.markdown, app.caption, app.error, app.info, app.warning, app.success, app.subheader)
    pieces = [str(element.value) for kind in kinds for element in kind]
    assert not any(element.proto.allow_html for element in app.markdown)
    return pieces + [element.proto.body for element in app.get("html")]


@pytest.mark.parametrize(
    ("name", "least"),
    [("inspect", 3), ("compare", 2), ("reidentify", 4), ("retrieval", 5), ("ablations", 1), ("runs", 1)],
)
def test_the_dashboard(name: str, least: int, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hostile[0]
    run = folder.parent / "runs" / PAYLOADS[9]
    run.mkdir(parents=True, exist_ok=True)
    (run / "log.jsonl").write_text("{")
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    monkeypatch.setenv(RUNS, str(run.parent))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE, kwargs={"name": name}).run()
    assert not app.exception
    check(said(app), least)

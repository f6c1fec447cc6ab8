"""Names that are markup, on every page of both faces: they are shown as text."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from gradio.exceptions import Error
from streamlit.testing.v1 import AppTest

from dcal_explorer.content import captions, cards
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.places import sample_images
from dcal_explorer.dashboard import charts
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from dcal_explorer.dashboard.views.runs import RUNS
from dcal_explorer.demo.callbacks.compare import CompareCallbacks
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from tests.app.test_dashboard import PATIENCE
from tests.fixtures.hostile_names import PAYLOADS, Markup, shown_in, texts_of, write_hostile, write_log, wrong_in

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
    captions = [image.caption for element in app.get("image") for image in element.proto.imgs]
    return pieces + captions + [element.proto.body for element in app.get("html")]


@pytest.mark.parametrize(
    ("name", "least", "drawn", "query"),
    [
        ("inspect", 3, 5, {}),
        ("compare", 4, 0, {"compared": [PAYLOADS[0], PAYLOADS[8]]}),
        ("reidentify", 4, 0, {}),
        ("retrieval", 5, 12, {}),
        ("ablations", 1, 3, {}),
        ("runs", 1, 12, {}),
        ("images", 12, 0, {"source": "Test images of a checkpoint", "evaluated_checkpoint": PAYLOADS[0]}),
        ("twins", 2, 0, {}),
    ],
)
def test_the_dashboard(
    name: str, least: int, drawn: int, query: dict[str, Any], hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hostile[0]
    run = folder.parent / "runs" / PAYLOADS[9]
    write_log(run)
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    monkeypatch.setenv(RUNS, str(run.parent))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE, kwargs={"name": name})
    app.query_params.update(query)
    app.run()
    assert not app.exception
    pieces = said(app)
    check(pieces, least)
    assert not [piece for piece in pieces if piece.startswith("<style") and any(name in piece for name in PAYLOADS)]
    figures = [json.loads(element.proto.spec) for element in app.get("plotly_chart")]
    assert len([text for figure in figures for text in shown_in(figure) if text in PAYLOADS]) >= drawn


def test_a_figure_shows_every_text_as_it_is() -> None:
    """Wherever a name can stand in a figure; what is shown is what was given, also where a name has entities."""
    names = [*PAYLOADS, "a$x^2$b", "1 < 2 & 3", "<br>", "<a href='https:evil.example' target=x>x", "&#60;b&#62;"]
    figure = charts.lines({name: ([0.0], [1.0]) for name in names}, names[0], names[1])
    figure.add_bar(y=names, x=np.arange(len(names)), text=names, hovertext=names, customdata=[[name] for name in names])
    figure.update_layout(title=names[0], annotations=[{"text": name} for name in names])
    figure.update_xaxes(ticktext=names, tickvals=list(range(len(names))))
    given, shown = json.loads(figure.to_json()), json.loads(charts.as_text(figure).to_json())
    assert shown["layout"].pop("hoverlabel") == {"namelength": -1}
    assert sorted(shown_in(shown)) == sorted(texts_of(given)) and len(shown_in(shown)) > 6 * len(names)


def test_no_page_shows_a_figure_but_as_text() -> None:
    own = Path(charts.__file__)
    for path in own.parent.rglob("*.py"):
        assert ("plotly_chart(" in path.read_text(encoding="utf-8")) == (path == own), path

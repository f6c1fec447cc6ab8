"""The live view's adapters: gradio and streamlit served, and notebooks with anywidget's model played by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from dcal_explorer.view.assets import adapted, body, order, source
from tests.fixtures.view_page import ATTENTION, MAP, at_patch, record

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
HEARD = "layer 1, map glca, patch 7"
Serve = Callable[..., str]


def ready(page: Page, title: str = "Rollout after layer 4 of 4") -> None:
    expect(page.locator(f"{MAP} h3")).to_have_text(title)
    expect(page.locator(f"{ATTENTION} .dcal-readout")).to_contain_text("Strongest")


def choose(page: Page) -> None:
    """Keep a patch, and choose a layer whose attention has to be fetched, and a map."""
    page.mouse.click(*at_patch(page, record(), 1.5, 2.5))
    page.get_by_role("radio", name="Layer 2").click()
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(
        0
    )  # streamlit's "Connection error", which nothing below it survives
    page.get_by_role("tab", name="GLCA", exact=True).click()


def attention_shown(page: Page) -> str:
    page.mouse.move(1, 1)
    return page.locator(f"{ATTENTION} .dcal-readout").inner_text()


def strongest(patch_map: np.ndarray) -> str:
    row, col = divmod(int(patch_map.argmax()), patch_map.shape[1])
    return f"Strongest: row {row + 1}, column {col + 1} with "


def test_in_gradio(page: Page, serve: Serve) -> None:
    page.goto(serve("-m", "tests.fixtures.view_gradio"))
    ready(page)
    choose(page)
    expect(page.get_by_label("Heard")).to_have_value(HEARD)
    assert attention_shown(page).startswith(strongest(record().token(1, 1, 2)))
    page.get_by_label("second").check()
    expect(page.locator(".dcal-view")).to_have_attribute("aria-label", "Attention maps of <b>second</b>")
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_be_hidden()
    assert attention_shown(page).startswith(strongest(record(seed=5).token(1, 1, 2)))
    expect(page.get_by_label("Attending token").locator("option:checked")).to_have_text("row 2, column 3")
    page.get_by_label("other grid").check()
    expect(page.locator(".dcal-live")).to_contain_text("The kept patch was released")
    page.get_by_label("lost").check()
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_contain_text("no longer kept on the server")
    page.get_by_label("none").check()
    expect(page.locator(".dcal-view")).to_have_count(0)
    page.get_by_label("first").check()
    ready(page)


def test_gradio_in_dark_mode(page: Page, serve: Serve) -> None:
    page.goto(serve("-m", "tests.fixtures.view_gradio") + "?__theme=dark")
    ready(page)
    expect(page.locator(".dcal-view")).to_have_attribute("data-theme", "dark")


def test_in_streamlit(page: Page, serve: Serve) -> None:
    script = str(FIXTURES / "view_streamlit.py")
    page.goto(serve("-m", "streamlit", "run", script, "--server.headless=true", PYTHONPATH=".:app"))
    ready(page)
    choose(page)
    expect(page.get_by_text("Heard: (1, 'glca', 7)")).to_be_visible()
    assert attention_shown(page).startswith(strongest(record().token(1, 1, 2)))
    page.get_by_text("second", exact=True).click()
    expect(page.locator(".dcal-view")).to_have_attribute("aria-label", "Attention maps of <b>second</b>")
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_be_hidden()
    assert attention_shown(page).startswith(strongest(record(seed=5).token(1, 1, 2)))
    expect(page.get_by_label("Attending token").locator("option:checked")).to_have_text("row 2, column 3")


def test_in_a_notebook(page: Page) -> None:
    import dcal

    seen = record()
    widget = dcal.show(seen, title="heron.webp")
    sent: list[Any] = []
    widget.send = sent.append  # what would go through the kernel's channel

    def asked(content: dict) -> dict:
        widget._answer(None, content, [])
        return sent.pop()

    page.expose_function("kernel", asked)
    page.set_content(f"<style>{widget._css}</style><main></main>")
    page.evaluate(
        """async ([code, payload]) => {
            const listeners = {};
            const model = {
                get: () => payload,
                on: (name, listener) => { listeners[name] = listener; },
                off: name => { delete listeners[name]; },
                send: async content => listeners["msg:custom"]?.(await kernel(content)),
            };
            const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
            const { default: widget } = await import(url);
            globalThis.end = widget.render({ model, el: document.querySelector("main") });
        }""",
        [str(widget._esm), widget.payload],
    )
    ready(page)
    choose(page)
    assert attention_shown(page).startswith(strongest(seen.token(1, 1, 2)))
    page.evaluate("() => end()")
    expect(page.locator(".dcal-view")).to_have_count(0)


def test_a_widget_answers_only_for_its_record() -> None:
    import dcal

    widget = dcal.show(record())
    sent: list[Any] = []
    widget.send = sent.append
    widget._answer(None, {"number": "1", "request": {"id": "another", "kind": "layer", "layer": 0}}, [])
    widget._answer(None, {"number": "2", "request": {"id": "shown", "kind": "layer", "layer": 99}}, [])
    widget._answer(None, "no request", [])
    assert [answer["number"] for answer in sent] == ["1", "2"]
    assert "shows no record 'another'" in sent[0]["error"]
    assert "there is no layer 99" in sent[1]["error"]


def test_the_parts_join_to_one_script() -> None:
    names = [name for name in order()]
    assert names[-1] == "view.js" and len(names) == len(set(names)) > 12
    text = body()
    assert "\nimport " not in text and "\nexport " not in text
    declared = [
        line.split()[line.split().index(kind) + 1].split("(")[0]
        for name in names
        for line in source(name).splitlines()
        for kind in ("function", "class", "const")
        if line.removeprefix("export ").removeprefix("async ").startswith(f"{kind} ")
    ]
    twice = {name for name in declared if declared.count(name) > 1}
    assert not twice, f"{sorted(twice)} are declared in two of the files, which share one scope once joined"


@pytest.mark.parametrize("adapter", ["streamlit.js", "notebook.js"])
def test_adapters_are_modules_with_one_default_export(adapter: str) -> None:
    assert adapted(adapter).count("\nexport default ") == 1


def test_a_payload_is_json(tmp_path: Path) -> None:
    from dcal_explorer.view.payload import payload

    packed = payload(record(), key="k")
    assert json.loads(json.dumps(packed, allow_nan=False)) == packed

"""The dashboard's comparison in a real browser: four columns where there is room, one below the other where not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dcal_explorer.dashboard.views import compare
from tests.fixtures.ablations import LAYERS, NAMES, write_ablations
from tests.fixtures.contrast import contrast

PATIENCE = 60_000  # ms
COLUMN = ".st-key-columns [data-testid=stColumn]"
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_ablations(tmp_path_factory.mktemp("four"))
    return (
        serve("-m", "streamlit", "run", "app/dcal_explorer/dashboard/main.py", DCAL_CHECKPOINTS=str(folder))
        + "/compare"
    )


def boxes(page: Page, selector: str) -> list[dict[str, Any]]:
    """Where every element lies that `selector` finds, rounded to pixels."""
    return page.locator(selector).evaluate_all(
        """all => all.map(e => e.getBoundingClientRect().toJSON()).map(
            box => Object.fromEntries(Object.entries(box).map(([name, value]) => [name, Math.round(value)])))"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_four_columns_stand_in_rows_or_stack(page: Page, url: str, scheme: Any) -> None:
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    expect(page.locator(f"{COLUMN} .about")).to_have_count(len(NAMES))
    expect(page.locator(f"{COLUMN} img")).to_have_count(8)  # four rollouts; two GLCA maps and two selections
    expect(page.locator(f"{COLUMN} .absent").first).to_contain_text(compare.NO_MAP)
    expect(page.locator(f"{COLUMN} [data-testid=stElementContainer]")).to_have_count(9 * len(NAMES))  # all are there

    page.wait_for_timeout(2000)  # until the columns have settled
    columns = boxes(page, COLUMN)
    assert (
        len({c["y"] for c in columns}) == 1 and len({c["width"] for c in columns}) == 1 and columns[0]["width"] >= 200
    )
    assert [c["x"] for c in columns] == sorted({c["x"] for c in columns})
    for part in (".bars", "img", "[data-testid=stCaptionContainer]"):  # the first of each column, whatever is above it
        assert len({boxes(page, f"{COLUMN}:nth-child({i}) {part}")[0]["y"] for i in (1, 2, 3, 4)}) == 1, part
    last = [boxes(page, f"{COLUMN}:nth-child({i}) [data-testid=stCaptionContainer]")[-1]["y"] for i in (1, 2, 3, 4)]
    assert len(set(last)) == 1  # also where something is absent
    for text in (
        ".about p",
        ".about h3",
        ".bars li span",
        ".bars h4",
        ".absent p",
        "[data-testid=stCaptionContainer] p",
    ):
        assert contrast(page, f"{COLUMN} {text}") > 4.5, text

    slider = page.get_by_role("slider", name="Layer of the rollout")
    slider.focus()
    slider.press("ArrowLeft")
    expect(page.get_by_text(f"Rollout by layer {LAYERS - 1}", exact=True)).to_have_count(4)

    page.set_viewport_size({"width": 400, "height": 850})
    page.wait_for_function(f"document.querySelector('{COLUMN}').getBoundingClientRect().width > 300")
    columns = boxes(page, COLUMN)
    assert len({c["x"] for c in columns}) == 1 and all(c["x"] >= 0 and c["x"] + c["width"] <= 400 for c in columns)
    assert all(below["y"] >= above["y"] + above["height"] for above, below in pairwise(columns))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert boxes(page, f"{COLUMN} .absent")[0]["height"] < 150  # what is not there takes little room

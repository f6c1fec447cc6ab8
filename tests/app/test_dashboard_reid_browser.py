"""The dashboard's page Re-identify in a real browser: rankings stand beside each other, or below each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app.test_dashboard_browser import PATIENCE, boxes
from tests.fixtures.contrast import contrast
from tests.fixtures.tiny_yard import write_checkpoints

COLUMN = ".st-key-rankings [data-testid=stColumn]"
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_checkpoints(tmp_path_factory.mktemp("reid"))
    return (
        serve("-m", "streamlit", "run", "app/dcal_explorer/dashboard/server.py", DCAL_CHECKPOINTS=str(folder))
        + "/reidentify"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rankings_stand_beside_each_other_or_stack(page: Page, url: str, scheme: Any) -> None:
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    expect(page.locator(f"{COLUMN} .cards.hits")).to_have_count(2)
    expect(page.locator(".st-key-explained [data-testid=stColumn] img")).to_have_count(2)
    expect(page.locator("[data-testid=stTable]")).to_be_visible()
    for part in (".about", ".cards.hits"):
        assert len({box["y"] for box in boxes(page, f"{COLUMN} {part}")}) == 1, part
    cards = boxes(page, f"{COLUMN}:nth-child(1) .cards.hits li")
    assert min(card["width"] for card in cards) >= 90
    for text in (".mark span", ".mark b", ".facts span", ".about h3"):
        assert contrast(page, f"{COLUMN} {text}") > 4.5, text

    page.set_viewport_size({"width": 400, "height": 850})
    page.wait_for_function(f"document.querySelectorAll('{COLUMN}')[1].getBoundingClientRect().x < 60")
    first, second = boxes(page, COLUMN)
    assert first["x"] == second["x"] and second["y"] >= first["y"] + first["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_another_vehicle_is_chosen_and_a_patch_is_asked(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.goto(url)
    expect(page.get_by_text("Query: vehicle 25, camera 1")).to_be_visible()
    page.get_by_role("radiogroup", name="Camera").get_by_text("8", exact=True).click()
    expect(page.get_by_text("Query: vehicle 25, camera 8")).to_be_visible()
    page.get_by_text("Show what one patch of the query matched").click()
    expect(page.get_by_text("Patches of the match that are similar to the outlined").first).to_be_visible()

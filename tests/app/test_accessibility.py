"""Whole pages of both faces under axe-core's rules, light and dark: nothing serious and nothing critical."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.ablations import write_ablations
from tests.fixtures.axe import needs_axe, serious
from tests.fixtures.tiny_yard import write_checkpoints

pytestmark = needs_axe
PATIENCE = 120_000  # ms
PAGES = {  # of the dashboard → what is there when the page is
    "inspect": ".dcal-stage canvas",
    "compare": ".st-key-columns .dcal-stage canvas",
    "reidentify": ".st-key-explained img",
    "images": "ol.cards img",
    "ablations": "[data-testid=stDataFrame]",
    "retrieval": "[class*=st-key-embedding_map] svg",
    "twins": "[class*=st-key-twin-] img",
    "runs": "[data-testid=stAlert]",
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four that classify and two that re-identify, with galleries."""
    return str(write_ablations(write_checkpoints(tmp_path_factory.mktemp("both"))))


def test_the_demo(page: Page, serve: Callable[..., str], checkpoints: str) -> None:
    page.goto(serve("-m", "dcal_explorer.demo", "--no-browser", "--checkpoints", checkpoints))
    for tab, there in {
        "Inspect": "#predictions li",
        "Compare": "#compared-1 .dcal-stage canvas",
        "Re-identify": "#hits button",
    }.items():
        page.get_by_role("tab", name=tab, exact=True).first.click()
        expect(page.locator(there).first).to_be_visible(timeout=PATIENCE)
        if tab == "Re-identify":
            page.locator("#hits button").first.click()
            drawing = page.locator("#pair-drawing button:has(img)")
            expect(drawing).to_have_attribute("aria-describedby", "pair-sentence", timeout=PATIENCE)
        page.wait_for_timeout(1000)  # what fades in is there
        for scheme in ("light", "dark"):
            page.evaluate("scheme => document.body.classList.toggle('dark', scheme === 'dark')", scheme)
            page.wait_for_timeout(500)
            assert not serious(page), f"{tab}, {scheme}"


def test_the_dashboard(page: Page, serve: Callable[..., str], checkpoints: str) -> None:
    url = serve("-m", "streamlit", "run", "app/dcal_explorer/dashboard/server.py", DCAL_CHECKPOINTS=checkpoints)
    for name, there in PAGES.items():
        page.emulate_media(color_scheme="light")
        page.goto(f"{url}/{name}")
        expect(page.locator(there).first).to_be_visible(timeout=PATIENCE)
        expect(page.locator("[data-testid=stStatusWidget], [class*=st-key-work-]")).to_have_count(0, timeout=PATIENCE)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(500)
            assert not serious(page), f"{name}, {scheme}"

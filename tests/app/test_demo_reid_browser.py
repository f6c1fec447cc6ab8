"""The demo's tab "Re-identify" in a real browser, on small checkpoints with galleries."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.app.test_demo_browser import PATIENCE
from tests.fixtures.contrast import contrast
from tests.fixtures.tiny_yard import COLS, ROWS, write_checkpoints

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_checkpoints(tmp_path_factory.mktemp("reid"))
    shutil.copytree(folder / "reid-full", folder / "reid-lost", ignore=shutil.ignore_patterns("gallery"))
    return serve("-m", "dcal_explorer.demo", "--no-browser", "--checkpoints", str(folder))


@pytest.fixture
def demo(page: Page, url: str) -> Page:
    """The page with the tab open: its first query is ranked."""
    page.goto(url)
    page.get_by_role("tab", name="Re-identify", exact=True).click()
    expect(page.locator("#hits button")).to_have_count(8)
    return page


def click_on_pair(page: Page, across: float, down: float) -> None:
    """Click a place of the pair's drawing, given as shares of its width and height."""
    image = page.locator("#pair-drawing img")
    image.scroll_into_view_if_needed()
    natural = image.evaluate("async image => (await image.decode(), [image.naturalWidth, image.naturalHeight])")
    shown = image.bounding_box()
    assert shown is not None
    scale = min(shown["width"] / natural[0], shown["height"] / natural[1])
    x0, y0 = (shown["width"] - natural[0] * scale) / 2, (shown["height"] - natural[1] * scale) / 2
    image.click(position={"x": x0 + across * natural[0] * scale, "y": y0 + down * natural[1] * scale})


def hit(page: Page, label: str) -> Locator:
    return page.locator(f'#hits button[title*="{label}"]').first


def test_a_person_picks_a_query_sees_the_ranking_and_asks_why(demo: Page) -> None:
    expect(demo.locator("#query-sentence")).to_contain_text("vehicle 25, camera 1")
    demo.locator('#queries button[aria-label="vehicle 60, camera 1"]').focus()
    demo.keyboard.press("Enter")
    expect(demo.locator("#query-sentence")).to_contain_text("vehicle 60, camera 1")
    expect(hit(demo, "vehicle 59")).to_contain_text("✗ its twin")
    expect(demo.locator("#ranking-sentence")).to_contain_text("Average precision")
    expect(demo.locator("#query img")).to_be_visible()
    expect(demo.locator("#why")).to_be_hidden()

    hit(demo, "vehicle 59, camera 8").click()
    expect(demo.locator("#pair-drawing img")).to_be_visible()
    expect(demo.locator("#pair-sentence")).to_contain_text("similarity")
    expect(demo.locator("#twin-sentence")).to_contain_text("These two are twins")
    expect(demo.locator("#glca-match-sentence")).to_contain_text("GLCA:")
    expect(demo.locator('#hits button[aria-pressed="true"]')).to_have_count(1)

    click_on_pair(demo, 0.5 * (COLS - 0.5) / COLS * 0.98, 0.5 / ROWS * 0.9)  # the last patch of the query's first row
    expect(demo.locator("#pair-sentence")).to_contain_text(f"Row 1, column {COLS} of the query")
    demo.get_by_role("button", name="All patches again").click()
    expect(demo.locator("#pair-sentence")).to_contain_text("Rank")
    demo.get_by_label("GLCA", exact=True).check()
    expect(demo.locator("#pair-sentence")).to_contain_text("(GLCA)")

    demo.locator("#find-checkpoint input").click()
    demo.get_by_role("option", name="reid-sa_only").click()
    expect(demo.locator("#why")).to_be_hidden()
    expect(demo.locator("#query-sentence")).to_contain_text("vehicle 60, camera 1")
    hit(demo, "vehicle 25").click()
    expect(demo.locator("#glca-match-sentence")).to_contain_text("SA is the only branch")


def test_a_checkpoint_without_a_gallery_gets_a_message_and_the_query_stays(demo: Page) -> None:
    demo.locator("#find-checkpoint input").click()
    demo.get_by_role("option", name="reid-lost").click()
    expect(demo.locator(".toast-body")).to_contain_text("reid-lost has no gallery to search")
    expect(demo.locator("#find-checkpoint input")).to_have_value("reid-full")
    expect(demo.locator("#query-sentence")).to_contain_text("vehicle 25, camera 1")
    hit(demo, "vehicle 26").click()
    expect(demo.locator("#pair-sentence")).to_contain_text("similarity")


def test_cameras_restrict_the_ranking(demo: Page) -> None:
    demo.locator("#cameras input").click()
    demo.get_by_role("option", name="Camera 3").click()
    expect(demo.locator("#hits button")).to_have_count(4)
    expect(demo.locator("#ranking-sentence")).to_contain_text("among 4 images of the other cameras")


def test_the_querys_own_camera_can_be_admitted(demo: Page) -> None:
    demo.get_by_label("Exclude the query's own camera").uncheck()
    expect(demo.locator("#hits button")).to_have_count(11)
    expect(hit(demo, "vehicle 26, camera 1")).to_contain_text("✗ its twin")


def test_a_bad_upload_gets_a_message_and_the_page_goes_on(demo: Page, tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"%PDF-1.7")
    demo.locator("#query input[type=file]").first.set_input_files(tmp_path / "holiday.png")
    toast = demo.locator(".toast-body")
    expect(toast).to_contain_text("PDF document")
    expect(toast).not_to_contain_text("/")
    demo.locator(".toast-close").click()
    expect(demo.locator("#query img")).to_be_visible()  # the query that it had
    expect(demo.locator("#hits button")).to_have_count(8)
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "crop.png")
    demo.locator("#query input[type=file]").first.set_input_files(tmp_path / "crop.png")
    expect(demo.locator("#query-sentence")).to_contain_text("Your own crop")
    expect(demo.locator("#hits button")).to_have_count(12)
    expect(demo.locator('#queries button[aria-pressed="true"]')).to_have_count(0)  # none of them is the query now
    demo.locator("#hits button").first.click()
    expect(demo.locator("#pair-sentence")).to_contain_text("Rank 1: similarity")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_all_without_scrolling_sideways(page: Page, url: str, scheme: Any) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    page.get_by_role("tab", name="Re-identify", exact=True).click()
    hit(page, "vehicle 26").click()
    expect(page.locator("#twin-sentence")).to_contain_text("twins")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    for text in ("#hits .mark span", "#hits .mark b", "#hits .facts span", "#pair-sentence p", "#query-sentence p"):
        assert contrast(page, text) > 4.5, text


def test_a_stock_client_ranks_and_lists(url: str) -> None:
    client = Client(url, verbose=False)
    listed = client.predict("reid-full", "", "3", "", 1, api_name="/gallery")
    name = listed["images"][0]["image"]
    said = client.predict(name, "reid-full", "", False, api_name="/choose")
    assert "vehicle 25, camera 3" in said
    found, worth = client.predict(api_name="/ranking")
    assert len(found["hits"]) == 8 and {hit["camera"] for hit in found["hits"]} == {"1", "8"}
    assert "Average precision" in worth
    assert Path(client.predict(api_name="/download_hits")).read_text().startswith("place,rank,path")


def test_a_hit_is_held_against_another_and_reviewed(demo: Page) -> None:
    hit(demo, "vehicle 26").click()
    expect(demo.locator("#pair-sentence")).to_contain_text("similarity")
    demo.locator("#against input").click()
    demo.get_by_role("option").nth(1).click()
    expect(demo.locator("#pair-sentence")).to_contain_text("margin")
    demo.locator("#answer").get_by_label("cannot tell").check()
    expect(demo.locator("#answer-sentence")).to_contain_text("Kept: cannot tell.")
    expect(demo.locator("#hits .review")).to_have_text(["reviewed: cannot tell"])
    expect(demo.locator('#hits button[aria-pressed="true"]')).to_have_count(1)

"""The dashboard's comparison in a real browser: four columns where there is room, one below the other where not.

Nothing moves while the page is built, on a desktop and on a phone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.app.test_demo_browser import SHIFTS
from tests.fixtures.ablations import LAYERS, NAMES, write_ablations
from tests.fixtures.contrast import contrast

PATIENCE = 120_000  # ms
MOST_SHIFTED = 0.05  # cumulative layout shift
COLUMN, CONTROLS = ".st-key-columns [data-testid=stColumn]", ".st-key-live-compare-controls"
# Whether every element of the columns lies where it lay at the last call: nothing is loading any more.
STILL = """() => {
    const now = JSON.stringify([...document.querySelectorAll('.st-key-columns *')].map(e => {
        const { x, y, width, height } = e.getBoundingClientRect();
        return [x, y, width, height].map(Math.round);
    }));
    const still = now === window.placesBefore;
    window.placesBefore = now;
    return still;
}"""
SCORE = (
    "Measured on test images: deletion 0.109 (random 0.446; lower is better), insertion 0.645 (random 0.455; higher is "
    "better)."
)
DRAWN = re.compile("Strongest: ")  # what a map says of itself once it is painted
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_ablations(tmp_path_factory.mktemp("four"))
    return serve("-m", "streamlit", "run", "app/dcal_explorer/dashboard/server.py", DCAL_CHECKPOINTS=str(folder))


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
def test_a_map_and_its_controls_are_on_one_screen_and_no_text_is_cut(
    page: Page, url: str, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{url}/inspect")
    expect(page.locator(".dcal-stage").first).to_be_visible()
    expect(page.locator(".stPlotlyChart .ytick").first).to_be_visible()
    assert contrast(page, ".stPlotlyChart .ytick text", "fill") > 4.5
    title = page.locator("h1").evaluate(
        """h => { const { left, top } = h.getBoundingClientRect(), size = parseFloat(getComputedStyle(h).fontSize);
        return h.contains(document.elementFromPoint(left + 9, top + size / 2)); }"""
    )
    assert title  # the header does not lie on it
    if width > 1000:
        assert boxes(page, ".dcal-look")[0]["bottom"] <= height
    page.locator(".dcal-score").evaluate_all("(all, words) => all.forEach(e => { e.textContent = words; })", SCORE)
    for text in (".dcal-score", ".dcal-about"):
        cut = page.locator(f"{text}:visible").evaluate_all("all => all.map(e => e.scrollHeight - e.clientHeight)")
        assert cut and max(cut) <= 1, text


def test_a_person_uploads_an_image_on_a_phone_in_the_dark_and_asks_a_patch(
    page: Page, url: str, tmp_path: Path
) -> None:
    """The image goes along to the next page."""
    Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB").save(tmp_path / "a leaf.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{url}/inspect")
    expect(page.locator(".dcal-stage").first).to_be_visible()
    shown = page.locator("[data-pane=map] .dcal-stage canvas").first
    expect(shown).to_have_attribute("aria-label", DRAWN)
    square = shown.get_attribute("height") or ""  # as the samples are
    page.locator("[data-testid=stExpandSidebarButton]").click()
    page.locator("[data-testid=stFileUploaderDropzone] input").set_input_files(tmp_path / "a leaf.png")
    expect(shown).not_to_have_attribute("height", square)
    assert ratio(shown) == pytest.approx(1.5, abs=0.02)
    page.locator("[data-testid=stSidebarCollapseButton] button").click(timeout=PATIENCE)
    page.locator("[data-pane=map] .dcal-stage").first.click(position={"x": 160, "y": 100}, timeout=PATIENCE)
    expect(page.locator("[data-pane=map] .dcal-readout").first).to_have_text(re.compile("^Row \\d+, column \\d+: "))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("[data-testid=stExpandSidebarButton]").click()
    page.get_by_role("link", name="Compare").click(timeout=PATIENCE)
    compared = page.locator(f"{COLUMN} .dcal-stage canvas").first
    expect(compared).to_have_attribute("aria-label", DRAWN)
    assert ratio(compared) == pytest.approx(1.5, abs=0.02)


def ratio(canvas: Locator) -> float:
    """A canvas's width over its height."""
    width, height = (int(canvas.get_attribute(name) or 0) for name in ("width", "height"))
    return width / height


def boxes(page: Page, selector: str) -> list[dict[str, Any]]:
    """Where every element lies that `selector` finds, rounded to pixels."""
    return page.locator(selector).evaluate_all(
        """all => all.map(e => e.getBoundingClientRect().toJSON()).map(
            box => Object.fromEntries(Object.entries(box).map(([name, value]) => [name, Math.round(value)])))"""
    )


def opened(page: Page, url: str) -> None:
    page.goto(f"{url}/compare")
    expect(page.locator(f"{COLUMN} .about")).to_have_count(len(NAMES))
    expect(page.locator(f"{COLUMN} .dcal-stage")).to_have_count(2 * len(NAMES))
    page.wait_for_function(STILL, polling=250)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_four_views_stand_in_a_row_or_stack_and_move_together(page: Page, url: str, scheme: Any) -> None:
    page.set_viewport_size({"width": 1400, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.add_init_script(SHIFTS)
    opened(page, url)
    assert page.evaluate("shifted") < MOST_SHIFTED
    stages = boxes(page, f"{COLUMN} .dcal-pane[data-pane=map] .dcal-stage")
    assert max(stage["bottom"] for stage in stages) <= 900  # all maps and their controls on one screen

    columns = boxes(page, COLUMN)
    assert len({c["y"] for c in columns}) == 1 and len({c["width"] for c in columns}) == 1
    assert [c["x"] for c in columns] == sorted({c["x"] for c in columns}) and columns[0]["width"] >= 200
    assert len({b["y"] for b in boxes(page, f"{COLUMN} .dcal-pane[data-pane=map] .dcal-stage")}) == 1
    for text in (".about p", ".about h3"):
        assert contrast(page, f"{COLUMN} {text}") > 4.5, text

    expect(page.locator(f"{COLUMN} .dcal-layer:visible")).to_have_count(0)
    page.locator(f"{CONTROLS} [role=tab]", has_text="Rollout").click()
    page.locator(f"{CONTROLS} .dcal-layer input").first.fill("1")
    titles = [f"Rollout after layer 2 of {LAYERS}"] * len(NAMES)
    expect(page.locator(f"{COLUMN} .dcal-pane[data-pane=map] h3")).to_have_text(titles)

    page.set_viewport_size({"width": 400, "height": 850})
    page.wait_for_function(f"document.querySelector('{COLUMN}').getBoundingClientRect().width > 300")
    page.wait_for_function(STILL, polling=250)
    columns = boxes(page, COLUMN)
    assert len({c["x"] for c in columns}) == 1 and all(c["x"] >= 0 and c["x"] + c["width"] <= 400 for c in columns)
    assert all(below["y"] >= above["y"] + above["height"] for above, below in pairwise(columns))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400

    opened(page, url)
    assert page.evaluate("shifted") < MOST_SHIFTED

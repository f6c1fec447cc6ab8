"""How the live view stands on a page: full screen, themes, width, no jumps, what others can read of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fixtures.view_page import ATTENTION, MAP, at_patch, record, set_state, show, stage, state

TEXTS = ".dcal-view :is(h3, h4, p, span, label, output, button, td, th, caption)"
CONTRASTS = """selector => {
    const parse = colour => colour.match(/[\\d.]+/g).map(Number);
    const linear = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const ground = element => {
        for (; element; element = element.parentElement) {
            const colour = parse(getComputedStyle(element).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
    };
    return [...document.querySelectorAll(selector)]
        .filter(element => element.checkVisibility())
        .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .filter(element => !element.closest(".dcal-veil, .dcal-live"))
        .map(element => {
            const pair = [parse(getComputedStyle(element).color), ground(element)].map(luminance).sort((a, b) => b - a);
            return [element.textContent, (pair[0] + 0.05) / (pair[1] + 0.05)];
        });
}"""


@pytest.mark.parametrize("refused", [False, True], ids=["browser's own", "fixed in the window"])
def test_full_screen_really_enlarges_and_clicks_still_hit(page: Page, refused: bool) -> None:
    seen = record()
    if refused:
        page.add_init_script("Element.prototype.requestFullscreen = () => Promise.reject(new Error('not allowed'))")
        page.goto("about:blank")
    show(page, seen)
    page.evaluate("() => { document.getElementById('view').style.width = '700px'; }")
    page.wait_for_function("() => view.panes.map.canvas.width < 350")
    before = stage(page).bounding_box()
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("() => view.panes.map.canvas.width > 400")
    after = stage(page).bounding_box()
    assert after["width"] > 1.5 * before["width"]
    assert page.evaluate("() => document.fullscreenElement !== null") is not refused
    page.mouse.click(*at_patch(page, seen, 2.5, 0.5))
    assert state(page, "kept") == 10
    page.get_by_role("button", name="Close full screen").click()
    page.wait_for_function("() => view.panes.map.canvas.width < 350")
    assert stage(page).bounding_box()["width"] == pytest.approx(before["width"], abs=1)


def test_on_a_full_screen_one_pane_can_have_all_the_width(page: Page) -> None:
    show(page, record((300, 900), (0.0, 0.0, 900.0, 300.0), (2, 6)))
    expect(page.get_by_role("radio", name="Both")).to_be_hidden()
    page.get_by_role("button", name="Full screen").click()
    page.get_by_role("radio", name="Attention", exact=True).click()
    expect(page.locator(MAP)).to_be_hidden()
    page.wait_for_function("() => view.panes.attention.canvas.width > 1000")
    page.get_by_role("radio", name="Both").click()
    expect(page.locator(MAP)).to_be_visible()
    page.wait_for_function("() => view.panes.attention.canvas.width < 700")
    page.get_by_role("radio", name="Map", exact=True).click()
    page.get_by_role("button", name="Close full screen").click()
    expect(page.locator(ATTENTION)).to_be_visible()


def test_escape_leaves_the_window(page: Page) -> None:
    page.add_init_script("Element.prototype.requestFullscreen = () => Promise.reject(new Error('not allowed'))")
    page.goto("about:blank")
    show(page, record())
    page.get_by_role("button", name="Full screen").click()
    page.locator(".dcal-window").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".dcal-window")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Browser, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    values = np.full((4, 3, 5), 0.01, dtype=np.float32)
    values[3, 0, 0] = 0.5  # an outlier, so that its note is there
    show(page, record(rollout=values), scheme="light dark")
    page.get_by_role("button", name="Numbers").click()
    page.wait_for_function("() => document.querySelector('.dcal-numbers tbody td').textContent !== ''")
    assert page.locator(".dcal-view").get_attribute("data-theme") == scheme
    found = page.evaluate(CONTRASTS, TEXTS)
    assert len(found) > 60
    assert min(contrast for _, contrast in found) >= 4.5, min(found, key=lambda item: item[1])
    context.close()


def test_the_theme_follows_the_page(page: Page) -> None:
    show(page, record())
    assert page.locator(".dcal-view").get_attribute("data-theme") == "light"
    page.evaluate("() => { document.body.style.color = 'rgb(240, 240, 240)'; document.body.className = 'dark'; }")
    expect(page.locator(".dcal-view")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_map_and_controls_without_sideways_scrolling(browser: Browser, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, device_scale_factor=2)
    page = context.new_page()
    show(page, record())
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    assert stage(page).bounding_box()["width"] > 0.8 * width
    peek = page.locator(ATTENTION).bounding_box()
    assert peek["x"] < width - 10  # so that one sees there is more
    for button in page.locator(".dcal-view button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 32, button.inner_text()
    context.close()


def test_map_and_controls_fit_one_desktop_screen(browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    show(page, record())
    box = page.locator(".dcal-look").bounding_box()
    assert box["y"] + box["height"] <= 900
    context.close()


def test_nothing_moves_while_one_points_keeps_and_switches(page: Page) -> None:
    page.add_init_script(
        """globalThis.shifted = 0;
        new PerformanceObserver(list => { for (const entry of list.getEntries()) shifted += entry.value; })
            .observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto("about:blank")
    seen = record()
    show(page, seen)
    places = "() => [...document.querySelectorAll('.dcal-stage, .dcal-look')].map(e => e.getBoundingClientRect().top)"
    before = page.evaluate(places)
    page.mouse.move(*at_patch(page, seen, 0.5, 0.5))
    page.mouse.click(*at_patch(page, seen, 1.5, 1.5))
    for name in ("SA", "GLCA − SA", "Selection", "Rollout"):
        page.get_by_role("tab", name=name, exact=True).click()
    set_state(page, layer=0, head=2, clip=True)
    assert page.evaluate(places) == before
    page.wait_for_timeout(200)
    assert page.evaluate("() => shifted") < 0.05


def test_controls_that_do_not_apply_are_not_shown(page: Page) -> None:
    show(page, record())
    expect(page.get_by_label("Scale", exact=True)).to_be_visible()
    expect(page.get_by_label("Outline selection")).to_be_hidden()
    set_state(page, map="glca")
    expect(page.get_by_label("Scale", exact=True)).to_be_hidden()
    expect(page.get_by_label("Outline selection")).to_be_visible()


def test_a_checkpoint_without_glca_has_no_such_tabs(page: Page) -> None:
    show(page, record(glca=False))
    assert page.get_by_role("tab").all_inner_texts() == ["Rollout", "SA"]


def test_the_image_has_words(page: Page) -> None:
    seen = record()
    show(page, seen, title="heron.webp")
    row, col = divmod(int(seen.sa_map.argmax()), 5)
    canvas = page.locator(f"{MAP} .dcal-stage canvas")
    expect(canvas).to_have_attribute(
        "aria-label",
        re.compile(
            r"^Rollout after layer 4 of 4, over heron\.webp\. "
            r"share of the class token, 0\.\d+\u202f% to 3\.\d\u202f%\. "
            rf"Strongest: row {row + 1}, column {col + 1} with "
        ),
    )
    set_state(page, layer=1)
    expect(canvas).to_have_attribute("aria-label", re.compile("^Rollout after layer 2 of 4"))


@pytest.mark.parametrize(
    "hostile", ["<img src=x onerror='globalThis.hit=1'>", "</script><script>hit=1</script>", '"&<b>']
)
def test_names_are_text_and_never_html(page: Page, hostile: str) -> None:
    fields: dict[str, Any] = {name: np.ones((3, 5), dtype=np.float32) / 9 for name in ("relevance", "gradient_rollout")}
    show(page, record(target=1, **fields), title=hostile, class_name=hostile)
    set_state(page, map="relevance")
    assert page.locator(f"{MAP} h3").inner_text() == f"Relevance for {hostile}"
    assert page.locator(".dcal-view").get_attribute("aria-label") == f"Attention maps of {hostile}"
    assert page.evaluate("() => globalThis.hit") is None
    assert page.locator(".dcal-view img, .dcal-view b").count() == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("payload.format = 2", "its format is 2"),
        ("payload.rows = 3.5", "rows is 3.5"),
        ("payload.image.src = 'https://example.org/a.png'", "the image is not"),
        ("payload.image.src = 'data:image/svg+xml;base64,AAAA'", "the image is not"),
        ("payload.image.src = 'data:image/png;base64,AAAA'", "The image cannot be read."),
        ("payload.maps[0].values.mean.shape = [4, 5, 3]", "rollout mean has shape 4,5,3, expected 4,3,5"),
        ("payload.maps[0].values.mean.data = 'AAAA'", "holds 3 bytes"),
        ("payload.maps[0].values.mean.data = btoa('\\x00\\x00\\xc0\\x7f'.repeat(60))", "not finite"),
        ("payload.maps[0].unit = 'metre'", "unit metre"),
        ("payload.selected = [15]", "selected holds patch 15"),
        ("payload.colours.viridis = 'AAAA'", "has 3 bytes, not 768"),
        ("payload.maps = []", "it has no maps"),
    ],
)
def test_what_is_no_record_is_refused_with_words(page: Page, change: str, words: str) -> None:
    show(page, record())
    page.evaluate(
        f"""async () => {{
            const payload = JSON.parse(document.getElementById("payload").textContent);
            {change};
            await view.update(payload);
        }}"""
    )
    assert words in page.get_by_role("alert").inner_text()
    assert page.locator(".dcal-stage").count() == 0

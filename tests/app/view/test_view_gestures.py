"""Hovering, clicking, keys and touch in the live view; what survives a change, and what two views tell each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

import dcal
from dcal_explorer.view.answers import answer
from dcal_explorer.view.payload import payload
from tests.fixtures.view_page import ATTENTION, MAP, at_patch, readout, record, set_state, show, stage, state

ATTENDING = "Attending token"


@pytest.fixture(params=[1, 2], ids=["1x", "2x"])
def sharp(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page at 1 or 2 device pixels a CSS pixel."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=request.param)
    yield context.new_page()
    context.close()


def update(page: Page, seen: dcal.Inspection) -> None:
    page.evaluate("payload => view.update(payload)", payload(seen, key="other"))


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((530, 710), (72.5, 45.0, 607.5, 492.5)),
        ((900, 400), (0.0, 0.0, 400.0, 900.0)),
        ((200, 1100), (300.25, 0.0, 800.5, 200.0)),
    ],
)
def test_the_four_corner_patches_can_be_kept_at_their_very_corners(sharp: Page, size, box) -> None:
    seen = record(size, box, (4, 7))
    show(sharp, seen)
    inset = 0.08  # of a patch
    for row, col in ((0, 0), (0, 6), (3, 0), (3, 6)):
        for dy in (inset, 1 - inset):
            for dx in (inset, 1 - inset):
                sharp.mouse.click(*at_patch(sharp, seen, row + dy, col + dx))
                assert state(sharp, "kept") == 7 * row + col


def test_outside_the_box_nothing_is_kept_and_it_is_said(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.mouse.click(*at_patch(page, seen, -0.3, 2.5))
    assert state(page, "kept") is None
    assert "saw nothing there" in page.locator(".dcal-live").inner_text()


def test_the_outline_lies_on_the_patch_in_both_panes(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.mouse.move(*at_patch(page, seen, 1.5, 3.5))
    for selector in (MAP, ATTENTION):
        box = page.locator(f"{selector} .dcal-pointed").bounding_box()
        for corner, at in (
            ((1, 3), (box["x"], box["y"])),
            ((2, 4), (box["x"] + box["width"], box["y"] + box["height"])),
        ):
            assert at == pytest.approx(at_patch(page, seen, *corner, selector), abs=1)


def test_a_kept_patch_survives_layer_head_opacity_map_and_checkpoint(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.mouse.click(*at_patch(page, seen, 2.5, 1.5))
    page.mouse.move(1, 1)
    page.get_by_label("Opacity").fill("0.3")
    page.get_by_role("radio", name="Layer 2").click()
    page.get_by_role("radio", name="Head 3").click()
    page.get_by_role("tab", name="GLCA", exact=True).click()
    page.get_by_label("Colour map").select_option("magma")
    update(page, record(seed=5))
    assert state(page, "kept") == 11
    assert page.get_by_label(ATTENDING).locator("option:checked").inner_text() == "row 3, column 2"
    assert [state(page, name) for name in ("opacity", "layer", "head", "map", "colours")] == [
        0.3,
        1,
        2,
        "glca",
        "magma",
    ]
    for label, value in (("Opacity", "0.3"), ("Layer", "1"), ("Colour map", "magma")):
        expect(page.get_by_label(label, exact=True).and_(page.locator("input, select"))).to_have_value(value)


def test_a_kept_patch_is_released_on_another_grid_and_it_is_said(page: Page) -> None:
    show(page, record())
    set_state(page, kept=7)
    update(page, record(grid=(4, 5)))
    assert state(page, "kept") is None
    assert page.locator(".dcal-live").inner_text() == (
        "The kept patch was released: this model has 4×5 patches, not 3×5."
    )


def test_fewer_layers_show_the_last_and_it_is_said(page: Page) -> None:
    show(page, record())
    set_state(page, layer=3)
    shallow = record()
    update(page, record(queries=shallow.queries[:2], keys=shallow.keys[:2], rollout=shallow.rollout[:2]))
    assert state(page, "layer") == 1
    assert "There is no layer 4" in page.locator(".dcal-live").inner_text()
    expect(page.locator(".dcal-layer output")).to_have_text("2 of 2")


@pytest.mark.parametrize("wrong", [99, -1, 2.5, "2", None])
def test_a_layer_that_does_not_exist_is_never_shown(page: Page, wrong) -> None:
    show(page, record())
    set_state(page, layer=wrong)
    assert state(page, "layer") == 3
    expect(page.locator(".dcal-layer output")).to_have_text("4 of 4")
    assert page.locator(f"{MAP} h3").inner_text() == "Rollout after layer 4 of 4"


def test_arrow_keys_start_at_the_strongest_patch_and_move_it_within_the_grid(page: Page) -> None:
    seen = record()
    show(page, seen)
    strongest = int(seen.sa_map.argmax())
    stage(page).focus()
    page.keyboard.press("ArrowRight")
    assert state(page, "kept") == strongest
    set_state(page, kept=0)
    for key, patch in (("ArrowUp", 0), ("ArrowLeft", 0), ("ArrowDown", 5), ("ArrowRight", 6), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert state(page, "kept") == patch
    assert page.locator(".dcal-live").inner_text().startswith("Kept: Row 1, column 2: ")
    page.keyboard.press("Escape")
    assert state(page, "kept") is None


def test_tabs_and_heads_are_moved_by_arrow_keys(page: Page) -> None:
    show(page, record())
    page.get_by_role("tab", name="Rollout").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="SA", exact=True)).to_be_focused()
    assert state(page, "map") == "sa"
    page.keyboard.press("End")
    assert state(page, "map") == "selection"
    page.keyboard.press("ArrowRight")
    assert state(page, "map") == "rollout"
    assert page.locator("[role=tab][tabindex='0']").count() == 1
    page.get_by_role("radio", name="All heads").focus()
    page.keyboard.press("ArrowLeft")
    assert state(page, "head") == 2


def test_releasing_and_choosing_a_token(page: Page) -> None:
    seen = record(prefix=2)
    show(page, seen)
    set_state(page, kept=4)
    page.get_by_role("button", name="Release the kept patch").click()
    assert state(page, "kept") is None
    set_state(page, kept=4)
    page.get_by_label(ATTENDING).select_option(label="register 1")
    assert (state(page, "kept"), state(page, "prefix")) == (None, 1)
    assert page.locator(f"{ATTENTION} h3").inner_text() == "Attention of"


def test_touch_keeps_the_patch_that_is_tapped(browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    seen = record()
    show(page, seen)
    page.touchscreen.tap(*at_patch(page, seen, 1.5, 2.5))
    assert state(page, "kept") == 7
    context.close()


def test_the_layers_play_to_the_last_and_stop(page: Page) -> None:
    show(page, record())
    page.get_by_role("button", name="Play").click()
    assert state(page, "layer") == 0
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function("() => view.state.layer === 3", timeout=10_000)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator(f"{MAP} h3")).to_have_text("Rollout after layer 4 of 4")


def test_two_views_of_one_image_outline_one_patch(page: Page) -> None:
    seen = record()
    page.set_viewport_size({"width": 1280, "height": 2000})
    show(page, seen)
    page.evaluate(
        """async payload => {
            const host = document.body.appendChild(document.createElement("div"));
            globalThis.other = viewParts.mount(host, payload, { fetch: answerView });
            await other.ready;
        }""",
        payload(seen, key="second"),
    )
    page.mouse.move(*at_patch(page, seen, 0.5, 4.5))
    assert page.evaluate("() => [other.state.pointed, other.state.shown]") == [4, 4]
    assert page.locator(".dcal-pointed:visible").count() == 4
    page.mouse.click(*at_patch(page, seen, 0.5, 4.5))
    page.mouse.move(1, 1)
    assert page.evaluate("() => [other.state.shown, other.state.kept]") == [None, 4]
    page.get_by_role("radio", name="Layer 1").first.click()
    assert page.evaluate("() => [view.state.layer, other.state.layer]") == [0, 3]


def test_views_of_other_images_or_grids_are_left_alone(page: Page) -> None:
    seen = record()
    show(page, seen)
    for other in (record(image=(1, 2, 3)), record(grid=(4, 5))):
        page.evaluate(
            """async payload => {
                const host = document.body.appendChild(document.createElement("div"));
                globalThis.other = viewParts.mount(host, payload);
                await other.ready;
            }""",
            payload(other),
        )
        set_state(page, kept=None)
        page.mouse.click(*at_patch(page, seen, 0.5, 4.5))
        assert state(page, "kept") == 4
        assert page.evaluate("() => other.state.kept") is None


def test_linked_views_move_together(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.evaluate(
        """async payload => {
            const made = () => document.body.appendChild(document.createElement("div"));
            const options = { fetch: answerView, link: "compare" };
            globalThis.pair = [viewParts.mount(made(), payload, options), viewParts.mount(made(), payload, options)];
            await Promise.all(pair.map(({ ready }) => ready));
            pair[0].set({ layer: 1, map: "glca", opacity: 0.2 });
        }""",
        payload(seen),
    )
    shown = page.evaluate("() => [pair[1], view].map(({ state }) => [state.layer, state.map, state.opacity])")
    assert shown == [[1, "glca", 0.2], [3, "rollout", 0.6]]


def test_a_failed_fetch_is_said_and_can_be_tried_again(page: Page) -> None:
    seen = record()
    refuse = [True]

    def fetched(request: dict) -> dict:
        if refuse[0]:
            raise RuntimeError("The record is no longer kept.")
        return answer(seen, request)

    page.expose_function("answerView", fetched)
    page.evaluate("() => 0")
    show(page, seen, fetch=False)
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_contain_text("no longer kept")
    assert page.evaluate("() => view.panes.attention.scene.values") is None
    refuse[0] = False
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_be_hidden()


def test_without_a_server_inline_layers_work_and_others_say_so(page: Page) -> None:
    seen = record()
    show(page, seen, fetch=False, inline=[3])
    assert readout(page, ATTENTION).startswith("Strongest: ")
    page.get_by_role("radio", name="Layer 1").click()
    expect(page.locator(f"{ATTENTION} .dcal-veil")).to_contain_text("made without its model")
    assert page.locator(f"{MAP} h3").inner_text() == "Rollout after layer 1 of 4"


def test_the_face_hears_of_changes_but_not_of_the_cursor(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.evaluate("() => { globalThis.heard = []; view.options.onstate = state => heard.push(state); }")
    page.mouse.move(*at_patch(page, seen, 0.5, 0.5))
    page.wait_for_timeout(300)
    assert page.evaluate("() => heard.length") == 0
    page.get_by_role("radio", name="Layer 2").click()
    page.wait_for_function("() => heard.length === 1")
    heard = page.evaluate("() => heard[0]")
    assert heard["layer"] == 1
    assert "pointed" not in heard

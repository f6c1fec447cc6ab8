"""What the live view paints, pixel by pixel, against dcal.draw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

import dcal
from dcal import draw
from tests.fixtures.view_page import ATTENTION, MAP, pixels, record, set_state, show

SHAPES = {
    "wide": ((530, 710), (72.5, 45.0, 607.5, 492.5), (3, 5)),
    "tall": ((1310, 470), (0.0, 320.25, 470.0, 990.0), (7, 3)),
    "panorama": ((160, 1600), (0.0, 0.0, 1600.0, 160.0), (2, 9)),
    "small": ((53, 71), (7.25, 4.5, 60.75, 49.25), (5, 11)),
}


@pytest.fixture(params=[1, 2], ids=["1x", "2x"])
def sharp(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page at 1 or 2 device pixels a CSS pixel."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=request.param)
    yield context.new_page()
    context.close()


def drawn(seen: dcal.Inspection, shape: tuple[int, ...], map: np.ndarray, **look) -> np.ndarray:
    """dcal.draw's overlay at exactly the canvas's size: the image is of one colour, so its own size does not matter."""
    height, width = shape[:2]
    scale = width / seen.image.shape[1], height / seen.image.shape[0]
    left, top, right, bottom = seen.box
    resized = record(
        size=(height, width),
        box=(left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]),
        grid=(seen.layout.rows, seen.layout.cols),
    )
    return draw.overlay(resized, map, max_side=None, **look)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_pixel_of_a_full_overlay(sharp: Page, shape: str) -> None:
    size, box, grid = SHAPES[shape]
    seen = record(size, box, grid)
    show(sharp, seen)
    set_state(sharp, opacity=1, scale="own", layer=2)
    for selector, map in (
        (MAP, seen.rollout[2]),
        (ATTENTION, seen.attention_rows(2, 0).mean(axis=0)[1:].reshape(grid)),
    ):
        found = pixels(sharp, selector)
        ratio = sharp.evaluate("() => devicePixelRatio")
        width = sharp.locator(f"{selector} .dcal-stage").bounding_box()["width"]
        assert found.shape[1] == round(width * ratio)
        expected = drawn(seen, found.shape, map, opacity=1)
        differs = np.abs(found.astype(int) - expected).max(axis=2) > 1
        assert differs.mean() < 0.002, f"{differs.mean():.2%} of the pixels differ"  # an edge on a pixel's centre


@pytest.mark.parametrize("colormap", draw.COLORMAPS)
def test_every_colour_map_is_dcal_draws(page: Page, colormap: str) -> None:
    seen = record(*SHAPES["wide"])
    show(page, seen)
    set_state(page, opacity=1, scale="own", colours=colormap)
    found = pixels(page, MAP)
    np.testing.assert_allclose(found, drawn(seen, found.shape, seen.sa_map, opacity=1, colormap=colormap), atol=1)


@pytest.mark.parametrize("opacity", [0, 0.35, 0.6])
def test_half_transparent(page: Page, opacity: float) -> None:
    seen = record(*SHAPES["wide"])
    show(page, seen)
    set_state(page, opacity=opacity, scale="own")
    found = pixels(page, MAP)
    np.testing.assert_allclose(found, drawn(seen, found.shape, seen.sa_map, opacity=opacity), atol=3)


@pytest.mark.parametrize("shape", ["wide", "tall", "panorama"])
def test_smooth(page: Page, shape: str) -> None:
    size, box, grid = SHAPES[shape]
    seen = record(size, box, grid)
    show(page, seen)
    set_state(page, opacity=1, scale="own", smooth=True)
    found = pixels(page, MAP)
    expected = drawn(seen, found.shape, seen.sa_map, opacity=1, smooth=True).astype(int)
    difference = np.abs(found - expected).max(axis=2)
    assert difference.max() <= 6  # neighbours in the table where a value lies between two of its colours
    assert (difference > 0).mean() < 0.02


def test_an_image_of_noise_lies_under_the_map_as_dcal_draw_lays_it(page: Page) -> None:
    """At the image's own size, so that no resampling differs."""
    seen = record((400, 536), (51.5, 20.0, 500.0, 371.0), (3, 5), image=None)
    show(page, seen)
    page.evaluate(
        "() => { const { style } = view.panes.map.stage; style.flex = 'none'; style.width = '536px'; view.fit() }"
    )
    set_state(page, opacity=0.35, scale="own")
    found = pixels(page, MAP)
    assert found.shape == (400, 536, 3)
    expected = draw.overlay(seen, seen.sa_map, 0.35, max_side=None)
    np.testing.assert_allclose(found, expected, atol=3)


def test_the_difference_is_symmetric_about_zero(page: Page) -> None:
    seen = record(*SHAPES["wide"])
    show(page, seen)
    set_state(page, opacity=1, map="difference")
    delta, most = draw.difference(seen.sa_map, seen.glca_input_map)
    found = pixels(page, MAP)
    expected = drawn(seen, found.shape, delta, opacity=1, colormap=draw.DIVERGING, low=-most, high=most)
    np.testing.assert_allclose(found, expected, atol=1)


def test_sa_and_glca_share_a_scale(page: Page) -> None:
    seen = record(*SHAPES["wide"])
    show(page, seen)
    low, high = draw.shared_scale(seen.sa_map, seen.glca_input_map)
    for key, map in (("sa", seen.sa_map), ("glca", seen.glca_input_map)):
        set_state(page, opacity=1, map=key, outlined=False)
        found = pixels(page, MAP)
        np.testing.assert_allclose(found, drawn(seen, found.shape, map, opacity=1, low=low, high=high), atol=1)


def test_layers_share_a_scale_unless_each_has_its_own(page: Page) -> None:
    seen = record(*SHAPES["wide"])
    show(page, seen)
    low, high = draw.shared_scale(seen.rollout)
    set_state(page, opacity=1, layer=1, scale="all")
    found = pixels(page, MAP)
    np.testing.assert_allclose(found, drawn(seen, found.shape, seen.rollout[1], opacity=1, low=low, high=high), atol=1)


def test_the_selection_is_bright_and_outlined(page: Page) -> None:
    seen = record(*SHAPES["wide"])
    show(page, seen)
    set_state(page, map="selection")
    found = pixels(page, MAP).astype(int)
    expected = draw.selection(
        record(
            found.shape[:2],
            tuple(edge * found.shape[1 - i % 2] / seen.image.shape[1 - i % 2] for i, edge in enumerate(seen.box)),
        ),
        seen.selected_mask,
        max_side=None,
    )
    differs = np.abs(found - expected).max(axis=2) > 2
    assert differs.mean() < 0.003, f"{differs.mean():.2%} of the pixels differ"


def test_a_constant_map_has_the_first_colour(page: Page) -> None:
    seen = record(*SHAPES["wide"], rollout=np.full((4, 3, 5), 0.25, dtype=np.float32))
    show(page, seen)
    set_state(page, opacity=1)
    found = pixels(page, MAP)
    np.testing.assert_allclose(found, drawn(seen, found.shape, seen.sa_map, opacity=1), atol=1)


def test_the_colour_bar_is_the_table(page: Page) -> None:
    show(page, record(*SHAPES["wide"]))
    set_state(page, colours="magma")
    np.testing.assert_array_equal(pixels(page, f"{MAP} .dcal-ramp")[0], draw.colour(np.arange(256.0)[None], "magma")[0])

"""Images of a match: both sides, the lines between patches, and regions known beforehand."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dcal
from dcal import draw
from dcal.draw import legend
from tests.draw.test_draw import record

ROWS, COLS = 3, 5
SIDE = 256
SIZES = {"query": (53, 71), "match": (97, 41)}  # heights and widths of the images
ACCENT, SIGNAL = (255, 196, 0), (255, 64, 200)


@pytest.fixture
def match() -> dcal.Match:
    query, found = (record(height, width, (0.0, 0.0, float(width), float(height))) for height, width in SIZES.values())
    return dcal.Match(query, found, {"sa": evidence_of(5)})


def evidence_of(seed: int, shift: float = 0.0, **against: Any) -> dcal.Evidence:
    random = np.random.default_rng(seed)
    likeness = random.random((ROWS * COLS, ROWS * COLS)).astype(np.float32)
    maps = (random.random((2, ROWS, COLS)) + shift).astype(np.float32)
    return dcal.Evidence(0.5, maps[0], maps[1], likeness, **against)


def drawn(height: int, width: int) -> tuple[int, int]:
    scale = SIDE / max(height, width)
    return round(height * scale), round(width * scale)


def corner(which: str) -> tuple[int, int]:
    """(top, left) of one image on the sheet: in the middle of its height, the match after a gap of 16 pixels."""
    heights = {name: drawn(*size)[0] for name, size in SIZES.items()}
    left = 0 if which == "query" else drawn(*SIZES["query"])[1] + 16
    return (max(heights.values()) - heights[which]) // 2, left


def centre(which: str, patch: int) -> tuple[int, int]:
    """(y, x) of a patch's centre on the sheet."""
    (top, left), (height, width) = corner(which), drawn(*SIZES[which])
    return (
        top + math.floor((patch // COLS + 0.5) * height / ROWS),
        left + math.floor((patch % COLS + 0.5) * width / COLS),
    )


def near(sheet: np.ndarray, y: int, x: int, colour: tuple[int, int, int], within: int = 2) -> bool:
    around = sheet[max(0, y - within) : y + within + 1, max(0, x - within) : x + within + 1]
    return bool((np.abs(around.astype(int) - colour).max(axis=2) < 40).any())


def test_both_maps_are_drawn_on_one_scale_above_its_bar(match):
    evidence = match.evidence()
    low, high = draw.shared_scale(evidence.query_map, evidence.match_map)
    sheet = draw.pair(match, evidence, links=0, side=SIDE, opacity=1)
    for which, seen, map in (
        ("query", match.query, evidence.query_map),
        ("match", match.match, evidence.match_map),
    ):
        alone = draw.overlay(seen, map, 1, low=low, high=high, max_side=SIDE)
        top, left = corner(which)
        shown = sheet[top : top + alone.shape[0], left : left + alone.shape[1]]
        np.testing.assert_array_equal(shown[24:], alone[24:])  # above is its name
        np.testing.assert_array_equal(shown[:, 70:], alone[:, 70:])
        assert (shown[:20, :40] != alone[:20, :40]).any()
    height = max(drawn(*size)[0] for size in SIZES.values())
    np.testing.assert_array_equal(sheet[height:], draw.numbers_bar(sheet.shape[1], low, high, title="relevance"))
    assert (sheet[5, drawn(*SIZES["query"])[1] + 8] == (24, 24, 27)).all()  # between the two


def test_signed_evidence_has_diverging_colours_even_about_zero(match):
    signed = evidence_of(3, shift=-0.3, against=0.4)
    most = max(float(abs(map).max()) for map in (signed.query_map, signed.match_map))
    sheet = draw.pair(match, signed, links=0, side=SIDE, opacity=1)
    alone = draw.overlay(match.query, signed.query_map, 1, draw.DIVERGING, -most, most, max_side=SIDE)
    top, left = corner("query")
    np.testing.assert_array_equal(sheet[top + 24 : top + alone.shape[0], left : left + alone.shape[1]], alone[24:])
    height = max(drawn(*size)[0] for size in SIZES.values())
    bar = draw.numbers_bar(sheet.shape[1], -most, most, draw.DIVERGING, "relevance")
    np.testing.assert_array_equal(sheet[height:], bar)


def test_the_other_image_of_a_margin_stands_on_the_right_with_its_own_map(match):
    other = record(61, 47, (0.0, 0.0, 47.0, 61.0))
    own = (np.random.default_rng(8).random((ROWS, COLS)) * 3 - 2).astype(np.float32)
    margin = dcal.Match(match.query, match.match, {"sa": evidence_of(3, -0.3, against=0.4, other_map=own)}, other)
    evidence = margin.evidence()
    most = float(max(abs(map).max() for map in (evidence.query_map, evidence.match_map, own)))
    assert most == abs(own).max()  # so that the scale is seen to be of all three
    sheet = draw.pair(margin, evidence, links=0, side=SIDE, opacity=1, colormap="viridis")
    alone = draw.overlay(other, own, 1, draw.DIVERGING, -most, most, max_side=SIDE)
    left = corner("match")[1] + drawn(*SIZES["match"])[1] + 16
    assert sheet.shape[1] == left + alone.shape[1]
    np.testing.assert_array_equal(sheet[30:SIDE, left:], alone[30:])
    assert draw.patch_on_pair(margin, left + 3, SIDE - 3, SIDE) == ("rather than", (ROWS - 1) * COLS)
    assert draw.patch_on_pair(match, left + 3, SIDE - 3, SIDE) is None
    found = draw.partners(margin, evidence, 4, side=SIDE)
    np.testing.assert_array_equal(found[30:SIDE, left:], draw.base_image(other, SIDE)[30:])


def test_lines_join_the_strongest_pairs_of_patches_and_no_others(match):
    evidence = match.evidence()
    plain, joined = (draw.pair(match, evidence, links=count, side=SIDE, opacity=0) for count in (0, 3))
    strongest = [(weight, i, j) for i, j, weight in evidence.links(3)]
    assert len(strongest) == 3
    ends = {("query", i) for _, i, _ in strongest} | {("match", j) for _, _, j in strongest}
    for which in ("query", "match"):
        for patch in range(ROWS * COLS):
            if (which, patch) in ends:
                assert near(joined, *centre(which, patch), ACCENT)
    for _, i, j in strongest:
        (y0, x0), (y1, x1) = centre("query", i), centre("match", j)
        assert near(joined, (y0 + y1) // 2, (x0 + x1) // 2, ACCENT)
    changed = (plain != joined).any(axis=2)
    assert 0 < changed.sum() < 0.06 * changed.size
    lone = [
        (which, patch)
        for which in ("query", "match")
        for patch in range(ROWS * COLS)
        if not changed[centre(which, patch)]
    ]
    assert len(lone) > 15


def test_one_patch_is_outlined_and_joined_to_what_it_found(match):
    evidence, patch = match.evidence(), 7
    sheet = draw.partners(match, evidence, patch, side=SIDE, opacity=1)
    found = evidence.partner(patch)
    alone = draw.overlay(match.match, found, 1, max_side=SIDE)
    top, left = corner("match")
    right_part = sheet[top : top + alone.shape[0], left : left + alone.shape[1]]
    same = (right_part == alone).all(axis=2)
    assert 0.75 < same.mean() < 1  # but for the lines
    assert near(sheet, *centre("query", patch), ACCENT)
    best = np.argsort(-found, axis=None)[:3]
    for other in range(ROWS * COLS):
        assert near(sheet, *centre("match", other), ACCENT, 0) == (other in best)
    bar = draw.numbers_bar(sheet.shape[1], float(found.min()), float(found.max()), title="cosine of the patches")
    np.testing.assert_array_equal(sheet[-len(bar) :], bar)
    untouched = draw.base_image(match.query, SIDE)
    top, left = corner("query")
    plain = sheet[top : top + untouched.shape[0], left : left + untouched.shape[1]]
    assert (plain[-20:, :60] == untouched[-20:, :60]).all()


def test_a_click_finds_its_side_and_patch(match):
    for which in ("query", "match"):
        for patch in range(ROWS * COLS):
            y, x = centre(which, patch)
            assert draw.patch_on_pair(match, x, y, SIDE) == (which, patch)
    height, width = drawn(*SIZES["query"])
    assert draw.patch_on_pair(match, width + 8, height // 2, SIDE) is None  # the gap
    assert draw.patch_on_pair(match, 3, 1, SIDE) is None  # above the lower image
    assert draw.patch_on_pair(match, 3, SIDE + 5, SIDE) is None  # the bar


def test_a_region_of_the_image_is_surrounded_and_stays_visible(match):
    region = np.zeros(SIZES["query"], dtype=bool)
    region[20:23, 30:33] = True
    before, sheet = (
        draw.pair(match, match.evidence(), 0, SIDE, regions=(own, None), opacity=0) for own in (None, region)
    )
    top, left = corner("query")
    scale = SIDE / 71
    ys, xs = np.nonzero((sheet == SIGNAL).all(axis=2))
    for values, low, high, start in ((ys, 20, 23, top), (xs, 30, 33, left)):
        assert start + low * scale - 8 < values.min() < start + low * scale
        assert start + high * scale <= values.max() < start + high * scale + 8
    inside = (
        slice(math.ceil(top + 20 * scale), math.floor(top + 23 * scale)),
        slice(math.ceil(left + 30 * scale), math.floor(left + 33 * scale)),
    )
    np.testing.assert_array_equal(sheet[inside], before[inside])
    nothing = draw.surround(before, np.zeros((9, 7), dtype=bool))
    np.testing.assert_array_equal(nothing, before)


@pytest.mark.parametrize(("height", "width"), [(130, 65), (61, 149), (700, 300)])
def test_a_tile_has_its_side_whatever_the_images_size(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tile = draw.tile(image, 240)
    assert max(tile.shape[:2]) == 240
    assert abs(tile.shape[0] / tile.shape[1] - height / width) < 0.02 * height / width
    assert abs(tile.mean() - image.mean()) < 3
    kept = Image.open(io.BytesIO(draw.webp(tile)))
    assert (kept.format, kept.size) == ("WEBP", tile.shape[1::-1])


@pytest.mark.parametrize(
    ("number", "text"), [(0.5, "0.5"), (0.01234, "0.012"), (0.000085, "0.000085"), (-0.072, "-0.072"), (0.0, "0")]
)
def test_decimals(number, text):
    assert draw.decimal(number) == text


def test_a_centre_is_where_its_patch_is_found():
    seen = record()
    shape = draw.drawn_size(seen, 333)
    for row in range(ROWS):
        for col in range(COLS):
            x, y = draw.patch_centre(seen, row, col, shape)
            assert draw.patch_at(seen, math.floor(x), math.floor(y), shape) == (row, col)


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (0.0000012, 0.000082, ("1.2", "82", "relevance, in millionths")),
        (3.5e-10, 1.5e-6, ("0", "1.5", "relevance, in millionths")),
        (-0.0063, 0.0063, ("-6.3", "6.3", "relevance, in thousandths")),
        (0.0005, 0.189, ("0.001", "0.19", "relevance")),
        (0.0, 0.0, ("0", "0", "relevance")),
    ],
)
def test_tiny_numbers_have_a_unit_in_the_title(low, high, written, monkeypatch):
    found = []

    def bar(width, low, high, colormap, write, title):
        found.append((write(low), write(high), title))
        return np.zeros((30, width, 3), np.uint8)

    monkeypatch.setattr(legend, "bar", bar)
    legend.numbers_bar(640, low, high, title="relevance")
    assert found == [written]

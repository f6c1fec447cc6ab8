"""Where boxes and parts lie on the patches, and what maps score there: hand-made cases, and images of the box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import rankdata

import dcal
from dcal.analysis import (
    Places,
    box_centres,
    box_cover,
    energy_inside,
    localisation,
    part_hits,
    part_patches,
    places_of,
    pointing_game,
)
from dcal.analysis.localisation import top_weights
from dcal.data.records import Part, Record
from dcal.draw.layout import patch_at
from dcal.model.kinds import TokenLayout
from dcal.preprocess import Preprocess
from tests.fixtures.small import COLS, ROWS, SIZE, small_model

LAYOUT = TokenLayout(prefix=1, rows=4, cols=6)
PHOTO = (311, 517)  # height, width
BOX = (90.0, 41.0, 190.0, 170.0)  # left, top, width, height


@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_the_cover_is_what_the_model_sees_of_the_box(fit: str):
    preprocess = Preprocess(size=(4 * 32, 6 * 32), fit=fit, crop_fraction=0.8, interpolation="bilinear")
    image = np.zeros((*PHOTO, 3), dtype=np.uint8)
    left, top, width, height = map(int, BOX)
    image[top : top + height, left : left + width] = 255
    view = np.asarray(preprocess.render(Image.fromarray(image)))[..., 0] / 255
    seen = view.reshape(4, 32, 6, 32).mean(axis=(1, 3)).reshape(-1)
    cover = box_cover(BOX, preprocess.box(*PHOTO), LAYOUT)
    assert np.unique(cover.round(3)).size > 4  # none, whole, and parts of patches
    np.testing.assert_allclose(cover, seen, atol=0.02)
    np.testing.assert_array_equal(box_centres(BOX, preprocess.box(*PHOTO), LAYOUT), view[16::32, 16::32].ravel() > 0.5)


def test_the_cover_by_overlapping_rectangles():
    view = (10.0, 20.0, 70.0, 44.0)  # patches are 10 wide and 6 high
    cover = box_cover((0.0, 29.0, 35.0, 40.0), view, LAYOUT)  # from the left edge to 35, from 29 to the lower edge
    expected = np.zeros((4, 6))
    for row in range(4):
        for col in range(6):
            across = max(0, min(35, 20 + 10 * col) - (10 + 10 * col))
            down = max(0, 26 + 6 * row - max(29, 20 + 6 * row))
            expected[row, col] = across * down / 60
    np.testing.assert_allclose(cover.reshape(4, 6), expected)
    assert cover.mean() == pytest.approx(25 * 15 / (60 * 24))  # the box's share of the view
    assert not box_cover((71.0, 20.0, 5.0, 5.0), view, LAYOUT).any()


def test_parts_lie_on_the_patch_that_the_drawing_puts_them_on(tmp_path: Path):
    pixels = np.random.default_rng(3).integers(0, 256, (*PHOTO, 3), dtype=np.uint8)
    seen = dcal.inspect(small_model().float(), pixels)
    points = [(60, 60), (300, 40), (250, 200), (5, 5), (516, 310), (470, 285)]
    parts = [Part(f"{x}", x + 0.5, y + 0.5, True) for x, y in points]
    places = [patch_at(seen, x, y, PHOTO) for x, y in points]
    expected = [row * COLS + col for row, col in filter(None, places)]
    assert len(expected) == 4 and len(set(expected)) > 2  # two lie outside the view
    np.testing.assert_array_equal(part_patches(parts, seen.box, seen.layout), expected)
    hidden = [part._replace(visible=False) for part in parts]
    assert part_patches(hidden, seen.box, seen.layout).shape == (0,)


def test_images_without_boxes_or_parts_have_nothing_to_find():
    layout, preprocess = TokenLayout(1, ROWS, COLS), Preprocess(size=SIZE)
    records = [
        Record(Path("a"), 0, box=(100.0, 100.0, 200.0, 200.0), parts=(Part("beak", 150.0, 150.0, True),)),
        Record(Path("b"), 0),
        Record(Path("c"), 0, box=(0.0, 0.0, 2.0, 2.0), parts=(Part("beak", 1.0, 1.0, True),)),  # outside the view
    ]
    places = places_of(records, [(400, 500)] * 3, preprocess, layout)
    for values in localisation(np.ones((3, layout.patches)), places).values():
        assert not np.isnan(values[0]) and np.isnan(values[1:]).all()


def test_a_map_that_is_the_box_has_all_its_energy_inside():
    cover = np.zeros((1, 24))
    cover[0, [7, 8, 13, 14]] = 1
    assert energy_inside(cover, cover) == 1
    assert energy_inside(1 - cover, cover) == 0
    cover[0, 7] = 0.25  # the box ends within this patch: a quarter of what the map has there is inside
    np.testing.assert_allclose(energy_inside(np.eye(24)[[7]], cover), 0.25)


def test_a_flat_map_scores_the_chance_level():
    random = np.random.default_rng(0)
    cover = random.random((3, 24)) * (random.random((3, 24)) < 0.5)
    centres = cover > 0.5
    parts = [np.array([3, 3, 20]), np.array([0]), np.array([], dtype=np.int64)]
    for flat in (np.ones((3, 24)), np.zeros((3, 24)), np.full((3, 24), 1e-8)):
        scores = localisation(flat, Places(cover, centres, parts))
        np.testing.assert_allclose(scores["pointing"], centres.mean(1))
        np.testing.assert_allclose(scores["energy"], cover.mean(1))
        np.testing.assert_allclose(scores["parts"], [2 / 24, 2 / 24, np.nan])  # 10 % of 24 is 2


def test_scores_by_loops():
    random = np.random.default_rng(1)
    maps, cover = random.random((5, 24)), random.random((5, 24))
    centres, parts = cover > 0.6, [random.integers(0, 24, count) for count in (1, 4, 7, 2, 3)]
    scores = localisation(maps, Places(cover, centres, parts))
    for image in range(5):
        ranks = rankdata(-maps[image])  # 1 is the largest
        inside = sum(maps[image, p] * cover[image, p] for p in range(24))
        assert scores["energy"][image] == pytest.approx(inside / sum(maps[image]))
        assert scores["pointing"][image] == float(centres[image, list(ranks).index(1)])
        assert scores["parts"][image] == pytest.approx(sum(ranks[p] <= 2 for p in parts[image]) / len(parts[image]))


def test_equals_share():
    np.testing.assert_allclose(
        top_weights(np.array([[3.0, 1, 3, 3, 0], [5, 4, 4, 4, 0]]), 2)[0], [2 / 3, 0, 2 / 3, 2 / 3, 0]
    )
    np.testing.assert_allclose(top_weights(np.array([[5.0, 4, 4, 4, 0]]), 2), [[1, 1 / 3, 1 / 3, 1 / 3, 0]])
    np.testing.assert_allclose(top_weights(np.array([[5.0, 4, 4, 4, 0]]), 5), 1)
    assert pointing_game(np.array([[2.0, 2, 1]]), np.array([[True, False, True]])) == 0.5
    assert part_hits(np.array([[2.0, 2, 1]]), [np.array([0, 2])], 1) == 0.25


def test_bad_maps_are_told_with_numbers():
    places = Places(np.ones((1, 3)), np.ones((1, 3), dtype=bool), [np.array([0])])
    for values in ([1.0, -0.5, 2.0], [1.0, np.inf, 0.0]):
        with pytest.raises(dcal.DCALError, match="finite and not negative, these run from"):
            localisation(np.array([values]), places)
    with pytest.raises(dcal.DCALError, match="the 4 largest of 3"):
        top_weights(np.ones((1, 3)), 4)

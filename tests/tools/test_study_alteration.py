"""Twins made of one vehicle: what an alteration changes, and what a batch of them holds."""

import dataclasses

import cv2
import numpy as np
import pytest

from dcal.data.yard_table import PARTS
from tools.study.alteration import KINDS, LEAST, NEVER, WIDEST, by_vehicle, common_parts, drawn_alteration

DOOR = PARTS.index("front door")


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A noisy image with a door of 20 × 30 pixels, a quarter of which is body, on a body."""
    image = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    parts = np.full((64, 64), PARTS.index("body"), np.uint8)
    parts[10:30, 20:50] = DOOR
    parts[10:20, 20:35] = PARTS.index("body")
    return image, parts


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_part_changes_and_most_visibly_so(kind: str):
    image, parts = scene()
    before = image.copy()
    drawn = drawn_alteration(DOOR, 600, np.random.default_rng(1))
    alteration = dataclasses.replace(drawn, kind=kind, radius=np.array([0.3, 0.3]))
    changed = alteration(image, parts)
    assert changed.dtype == np.uint8 and np.array_equal(image, before)
    differs = (changed != image).any(axis=2)
    own = (parts == DOOR).astype(np.uint8)
    allowed = cv2.dilate(own, np.ones((3, 3), np.uint8)) if kind == "gone" else own  # what fills it takes its outline
    assert differs.sum() > 60 and not differs[allowed == 0].any()


def test_a_large_part_gets_a_spot_and_other_parts_every_kind():
    random = np.random.default_rng(2)
    assert {drawn_alteration(DOOR, WIDEST + 1, random).kind for _ in range(20)} == {"spot"}
    assert {drawn_alteration(DOOR, WIDEST, random).kind for _ in range(60)} == set(KINDS)


def test_common_parts_are_those_that_both_images_show_well_enough():
    _, parts = scene()
    less = parts.copy()
    less[10:30, 20:50] = PARTS.index("body")
    less[10 : 10 + LEAST // 10, 20:30] = DOOR
    assert common_parts(parts, less)[DOOR] == LEAST
    less[10, 20] = PARTS.index("body")
    assert DOOR not in common_parts(parts, less)
    assert not set(common_parts(*[np.full((64, 64), part, np.uint8) for part in NEVER[:2]]))


def test_vehicles_are_grouped_and_single_images_left_out():
    assert by_vehicle([7, 3, 7, 9]) == [[0, 2]]

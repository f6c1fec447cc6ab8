"""How much of a map lies on a part, against loops over fine squares."""

from __future__ import annotations

import numpy as np
import pytest

from dcal.analysis import on_part, region_cover
from dcal.backbone import TokenLayout
from tests.test_draw import record

HEIGHT, WIDTH, ROWS, COLS = 23, 31, 3, 5
BOX = (2.25, 1.5, 27.25, 19.75)


def region(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.3


def naive_cover(part: np.ndarray, fine: int = 20) -> np.ndarray:
    """Every patch looked at in `fine` × `fine` points: the share that fall on the part."""
    left, top, right, bottom = BOX
    cover = np.zeros((ROWS, COLS))
    for row in range(ROWS):
        for col in range(COLS):
            for i in range(fine):
                for j in range(fine):
                    y = top + (row + (i + 0.5) / fine) * (bottom - top) / ROWS
                    x = left + (col + (j + 0.5) / fine) * (right - left) / COLS
                    cover[row, col] += part[int(y), int(x)] / fine**2
    return cover


def test_a_patch_is_covered_by_the_pixels_that_lie_in_it():
    found = region_cover(region(), BOX, TokenLayout(prefix=2, rows=ROWS, cols=COLS))
    np.testing.assert_allclose(found.reshape(ROWS, COLS), naive_cover(region()), atol=0.03)
    left, top, right, bottom = BOX
    exact = sum(
        max(0, min(right, x + 1) - max(left, x)) * max(0, min(bottom, y + 1) - max(top, y))
        for y, x in zip(*np.nonzero(region()), strict=True)
    )
    assert found.mean() == pytest.approx(exact / (right - left) / (bottom - top))


def test_shares_of_the_view_and_of_the_map():
    seen, part = record(HEIGHT, WIDTH, BOX), region()
    map = np.random.default_rng(1).random((ROWS, COLS)).astype(np.float32)
    found, cover = on_part(seen, map, part), naive_cover(part, 40)
    assert found.map == pytest.approx((map * cover).sum() / map.sum(), abs=0.01)
    assert found.view == pytest.approx(cover.mean(), abs=0.01)
    assert found.map != pytest.approx(found.view, abs=0.01)
    assert on_part(seen, -map, part) == found  # evidence of a negative similarity
    flat = on_part(seen, np.zeros((ROWS, COLS), dtype=np.float32), part)
    assert flat.map == pytest.approx(flat.view)
    nothing = on_part(seen, map, np.zeros((HEIGHT, WIDTH), dtype=bool))
    assert (nothing.view, nothing.map) == (0, 0)

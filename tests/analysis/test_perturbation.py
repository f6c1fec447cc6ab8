"""Deletion and insertion: a model that looks at one patch, loops, and where patches lie in pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dcal.analysis import area, deletion_insertion, filled, patch_order
from dcal.analysis.perturbation import step_counts
from dcal.errors import DCALError
from dcal.model.kinds import TokenLayout

LAYOUT = TokenLayout(prefix=1, rows=2, cols=5)
HEIGHT, WIDTH = 2 * 6, 5 * 4  # patches of 6 × 4 pixels
LOOKED_AT = 7  # row 1, column 2


def one_patch(images: Tensor) -> Tensor:
    """1 for a white patch at row 1, column 2, falling evenly to 0 for a black one."""
    return images[:, :, 6:12, 8:12].mean(dim=(1, 2, 3))


@pytest.fixture
def white() -> Tensor:
    images = torch.zeros(3, 3, HEIGHT, WIDTH)
    images[:, :, 6:12, 8:12] = 1
    return images


def test_the_one_patch_that_counts_gives_the_answer_at_once(white: Tensor):
    black = torch.zeros_like(white)
    first, last = torch.zeros(10), torch.ones(10)
    first[LOOKED_AT], last[LOOKED_AT] = 1, 0
    maps = torch.stack([first, last, torch.linspace(1, 0, 10)])  # in the third it is the eighth
    deletion, insertion = deletion_insertion(one_patch, white, black, patch_order(maps), LAYOUT, steps=10)
    expected = np.array([[step >= place for step in range(11)] for place in (1, 10, 8)], dtype=float)
    np.testing.assert_array_equal(insertion, expected)
    np.testing.assert_array_equal(deletion, 1 - expected)
    areas = area(insertion.numpy(), 10)
    np.testing.assert_allclose(areas, [0.95, 0.05, 0.25], atol=1e-7)
    np.testing.assert_allclose(area(deletion.numpy(), 10), 1 - areas, atol=1e-7)


def test_steps_by_loops():
    random = torch.Generator().manual_seed(2)
    images, maps = torch.rand(3, 3, HEIGHT, WIDTH, generator=random), torch.rand(3, 10, generator=random)
    weights = torch.rand(3, HEIGHT, WIDTH, generator=random)

    def answer(batch: Tensor) -> Tensor:
        return (batch * weights).mean(dim=(1, 2, 3))

    blank = filled(images, "mean")
    found = deletion_insertion(answer, images, blank, patch_order(maps), LAYOUT, steps=4)
    counts = [0, 2, 5, 8, 10]  # a half goes to the even number: 2.5 → 2, 7.5 → 8
    assert step_counts(10, 4) == counts
    for index in range(3):
        order = sorted(range(10), key=lambda patch: -maps[index, patch])
        for step, count in enumerate(counts):
            taken, left = images[index].clone(), blank[index].clone()
            for patch in order[:count]:
                row, col = divmod(patch, 5)
                where = (slice(None), slice(6 * row, 6 * row + 6), slice(4 * col, 4 * col + 4))
                taken[where], left[where] = blank[index][where], images[index][where]
            for curves, changed in zip(found, (taken, left), strict=True):
                torch.testing.assert_close(curves[index, step], answer(changed[None])[0])


def test_known_ends_are_not_computed_again(white: Tensor):
    calls: list[int] = []

    def answer(images: Tensor) -> Tensor:
        calls.append(len(images))
        return one_patch(images)

    order = patch_order(torch.rand(3, 10))
    without = deletion_insertion(answer, white, 1 - white, order, LAYOUT, 5)
    ends = one_patch(white), one_patch(1 - white)
    assert len(calls) == 10
    given = deletion_insertion(answer, white, 1 - white, order, LAYOUT, 5, ends)
    assert len(calls) == 18
    for a, b in zip(without, given, strict=True):
        torch.testing.assert_close(a, b)


def test_areas_by_trapezia():
    curve = np.array([[1.0, 0.5, 0.25, 0.25, 0.0]])
    shares = [0, 0.2, 0.5, 0.8, 1]  # of ten patches, in four steps
    expected = sum((shares[i + 1] - shares[i]) * (curve[0, i] + curve[0, i + 1]) / 2 for i in range(4))
    np.testing.assert_allclose(area(curve, 10), expected)


def test_fills():
    images = torch.rand(2, 3, 40, 60)
    mean = filled(images, "mean")
    torch.testing.assert_close(mean, images.mean(dim=(2, 3))[..., None, None].expand(2, 3, 40, 60))
    blurred = filled(images, "blur")
    torch.testing.assert_close(blurred.mean(dim=(2, 3)), images.mean(dim=(2, 3)), atol=0.02, rtol=0)
    assert blurred.std() < 0.3 * images.std()
    with pytest.raises(DCALError, match="unknown fill 'noise'"):
        filled(images, "noise")


def test_equals_have_no_corner_to_start_from():
    maps = torch.zeros(2, 10)
    maps[:, 4] = 1
    order = patch_order(maps, seed=0)
    assert order[0, 0] == 4 and order[0, 1:].tolist() != sorted(order[0, 1:].tolist())
    assert sorted(order[0].tolist()) == list(range(10)) and torch.equal(order[0], order[1])
    assert not torch.equal(order, patch_order(maps, seed=1))
    distinct = torch.rand(3, 10)
    torch.testing.assert_close(patch_order(distinct, seed=5), distinct.argsort(dim=1, descending=True))


@pytest.mark.parametrize("steps", [0, 11])
def test_steps_must_fit(steps: int):
    with pytest.raises(DCALError, match=f"number of patches, 10; got {steps}"):
        step_counts(10, steps)

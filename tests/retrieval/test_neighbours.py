"""The nearest of all images from one triangle of distances are those of the whole matrix."""

import numpy as np
import pytest

from dcal.retrieval import distances, neighbours
from dcal.retrieval.neighbours import Neighbours


def drawn(kind: str, n: int) -> np.ndarray:
    """Images as whole numbers, so that their distances are exact: spread, in heaps of equal ones, and all equal."""
    random = np.random.default_rng(n)
    images = random.integers(-50, 50, size=(n, 4)).astype(np.float32)
    return {"spread": images, "heaps": images[random.integers(0, max(1, n // 9), n)], "equal": np.ones_like(images)}[
        kind
    ]


@pytest.mark.parametrize("kind", ["spread", "heaps", "equal"])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 9), (90, 1), (90, 8), (131, 30)])
@pytest.mark.parametrize("rows", [1, 3, 40, 1000])
def test_equal_to_the_whole_matrix(kind: str, n: int, k: int, rows: int, monkeypatch: pytest.MonkeyPatch):
    images = drawn(kind, n)
    monkeypatch.setattr(distances, "BLOCK_BYTES", 4 * rows * n)
    monkeypatch.setattr(neighbours, "COLUMNS", 13)
    found, after, blocks = Neighbours(n, k, images.dtype), 0, 0
    whole = ((images[:, None] - images) ** 2).sum(axis=2)
    order = np.argsort(whole, axis=1, kind="stable")[:, :k]
    for first, block in distances.triangle_blocks(images, "euclidean"):
        own = found.add(first, block)
        assert (own.start, own.stop) == (after, after + len(block)) and block.shape[1] == n - first
        np.testing.assert_array_equal(block, whole[own, first:])
        np.testing.assert_array_equal(found.images[own], order[own])  # final after its own block
        after, blocks = own.stop, blocks + 1
    assert after == n and (rows < n // 2) <= (blocks > 1)
    np.testing.assert_array_equal(found.images, order)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(whole, order, axis=1))
    np.testing.assert_array_equal(found.greatest, whole.max(axis=1))


def test_cosine_distances_of_a_triangle_are_those_of_the_square():
    images = np.random.default_rng(0).normal(size=(30, 5))
    ((first, block),) = distances.triangle_blocks(images, "cosine")
    (whole,) = distances.distance_blocks(images, images, "cosine")
    assert first == 0
    np.testing.assert_allclose(block, whole, atol=1e-15)

"""The coarse first pass: it gives what all rows give, or says that it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from dcal.gallery import EmbeddedGallery, Item, Origin, coarse
from dcal.gallery.coarse import CoarseIndex

N, D, K = 4000, 48, 10


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcal.gallery.faiss_gallery.LEAST", 100)
    monkeypatch.setattr(coarse, "SPARE", 60)


def rows_of(kind: str) -> np.ndarray:
    random = np.random.default_rng(3)
    rows = random.standard_normal((N, D))
    if kind == "identities":  # forty rows about each of a hundred directions
        rows = np.repeat(rows[: N // 40], 40, axis=0) + 0.2 * rows
    elif kind == "nearly equal":  # nearer to each other than a code's step
        rows = rows[:1] + 1e-4 * rows
    elif kind == "an outlier":  # whose size makes the steps of all codes coarse
        rows[1:] = rows[:1] + 3e-3 * rows[1:]
        rows[0] *= -1
    elif kind == "equal":
        rows[:] = rows[0]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


KINDS = ("random", "identities", "nearly equal", "an outlier", "equal")


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_holds_for_every_row(kind: str):
    rows = rows_of(kind)
    index = CoarseIndex(rows)
    codes = index._index.reconstruct_n(0, N).astype(np.float64)
    kept = index.mean + index.scale * codes
    assert np.abs(codes).max() <= 127
    assert np.linalg.norm(rows - kept, axis=1).max() <= index.error + 1e-12
    assert np.linalg.norm(index.scale * codes, axis=1).max() <= index.length + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_the_nearest_of_all_rows_or_nothing(kind: str):
    rows, settled = rows_of(kind), 0
    index, queries = CoarseIndex(rows), np.concatenate([rows[::400], rows_of("random")[:10]])
    for query in queries:
        if (found := index.nearest(query, K, N)) is not None:
            settled += 1
            exact = np.sort(rows.astype(np.float64) @ query.astype(np.float64))[::-1][:K]
            np.testing.assert_allclose(np.sort(found[1])[::-1], exact, atol=1e-6)
            assert len(set(found[0])) == K
    assert settled == {"random": 20, "identities": 20, "an outlier": 0, "equal": 0}.get(kind, settled)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cameras", [None, ["0", "2"]])
def test_a_search_answers_as_without_it(kind: str, cameras: list[str] | None, monkeypatch: pytest.MonkeyPatch):
    items = [Item(f"{index}.jpg", str(index // 40), str(index % 4)) for index in range(N)]
    gallery = EmbeddedGallery(items, rows_of(kind), Origin("0" * 64, "random", {"sa": D}), "images")
    queries = np.concatenate([gallery.embeddings[:2], rows_of("random")[:8]])
    with_it = [gallery.search(query[None], K, cameras=cameras) for query in queries]
    assert "_coarse" in gallery.__dict__
    monkeypatch.setattr("dcal.gallery.faiss_gallery.LEAST", N + 1)
    for query, found in zip(queries, with_it, strict=True):
        plain = gallery.search(query[None], K, cameras=cameras)
        assert np.array_equal(found.indices, plain.indices) and np.array_equal(found.similarities, plain.similarities)

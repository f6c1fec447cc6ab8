"""Embeddings in the plane: the components by an eigendecomposition, and groups that t-SNE keeps together."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from dcal.errors import DCALError
from dcal.gallery import EmbeddedGallery, Item, Origin, t_sne
from dcal.gallery.projection import projection, projection_steps
from tests.fixtures.tiny_gallery import N, random_gallery


def test_principal_components_are_the_covariance_s_eigenvectors():
    gallery = random_gallery()
    found = projection(gallery)
    rows = gallery.embeddings.astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    expected = (rows - rows.mean(axis=0)) @ vectors[:, [-1, -2]]
    np.testing.assert_allclose(abs(found.points), abs(expected), atol=1e-5)
    assert found.explained == pytest.approx((values[-1] / values.sum(), values[-2] / values.sum()))
    assert found.points[abs(found.points).argmax(axis=0), [0, 1]].min() > 0
    assert found.indices.tolist() == list(range(N)) and len(projection(gallery, most=7).indices) == 7


def test_t_sne_keeps_neighbours_together():
    random = np.random.default_rng(0)
    centres = random.standard_normal((4, 16)) * 3
    rows = np.concatenate([centre + 0.2 * random.standard_normal((9, 16)) for centre in centres]).astype(np.float32)
    gallery = EmbeddedGallery([Item(f"{i}.jpg") for i in range(36)], rows, Origin("ab" * 32, "x", {"sa": 16}), "photos")
    points = projection(gallery, "t-sne").points
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(36)
    assert (distances.argmin(axis=1) // 9 == np.arange(36) // 9).all()
    np.testing.assert_array_equal(points, projection(gallery, "t-sne").points)
    running, shares = projection_steps(gallery, "t-sne"), []
    with pytest.raises(StopIteration) as ended:
        while True:
            shares.append(next(running))
    np.testing.assert_array_equal(ended.value.value.points, points)  # in a process of its own, the same
    assert shares == sorted(shares) and len(shares) > 4 and shares[-1] <= 1
    with pytest.raises(DCALError, match="'umap': choose one of"):
        projection(gallery, "umap")
    few = EmbeddedGallery([Item("a.jpg")], rows[:1], Origin("ab" * 32, "x", {"sa": 16}), "photos")
    with pytest.raises(DCALError, match="four images at least, the gallery has 1"):
        projection(few)


def test_closing_it_ends_the_process(monkeypatch):
    started, start = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(start(*a, **k)) or started[0])
    running = projection_steps(random_gallery(400), "t-sne")
    assert 0 < next(running) < 1 and started[0].poll() is None
    running.close()
    assert started[0].poll() is not None


def test_a_process_that_fails_says_why():
    rows = np.full((8, 3), np.nan, dtype=np.float32)
    with pytest.raises(DCALError, match=r"t-SNE ended with 1: .*NaN"):
        list(t_sne.t_sne_steps(rows, 2.0, 0))

"""A gallery's images as queries: equal to rankings one by one, and the similarities in loops."""

from __future__ import annotations

import numpy as np
import pytest

import dcal
from dcal.gallery import rank
from dcal.gallery.survey import BINS, survey
from tests.fixtures.tiny_yard import write_checkpoints


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> dcal.gallery.Gallery:
    return dcal.open_gallery(write_checkpoints(tmp_path_factory.mktemp("reid")) / "reid-full" / "gallery")


@pytest.mark.parametrize("across", [False, True])
def test_the_quality_is_that_of_single_rankings(gallery: dcal.gallery.Gallery, across: bool) -> None:
    found = survey(gallery, across)
    assert found.queries.tolist() == list(range(12))
    for row, index in enumerate(found.queries):
        item = gallery.items[index]
        cameras = [camera for camera in gallery.cameras if camera != item.camera] if across else None
        single = rank(gallery, item, cameras=cameras)
        assert found.quality.ap[row] == pytest.approx(single.ap, abs=1e-9)
        assert found.quality.first[row] == single.first


@pytest.mark.parametrize("across", [False, True])
def test_similarities_are_counted_pair_by_pair(gallery: dcal.gallery.Gallery, across: bool) -> None:
    found = survey(gallery, across)
    rows = gallery.rows(np.arange(12)).astype(np.float64)
    true: list[float] = []
    false: list[float] = []
    for i, one in enumerate(gallery.items):
        for j, other in enumerate(gallery.items):
            same_camera = one.camera == other.camera
            if same_camera and (across or one.identity == other.identity):
                continue
            (true if one.identity == other.identity else false).append(float(rows[i] @ rows[j]))
    assert (found.true.sum(), found.false.sum()) == (len(true), len(false))
    np.testing.assert_array_equal(found.true, np.histogram(true, np.linspace(-1, 1, BINS + 1))[0])
    missed, accepted = found.error_rates()
    threshold = 97
    assert missed[threshold] == pytest.approx(np.mean(np.array(true) < found.edges[threshold]))
    assert accepted[threshold] == pytest.approx(np.mean(np.array(false) >= found.edges[threshold]))


def test_fewer_queries_are_spread_over_the_gallery(gallery: dcal.gallery.Gallery) -> None:
    assert survey(gallery, most=4).queries.tolist() == [0, 4, 7, 11]

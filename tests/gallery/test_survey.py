"""A gallery's images as queries: equal to rankings one by one, and the similarities in loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dcal
from dcal.errors import DCALError
from dcal.gallery import rank
from dcal.gallery import survey as surveys
from dcal.gallery.survey import BINS, CASES, case_steps, comparison, survey, survey_steps
from dcal.progress import Steps
from dcal.retrieval import Reranking, evaluate, rerank
from dcal.retrieval.evaluate import evaluate_rows
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
    assert found.edges[[0, -1]] == pytest.approx([min(true + false), max(true + false)], abs=1e-6)
    counted = np.histogram(true, found.edges)[0]
    assert len(found.true) == BINS and abs(found.true - counted).sum() <= 2  # rounding at an edge
    missed, accepted = found.error_rates()
    threshold = 60
    assert missed[threshold] == pytest.approx(np.mean(np.array(true) < found.edges[threshold]))
    assert accepted[threshold] == pytest.approx(np.mean(np.array(false) >= found.edges[threshold]))


def test_fewer_queries_are_spread_over_the_gallery(gallery: dcal.gallery.Gallery) -> None:
    assert survey(gallery, most=4).queries.tolist() == [0, 4, 7, 11]


def test_re_ranking_and_the_camera_rule_are_compared(gallery: dcal.gallery.Gallery) -> None:
    settings = Reranking(k1=3, k2=2)
    found = comparison(gallery, settings)
    rows = gallery.rows(np.arange(12))
    identities, cameras = (np.array([getattr(item, name) for item in gallery.items]) for name in ("identity", "camera"))
    for across in (True, False):
        np.testing.assert_array_equal(found.qualities[across, False].ap, survey(gallery, across).quality.ap)
    for camera in gallery.cameras:
        asked, others = np.flatnonzero(cameras == camera), np.flatnonzero(cameras != camera)
        distances = rerank(rows[asked], rows[others], settings)
        expected = evaluate(distances, identities[asked], identities[others])
        np.testing.assert_allclose(found.qualities[True, True].ap[asked], expected.ap)
    everything = np.arange(12)
    standard = evaluate_rows(rows, everything, everything, identities, cameras, rerank=settings)
    np.testing.assert_allclose(found.qualities[False, True].ap, standard.ap)
    before, after = (found.qualities[True, reranked].ap for reranked in (False, True))
    raised = sum(a > b for a, b in zip(after, before, strict=True))
    assert found.changed(True) == (raised, sum(a < b for a, b in zip(after, before, strict=True)))
    with pytest.raises(DCALError, match="4 images at most, this one has 12"):
        comparison(gallery, settings, most=4)


def watched(steps: Steps[Any]) -> tuple[list[float], Any]:
    """(the shares done, the result)"""
    shares = []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            return shares, end.value


@pytest.mark.parametrize("across", [False, True])
def test_a_survey_in_small_blocks_is_the_same_and_says_how_far_it_is(
    gallery: dcal.gallery.Gallery, across: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = survey(gallery, across)
    monkeypatch.setattr(surveys, "BLOCK", 5)
    shares, found = watched(survey_steps(gallery, across))
    assert len(shares) == (3 + 3 + 3 if not across else len(gallery.cameras) + 3 + 3)
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == pytest.approx(1)
    for name in ("ap", "inp", "first", "matches", "hits"):
        np.testing.assert_array_equal(getattr(found.quality, name), getattr(whole.quality, name))
    assert (found.true.sum(), found.false.sum()) == (whole.true.sum(), whole.false.sum())
    np.testing.assert_allclose(found.edges, whole.edges, atol=1e-6)


def test_a_comparison_is_made_case_by_case(gallery: dcal.gallery.Gallery) -> None:
    settings = Reranking(k1=3, k2=2)
    whole = comparison(gallery, settings)
    assert tuple(whole.qualities) == CASES
    for across, reranked in CASES:
        shares, quality = watched(case_steps(gallery, across, reranked, settings))
        assert len(shares) == (len(gallery.cameras) if across else 1) and shares[-1] == 1
        np.testing.assert_array_equal(quality.ap, whole.qualities[across, reranked].ap)


def test_closing_the_steps_ends_the_work(gallery: dcal.gallery.Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked: list[int] = []
    monkeypatch.setattr(surveys, "BLOCK", 5)
    monkeypatch.setattr(surveys, "evaluate_rows", lambda values, asked, *_, **__: ranked.append(len(asked)))
    steps = survey_steps(gallery)
    next(steps)
    steps.close()
    assert ranked == [5]

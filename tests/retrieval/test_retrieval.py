"""Ranking quality against walks down sorted lists, values by hand, and scikit-learn."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, coverage_error, precision_recall_curve

import dcal
from dcal.errors import DCALError
from dcal.retrieval import Protocol, Quality, distances, evaluate, evaluate_features

Q, G, IDS, CAMERAS = 13, 41, 7, 3
SINGLE = Protocol(shots="single", max_rank=5)


def labelled(seed: int = 0, queries: int = Q, gallery: int = G, ids: int = IDS):
    """(distances, query ids, gallery ids, query cameras, gallery cameras), all different distances."""
    random = np.random.default_rng(seed)
    people = [random.integers(0, ids, n) for n in (queries, gallery)]
    cameras = [random.integers(0, CAMERAS, n) for n in (queries, gallery)]
    return random.permutation(queries * gallery).reshape(queries, gallery) / 7.0, *people, *cameras


def walk(row, own_id, ids, own_camera=None, cameras=None, junk=-1) -> list[bool]:
    """Down the gallery from the nearest image, equals by index: is each a match? What is no answer is left out."""
    order = sorted(range(len(row)), key=lambda j: (row[j], j))
    seen = []
    for j in order:
        same_camera = cameras is not None and ids[j] == own_id and cameras[j] == own_camera
        if ids[j] != junk and not same_camera:
            seen.append(bool(ids[j] == own_id))
    return seen


def average_precision(seen: list[bool], formula: str) -> float:
    """Market-1501's program and the sum over matches, each as its authors wrote it: rank by rank."""
    found, total, old_recall, old_precision = 0, 0.0, 0.0, 1.0
    for rank, match in enumerate(seen, start=1):
        found += match
        recall, precision = found / sum(seen), found / rank
        total += (recall - old_recall) * (precision if formula == "hits" else (old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
    return total


def check(found: Quality, seen: list[list[bool]], formula: str = "hits", max_rank: int = 50) -> None:
    """`found` against the walks of every query."""
    valid = [i for i, walked in enumerate(seen) if any(walked)]
    assert found.skipped.tolist() == [i for i in range(len(seen)) if i not in valid]
    curve, aps, inps = np.zeros(max_rank), [], []
    for i in valid:
        ranks = [rank for rank, match in enumerate(seen[i], start=1) if match]
        aps.append(average_precision(seen[i], formula))
        inps.append(len(ranks) / ranks[-1])
        curve[ranks[0] - 1 :] += 1 / len(valid)
        assert found.first[i] == ranks[0] and found.matches[i] == len(ranks)
        assert found.ap[i] == pytest.approx(aps[-1], abs=1e-12) and found.inp[i] == pytest.approx(inps[-1], abs=1e-12)
    assert np.isnan(found.ap[found.skipped]).all() and np.isnan(found.hits[found.skipped]).all()
    assert found.mAP == pytest.approx(np.mean(aps)) and found.mINP == pytest.approx(np.mean(inps))
    np.testing.assert_allclose(found.cmc, curve, atol=1e-6)


def test_a_ranking_by_hand():
    """One query, matches at ranks 1, 3 and 6 of 7: precisions 1, 2/3, 1/2."""
    row = np.array([[0.6, 0.1, 0.5, 0.3, 0.2, 0.7, 0.4]])
    ids = [8, 8, 2, 8, 5, 2, 9]
    found = evaluate(row, [8], ids)
    assert found.mAP == pytest.approx((1 + 2 / 3 + 1 / 2) / 3) and found.mINP == pytest.approx(3 / 6)
    found = evaluate(row, [8], ids, protocol=Protocol(average_precision="trapezoid"))
    assert found.mAP == pytest.approx(((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 5 + 1 / 2) / 2) / 3)
    # the best match is from the query's camera, another match is not: ranks 2 and 5 of 6 remain
    found = evaluate(row, [8], ids, [1], [2, 1, 1, 3, 1, 2, 2])
    assert found.mAP == pytest.approx((1 / 2 + 2 / 5) / 2) and found.cmc[:3].tolist() == [0, 1, 1]
    assert found.first.tolist() == [2] and found.matches.tolist() == [2]


@pytest.mark.parametrize("formula", ["hits", "trapezoid"])
@pytest.mark.parametrize("cameras", [True, False])
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**25])
def test_every_figure_is_the_walks(formula: str, cameras: bool, block_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", block_bytes)
    d, qi, gi, qc, gc = labelled()
    gi[gi == 6], gi[3], gi[17] = 5, -1, -1  # identity 6 is asked for and not there; two junk images
    qi[2] = 6
    seen = [walk(d[i], qi[i], gi, qc[i] if cameras else None, gc if cameras else None) for i in range(Q)]
    protocol = Protocol(average_precision=formula, max_rank=11)
    before = d.copy()
    found = evaluate(d, qi, gi, *((qc, gc) if cameras else (None, None)), protocol)
    check(found, seen, formula, 11)
    assert 2 in found.skipped
    np.testing.assert_array_equal(d, before)


@pytest.mark.parametrize("gallery", [G, 700])  # 700: a match's rank is far from the row's ends, and from its index
def test_scikit_learns_figures(gallery: int):
    """Its average precision is "hits", its area under the curve "trapezoid", its coverage the last match's rank."""
    d, qi, gi, qc, gc = labelled(3, gallery=gallery)
    gi[[2, 5]] = -1
    hits, trapezoid = (evaluate(d, qi, gi, qc, gc, Protocol(average_precision=ap)) for ap in ("hits", "trapezoid"))
    assert not len(hits.skipped)
    for i in range(Q):
        left = (gi != -1) & ((gi != qi[i]) | (gc != qc[i]))
        truth, score = gi[left] == qi[i], -d[i, left]
        assert hits.ap[i] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
        precision, recall, _ = precision_recall_curve(truth, score)
        assert trapezoid.ap[i] == pytest.approx(auc(recall, precision), abs=1e-12)
        assert hits.inp[i] == pytest.approx(truth.sum() / coverage_error([truth], [score]), abs=1e-12)


@pytest.mark.parametrize("end", ["front", "back"])
def test_matches_all_in_front_or_one_at_the_back(end: str):
    """Where only the front of a row is sorted, and where all of it must be; equals on the border between them too."""
    d, (_, qi, gi, qc, gc) = np.arange(Q * 301.0).reshape(Q, 301) % 60, labelled(9, gallery=301)
    d[gi == qi[:, None]] = 5
    if end == "back":
        d[np.arange(Q), [np.flatnonzero(gi == identity)[-1] for identity in qi]] = 61
    check(evaluate(d, qi, gi, qc, gc), [walk(d[i], qi[i], gi, qc[i], gc) for i in range(Q)])


def test_equal_distances_rank_by_gallery_index():
    random = np.random.default_rng(5)
    d, (_, qi, gi, qc, gc) = random.integers(0, 4, (Q, G)), labelled(5)
    check(evaluate(d, qi, gi, qc, gc), [walk(d[i], qi[i], gi, qc[i], gc) for i in range(Q)])
    flat = evaluate(np.zeros((1, 4)), [1], [0, 1, 0, 1])
    assert flat.first.tolist() == [2] and flat.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert evaluate(np.array([[3, 1, 3]]), [1], [0, 0, 1]).first.tolist() == [3]  # the two last of a row


def test_a_gallery_smaller_than_the_curve():
    """The usual code crashes here, or reports what an earlier query left in its array."""
    d, qi, gi, qc, gc = labelled(1, queries=9, gallery=5, ids=3)
    found = evaluate(d, qi, gi, qc, gc, Protocol(max_rank=20))
    check(found, [walk(d[i], qi[i], gi, qc[i], gc) for i in range(9)], max_rank=20)
    assert found.cmc.shape == (20,) and (found.cmc[4:] == 1).all()
    assert set(found.summary()) == {"queries", "skipped", "mAP", "mINP", "rank1", "rank5", "rank10"}
    assert "rank10" not in evaluate(d, qi, gi, protocol=Protocol(max_rank=7)).summary()


def test_one_camera_only():
    d, qi, gi, *_ = labelled(2)
    qc, gc = np.zeros(Q, int), np.zeros(G, int)
    with pytest.raises(DCALError, match=r"none of the 13 queries .* Protocol\(exclude_same_camera=False\)"):
        evaluate(d, qi, gi, qc, gc)
    found = evaluate(d, qi, gi, qc, gc, Protocol(exclude_same_camera=False))
    check(found, [walk(d[i], qi[i], gi) for i in range(Q)])


def test_junk_is_an_option():
    d, qi, gi, *_ = labelled(4)
    gi[:9] = 77
    for junk in (77, None):
        found = evaluate(d, qi, gi, protocol=Protocol(junk=junk))
        check(found, [walk(d[i], qi[i], gi, junk=junk) for i in range(Q)])
    names = evaluate(d, [f"p{i}" for i in qi], ["-1" if i == 77 else f"p{i}" for i in gi])
    np.testing.assert_array_equal(names.ap, evaluate(d, qi, gi, protocol=Protocol(junk=77)).ap)


def test_any_kind_of_array():
    d, qi, gi, qc, gc = labelled(6)
    d = np.random.default_rng(6).permutation(Q * G).reshape(Q, G)  # to 532: exact in every type below
    expected = evaluate(d, qi, gi, qc, gc)
    tensors = [torch.from_numpy(x) for x in (qi, gi, qc, gc)]
    for kind in (torch.float16, torch.float32, torch.float64, torch.int16):
        np.testing.assert_array_equal(evaluate(torch.from_numpy(d).to(kind), *tensors).ap, expected.ap)
    np.testing.assert_array_equal(
        evaluate(np.asfortranarray(d), *(x.tolist() for x in (qi, gi, qc, gc))).ap, expected.ap
    )
    places = [np.array([f"gate {c}" for c in cameras], dtype=object) for cameras in (qc, gc)]
    np.testing.assert_array_equal(evaluate(d[:, ::-1], qi, gi[::-1], places[0], places[1][::-1]).ap, expected.ap)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("block_bytes", [1, 700, 2**25])
def test_features_rank_as_their_distances(distance: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", block_bytes)
    random = np.random.default_rng(7)
    _, qi, gi, qc, gc = labelled(7)
    q, g = random.normal(size=(Q, 5)) * 3, random.normal(size=(G, 5)) * random.uniform(0.2, 5, (G, 1))
    gi[[1, 30]] = -1
    d = np.array([[np.linalg.norm(a - b) for b in g] for a in q])
    if distance == "cosine":
        d = np.array([[1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in g] for a in q])
    expected = evaluate(d, qi, gi, qc, gc)
    for kind in (np.float32, np.float64):
        found = evaluate_features(q.astype(kind), g.astype(kind), qi, gi, qc, gc, distance=distance)
        np.testing.assert_array_equal(found.ap, expected.ap)
        np.testing.assert_array_equal(found.hits, expected.hits)
    mixed = evaluate_features(torch.from_numpy(q), torch.from_numpy(g).float(), qi, gi, qc, gc, distance=distance)
    np.testing.assert_array_equal(mixed.ap, expected.ap)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_what_single_precision_cannot_tell_apart_is_ranked_in_double(
    distance: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(distances, "BLOCK_BYTES", block_bytes)
    random = np.random.default_rng(8)
    _, qi, gi, qc, gc = labelled(8)
    q = random.normal(size=(Q, 300)).astype(np.float32)
    g = (random.normal(size=300) + 3e-6 * random.normal(size=(G, 300))).astype(np.float32)  # all but one image
    g[1::7] = g[0]  # and some that are exactly one
    exact = np.array([distances.exact_distances(row, g, distance) for row in q])
    expected = evaluate(exact, qi, gi, qc, gc)
    found = evaluate_features(q, g, qi, gi, qc, gc, distance=distance)
    np.testing.assert_array_equal(found.ap, expected.ap)
    np.testing.assert_array_equal(found.inp, expected.inp)
    rounded = evaluate(np.concatenate([b.copy() for b in distances.distance_blocks(q, g, distance)]), qi, gi, qc, gc)
    assert (rounded.ap != expected.ap).any(), "single precision ranks them right: the test would prove nothing"


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["hits", "trapezoid"]), st.sampled_from(["multiple", "single"]))
def test_permuting_the_gallery_changes_nothing(seed: int, formula: str, shots: str):
    d, qi, gi, qc, gc = labelled(seed)
    protocol = Protocol(average_precision=formula, shots=shots, max_rank=9)
    order = np.random.default_rng(seed).permutation(G)
    straight = evaluate(d, qi, gi, qc, gc, protocol)
    mixed = evaluate(d[:, order], qi, gi[order], qc, gc[order], protocol)
    for name in ("ap", "inp", "first", "matches"):
        np.testing.assert_array_equal(getattr(straight, name), getattr(mixed, name))
    np.testing.assert_allclose(straight.hits, mixed.hits, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["cosine", "euclidean"]))
def test_a_duplicate_of_the_query_ranks_first(seed: int, distance: str):
    random = np.random.default_rng(seed)
    g = random.normal(size=(G, 6)).astype(np.float32)
    places = random.permutation(G)[:Q]
    found = evaluate_features(g[places], g, np.arange(Q), index_of(places), distance=distance)
    assert found.first.tolist() == [1] * Q and found.mAP == found.mINP == found.cmc[0] == 1


def index_of(places: np.ndarray) -> np.ndarray:
    """Identity k for the gallery image that query k duplicates, 99 for the others."""
    ids = np.full(G, 99)
    ids[places] = np.arange(len(places))
    return ids


@given(st.integers(0, 2**32 - 1))
def test_bounds_and_monotony(seed: int):
    d, qi, gi, qc, gc = labelled(seed)
    found = evaluate(d, qi, gi, qc, gc)
    trapezoid = evaluate(d, qi, gi, qc, gc, Protocol(average_precision="trapezoid"))
    valid = found.matches > 0
    assert (trapezoid.ap[valid] <= found.ap[valid] + 1e-12).all()
    assert (found.inp[valid] <= 1).all() and (found.ap[valid] <= 1).all()
    assert (found.inp[valid] > 0).all() and (trapezoid.ap[valid] > 0).all()
    assert (np.diff(found.cmc) >= 0).all() and 0 <= found.cmc[0] <= found.cmc[-1] <= 1


def test_single_gallery_shots_are_the_mean_of_all_draws():
    d = np.array([[5, 1, 2, 7, 3, 3, 8, 6, 4], [1, 1, 1, 1, 2, 2, 2, 2, 2]])  # ties too
    ids, own = np.array([0, 1, 1, 0, 2, 0, 2, 1, 3]), np.array([0, 2])
    found = evaluate(d, own, ids, protocol=SINGLE)
    for i, row in enumerate(d):
        curves = []
        for draw in product(*[np.flatnonzero(ids == identity) for identity in range(4)]):
            curves.append(np.cumsum(walk(row[sorted(draw)], own[i], ids[sorted(draw)])))
        np.testing.assert_allclose(found.hits[i], np.pad(np.mean(curves, 0), (0, 1), constant_values=1), atol=1e-6)
    np.testing.assert_array_equal(found.ap, evaluate(d, own, ids).ap)  # AP still looks at all images


def test_single_gallery_shots_at_random():
    """With cameras and a skipped query, against many draws as public code makes them."""
    d, qi, gi, qc, gc = labelled(8)
    qi[4] = 100
    found, random = evaluate(d, qi, gi, qc, gc, SINGLE), np.random.default_rng(0)
    assert found.skipped.tolist() == [4] and np.isnan(found.hits[4]).all()
    for i in (0, 1, 5):
        left = np.flatnonzero((gi != qi[i]) | (gc != qc[i]))
        total = np.zeros(5)
        for _ in range(3000):
            draw = np.sort([random.choice(left[gi[left] == identity]) for identity in np.unique(gi[left])])
            total += np.cumsum(walk(d[i, draw], qi[i], gi[draw]))[:5]
        np.testing.assert_allclose(found.hits[i], total / 3000, atol=0.04)


def test_what_does_not_fit_is_told_with_numbers():
    d, qi, gi, qc, gc = labelled()
    wrong = {
        "13 × 40 distances, but 13 query and 41": (d[:, :40], qi, gi),
        r"\(queries, gallery\), got the shape \(13,\)": (d[:, 0], qi, gi),
        "gallery_cameras are missing": (d, qi, gi, qc),
        "but 12 and 41 cameras": (d, qi, gi, qc[:12], gc),
        "query_ids must be one integer or text per image, got float64": (d, qi / 2, gi),
        "query ids are <U1, gallery ids int64": (d, list("abcdefghijklm"), gi),
        "query cameras are int64, gallery cameras <U1": (d, qi, gi, qc, ["a"] * G),
        "1 queries have the identity -1": (d, np.append(qi[1:], -1), gi),
        "0 of 41 gallery images no junk": (d, qi, np.full(G, -1)),
        "none of the 13 queries has a match": (d, qi + 100, gi),
        "numbers are expected, got complex": (d.astype(complex), qi, gi),
    }
    for text, arguments in wrong.items():
        with pytest.raises(DCALError, match=text):
            evaluate(*arguments)
    with pytest.raises(DCALError, match="the text 'x', but the identities are numbers"):
        evaluate(d, qi, gi, protocol=Protocol(junk="x"))
    with pytest.raises(DCALError, match="unknown shots 'one'"):
        Protocol(shots="one")
    with pytest.raises(DCALError, match="max_rank must be at least 1, got 0"):
        Protocol(max_rank=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_distances_that_are_not_finite(value: float):
    d, qi, gi, qc, gc = labelled()
    d[3, 8] = d[6, 1] = value
    with pytest.raises(DCALError, match="2 of 13 queries are not all finite"):
        evaluate(d, qi, gi)
    gi[[1, 8]] = -1  # junk may be anything
    evaluate(d, qi, gi, qc, gc)
    left_out = np.where((gi == qi[:, None]) & (gc == qc[:, None]), value, labelled()[0])
    np.testing.assert_array_equal(evaluate(left_out, qi, gi, qc, gc).ap, evaluate(labelled()[0], qi, gi, qc, gc).ap)


def test_features_that_do_not_fit():
    q, g, ids = np.ones((2, 4)), np.ones((3, 5)), ([1, 2], [1, 2, 3])
    with pytest.raises(DCALError, match="query features are 4 wide, gallery features 5"):
        evaluate_features(q, g, *ids)
    with pytest.raises(DCALError, match="1 gallery features are all zeros"):
        evaluate_features(q, np.array([[1.0] * 4, [0] * 4, [1] * 4]), *ids)
    with pytest.raises(DCALError, match=r"query_features must be \(images, width\).*got \(2, 0\)"):
        evaluate_features(q[:, :0], g, *ids)
    with pytest.raises(DCALError, match="unknown distance 'manhattan'"):
        evaluate_features(q, q, [1, 2], [1, 2], distance="manhattan")
    with pytest.raises(DCALError, match="2 × 3 distances, but 1 query and 3 gallery ids"):
        evaluate_features(g[:2], g, [1], ids[1])


def test_it_is_found_from_the_package():
    assert dcal.retrieval.evaluate is evaluate

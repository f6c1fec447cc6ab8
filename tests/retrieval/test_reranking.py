"""k-reciprocal re-ranking against the paper's sets in Python loops; query expansion against sums by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dcal.errors import DCALError
from dcal.retrieval import Reranking, distances, evaluate, evaluate_features, evaluate_rows, expand_queries, rerank
from dcal.retrieval.reranking import neighbourhood

Q, G, D = 11, 47, 6


def features(seed: int = 0, identities: int = 8):
    """(queries, gallery, their identities), float64, in clusters."""
    random = np.random.default_rng(seed)
    centres, ids = random.normal(size=(identities, D)), random.integers(0, identities, Q + G)
    every = centres[ids] + 0.8 * random.normal(size=(Q + G, D))
    return every[:Q], every[Q:], ids[:Q], ids[Q:]


def handed(every: np.ndarray, distance: str) -> list[list[float]]:
    """The matrix that the known code would be given, a pair at a time."""

    def of(a: np.ndarray, b: np.ndarray) -> float:
        if distance == "cosine":
            return 1 - sum(a * b) / math.sqrt(sum(a * a)) / math.sqrt(sum(b * b))
        squared = sum((a - b) ** 2)
        return math.sqrt(squared) if distance == "euclidean" else squared

    return [[of(a, b) for b in every] for a in every]


def by_the_paper(every: np.ndarray, queries: range, gallery: range, s: Reranking) -> np.ndarray:
    """Zhong et al., section 3, in sets and dictionaries, with the known code's conventions (see `Reranking`)."""
    d = handed(every, s.distance)
    n = range(len(every))
    d = [[d[i][j] ** 2 / max(x**2 for x in d[i]) for j in n] for i in n]
    order = [sorted(n, key=d[i].__getitem__) for i in n]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][:k] if i in order[j][:k]}

    encoding: list[dict[int, float]] = []
    for i in n:
        own = reciprocal(i, s.k1 + 1)
        members = set(own)
        for j in own:
            candidates = reciprocal(j, round(s.k1 / 2) + 1)
            if len(candidates & own) > 2 / 3 * len(candidates):
                members |= candidates
        weights = {j: math.exp(-d[i][j]) for j in members}
        encoding.append({j: w / sum(weights.values()) for j, w in weights.items()})
    near = [[encoding[j] for j in order[i][: s.k2]] for i in n]
    encoding = [{j: sum(e.get(j, 0) for e in some) / len(some) for j in set().union(*some)} for some in near]
    result = np.zeros((len(queries), len(gallery)))
    for row, i in enumerate(queries):
        for column, g in enumerate(gallery):
            pairs = [(encoding[i].get(j, 0), encoding[g].get(j, 0)) for j in n]
            jaccard = 1 - sum(min(p) for p in pairs) / sum(max(p) for p in pairs)
            result[row, column] = (1 - s.weight) * jaccard + s.weight * d[i][g]
    return result


@pytest.mark.parametrize("distance", ["euclidean", "squared", "cosine"])
@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (6, 3, 0.5), (7, 9, 1.0), (1, 2, 0.1)])
def test_it_is_the_papers(distance: str, k1: int, k2: int, weight: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", 7 * 8 * (Q + G))  # seven rows a block
    queries, gallery, *_ = features(k1)
    settings = Reranking(k1, k2, weight, distance)
    expected = by_the_paper(np.concatenate([queries, gallery]), range(Q), range(Q, Q + G), settings)
    np.testing.assert_allclose(rerank(queries, gallery, settings), expected, atol=1e-6)


def test_single_precision_and_tensors():
    queries, gallery, *_ = features(1)
    expected = rerank(queries, gallery)
    np.testing.assert_allclose(rerank(queries.astype(np.float32), gallery.astype(np.float32)), expected, atol=1e-6)
    np.testing.assert_array_equal(rerank(torch.from_numpy(queries), torch.from_numpy(gallery)), expected)
    assert expected.dtype == np.float32 and expected.shape == (Q, G) and 0 <= expected.min() <= expected.max() <= 1


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_rounding_does_not_decide_who_is_a_neighbour(distance: str):
    """Far from the origin, single precision mixes up near distances; sets of neighbours are those of exact ones."""
    wrong, settings = 0, Reranking(k1=5, k2=3, distance=distance)
    for seed in range(30):
        queries, gallery, *_ = features(seed)
        every = (np.concatenate([queries, gallery]) + 100).astype(np.float32)
        exact = np.array(handed(every.astype(np.float64), distance))
        found, _ = neighbourhood(every, settings)
        for count in settings.counts:
            expected = exact.argsort(axis=1)[:, :count]
            np.testing.assert_array_equal(np.sort(found[:, :count]), np.sort(expected))
            rounded = np.concatenate(list(distances.distance_blocks(every, every, settings.kind))).argsort(axis=1)
            wrong += (np.sort(rounded[:, :count]) != np.sort(expected)).any(axis=1).sum()
    assert wrong > 0  # else this test would show nothing


def test_fewer_images_than_neighbours():
    """All are everybody's neighbours, so all encodings are alike, no Jaccard distance is left, and λ d² / max d² is."""
    queries, gallery, *_ = features(2)
    queries, gallery, few = queries[:3], gallery[:4], Reranking(k1=30, k2=20)
    every = np.concatenate([queries, gallery])
    found, squared = rerank(queries, gallery, few), np.array(handed(every, "squared"))[:3]
    np.testing.assert_allclose(found, by_the_paper(every, range(3), range(3, 7), few), atol=1e-6)
    np.testing.assert_allclose(found, 0.3 * squared[:, 3:] / squared.max(1, keepdims=True), atol=1e-6)


def test_the_quality_of_a_re_ranking_needs_no_matrix(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", 4 * 8 * (Q + G))
    queries, gallery, qi, gi = features(3)
    gi[[4, 20]] = -1
    left = gi >= 0  # junk is no neighbour either
    found = evaluate_features(queries, gallery, qi, gi, rerank=Reranking(k1=9, k2=3))
    expected = evaluate(rerank(queries, gallery[left], Reranking(k1=9, k2=3)), qi, gi[left])
    np.testing.assert_array_equal(found.ap, expected.ap)
    assert found.mAP != evaluate_features(queries, gallery, qi, gi).mAP


def test_an_image_on_both_sides_is_one_image():
    """Twice in the list, everybody's nearest neighbour would be a copy of itself."""
    queries, gallery, qi, gi = features(5)
    every, ids = np.concatenate([queries, gallery]), np.concatenate([qi, gi])
    cameras, few = np.arange(Q + G) % 3, Reranking(k1=7, k2=3)
    ids[[Q + 2, Q + 9]] = -1  # junk is no neighbour
    used = np.flatnonzero(np.delete(ids, range(50, 58)) >= 0)  # nor is what stands on neither side
    sides, count = range(4, len(used)), len(used)
    distances = by_the_paper(every[used], range(4, count), range(count), few)
    expected = evaluate(distances, ids[used][4:], ids[used], cameras[used][4:], cameras[used])
    order = np.random.default_rng(0).permutation(len(used))
    found = evaluate_rows(every, used[sides], np.append(used[order], [Q + 2]), ids, cameras, rerank=few)
    np.testing.assert_allclose(found.ap, expected.ap, atol=1e-9)
    twice = evaluate_features(every[used][4:], every[used], ids[used][4:], ids[used], rerank=few)
    assert abs(twice.mAP - found.mAP) > 1e-3


def test_rows_without_re_ranking_and_labels_that_do_not_fit():
    queries, gallery, qi, gi = features(6)
    every, ids = np.concatenate([queries, gallery]), np.concatenate([qi, gi])
    found = evaluate_rows(torch.from_numpy(every), np.arange(Q), np.arange(Q, Q + G), ids, distance="euclidean")
    np.testing.assert_array_equal(found.ap, evaluate_features(queries, gallery, qi, gi, distance="euclidean").ap)
    with pytest.raises(DCALError, match="58 features need as many ids and cameras, got 57 ids"):
        evaluate_rows(every, np.arange(Q), np.arange(Q, Q + G), ids[1:])


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_permuting_the_gallery_permutes_the_result(seed: int):
    queries, gallery, *_ = features(seed)
    order = np.random.default_rng(seed).permutation(G)
    np.testing.assert_allclose(rerank(queries, gallery[order]), rerank(queries, gallery)[:, order], atol=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_duplicate_of_the_query_stays_first(seed: int):
    queries, gallery, *_ = features(seed)
    gallery[:Q] = queries
    np.testing.assert_array_equal(rerank(queries, gallery, Reranking(k1=6, k2=2)).argmin(1), np.arange(Q))


def test_settings_that_mean_nothing():
    for wrong in ({"k1": 0}, {"k2": 0}, {"weight": 1.5}):
        with pytest.raises(DCALError, match="k1 and k2 must be at least 1 and weight in"):
            Reranking(**wrong)
    with pytest.raises(DCALError, match="unknown distance 'cubed'"):
        Reranking(distance="cubed")


@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_queries_are_expanded_by_what_they_find(alpha: float, block_bytes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", block_bytes)
    queries, gallery, *_ = features(4)
    found = expand_queries(queries, gallery, k=7, alpha=alpha)
    for i, query in enumerate(queries):
        cosines = [float(query @ g / np.linalg.norm(query) / np.linalg.norm(g)) for g in gallery]
        total = query / np.linalg.norm(query)
        for j in sorted(range(G), key=lambda j: -cosines[j])[:7]:
            total = total + max(cosines[j], 0) ** alpha * gallery[j] / np.linalg.norm(gallery[j])
        np.testing.assert_allclose(found[i], total / np.linalg.norm(total), atol=1e-9)


def test_an_opposite_image_weighs_nothing_unless_it_is_an_average():
    queries, gallery = np.array([[1.0, 0]]), np.array([[-1.0, 1e-3]])
    np.testing.assert_allclose(expand_queries(queries, gallery, k=1, alpha=3.0), [[1, 0]])
    np.testing.assert_allclose(expand_queries(queries, gallery, k=1), [[0, 1]], atol=1e-3)


def test_expansions_that_mean_nothing():
    queries, gallery, *_ = features()
    for k, alpha in ((0, 0.0), (G + 1, 0.0), (3, -1.0)):
        with pytest.raises(DCALError, match=r"k must be 1 to 47 .* alpha at least 0, got"):
            expand_queries(queries, gallery, k, alpha)


@pytest.mark.parametrize("group", [2, 3, 64])
def test_nearest_are_in_order_and_equals_by_index(group: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(distances, "GROUP", group)
    random = np.random.default_rng(9)
    block = random.integers(0, 9, (5, 31)) / 1.0
    block[:, random.permutation(31)[:6]] = -1  # six equals in front
    for k in (1, 6, 20, 31, 40):
        found = distances.nearest(block, k)
        expected = [sorted(range(31), key=row.__getitem__)[: min(k, 31)] for row in block.tolist()]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
@pytest.mark.parametrize("side", [0, 1])
def test_features_that_are_not_finite_are_refused_everywhere(value: float, side: int):
    """1e25 is finite, and its square is not in float32."""
    own = [part.astype(np.float32) for part in features()[:2]]
    ids = features()[2:]
    own[side][3, 2] = value
    what = ("query", "gallery")[side]
    with pytest.raises(DCALError, match=f"1 of {len(own[side])} {what}_features are not finite"):
        rerank(*own)
    with pytest.raises(DCALError, match=f"1 of {len(own[side])} {what}_features are not finite"):
        expand_queries(*own)
    for settings_ in (None, Reranking()):
        with pytest.raises(DCALError, match=f"1 of {len(own[side])} {what}_features are not finite"):
            with_features: Any = evaluate_features
            with_features(*own, *ids, rerank=settings_)
        with pytest.raises(DCALError, match=f"1 of {Q + G} features are not finite"):
            rows: Any = (np.concatenate(own), *np.split(np.arange(Q + G), [Q]), np.concatenate(ids))
            with_rows: Any = evaluate_rows
            with_rows(*rows, rerank=settings_)


def test_features_too_short_for_a_cosine_are_refused():
    queries, gallery, *_ = features()
    gallery = gallery.astype(np.float32)
    gallery[5] = 1e-30
    with pytest.raises(DCALError, match="1 gallery features are all zeros, or nearly"):
        rerank(queries.astype(np.float32), gallery, Reranking(distance="cosine"))

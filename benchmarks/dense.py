"""Ranking and re-ranking as they are usually written, to measure ours against: whole matrices, indices sorted."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from benchmarks.crowd import Crowd

MAX_RANK = 50


def distances(crowd: Crowd) -> Float[np.ndarray, "q g"]:
    """All cosine distances at once, as torchreid and fast-reid compute them."""
    queries, gallery = (F.normalize(torch.from_numpy(features)) for features in (crowd.queries, crowd.gallery))
    return (1 - queries @ gallery.T).numpy()


def exact_distances(crowd: Crowd) -> Float[np.ndarray, "q g"]:
    """The same in double precision, by which a ranking from features is judged."""
    queries, gallery = (F.normalize(torch.from_numpy(own).double()) for own in (crowd.queries, crowd.gallery))
    return (1 - queries @ gallery.T).numpy()


def evaluate(
    distances: Float[np.ndarray, "q g"],
    query_ids: np.ndarray,
    gallery_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
) -> tuple[float, float, np.ndarray]:
    """(mAP, mINP, CMC): every row's indices sorted, then a loop over the queries along the sorted gallery."""
    order = np.argsort(distances, axis=1)
    found = gallery_ids[order] == query_ids[:, None]
    aps, inps, curves = [], [], []
    for i in range(len(distances)):
        left_out = found[i] & (gallery_cameras[order[i]] == query_cameras[i])
        seen = found[i][~left_out]
        if not seen.any():
            continue
        hits, ranks = seen.cumsum(), np.arange(1, len(seen) + 1)
        aps.append((hits / ranks * seen).sum() / seen.sum())
        inps.append(seen.sum() / ranks[seen][-1])
        curves.append(np.minimum(hits[:MAX_RANK], 1))
    return float(np.mean(aps)), float(np.mean(inps)), np.mean(curves, axis=0)


def rerank(crowd: Crowd, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Float[np.ndarray, "q g"]:
    """k-reciprocal re-ranking (Zhong et al., 2017) on n × n matrices, n all images.

    From squared Euclidean distances, which it squares, as torchreid does; see `Reranking` for the conventions.
    """
    every = np.concatenate([crowd.queries, crowd.gallery])
    squares = np.einsum("nd,nd->n", every, every)
    d = np.square(np.maximum(squares[:, None] + squares - 2 * every @ every.T, 0))
    d /= d.max(axis=1, keepdims=True)
    order = np.argsort(d, axis=1).astype(np.int32)
    own, halves = reciprocal(order, k1 + 1), reciprocal(order, round(k1 / 2) + 1)
    encoding = np.zeros_like(d)
    for i, members in enumerate(own):
        joining = [halves[j] for j in members if 3 * len(np.intersect1d(halves[j], members)) > 2 * len(halves[j])]
        members = np.unique(np.concatenate([members, *joining]))
        weights = np.exp(-d[i, members])
        encoding[i, members] = weights / weights.sum()
    if k2 > 1:
        encoding, single = np.empty_like(d), encoding
        for i, near in enumerate(order[:, :k2]):
            encoding[i] = single[near].mean(axis=0)
        del single
    queries = len(crowd.queries)
    holders = [np.flatnonzero(column) for column in encoding.T]
    result = weight * d[:queries, queries:]
    for i in range(queries):
        common = np.zeros(len(every), dtype=d.dtype)
        for j in np.flatnonzero(encoding[i]):
            common[holders[j]] += np.minimum(encoding[i, j], encoding[holders[j], j])
        result[i] += (1 - weight) * (1 - common / (2 - common))[queries:]
    return result


def reciprocal(order: np.ndarray, k: int) -> list[np.ndarray]:
    """For each image, those of its k nearest that have it among theirs."""
    return [near[(order[near, :k] == i).any(axis=1)] for i, near in enumerate(order[:, :k])]

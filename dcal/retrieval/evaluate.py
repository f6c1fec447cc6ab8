"""From distances or features to the quality of the ranking, in one pass over blocks of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float, Float32, Int64

from dcal.errors import DCALError
from dcal.retrieval.distances import (
    Matrix,
    check_pair,
    distance_blocks,
    exact_distances,
    features,
    given_blocks,
    rounding,
)
from dcal.retrieval.metrics import Quality, quality
from dcal.retrieval.protocol import STANDARD, GroundTruth, Labels, Protocol, labels, relevance
from dcal.retrieval.ranks import Exact, ranks_of_matches
from dcal.retrieval.reranking import Reranking, reranked_blocks, side_by_side
from dcal.retrieval.single_shot import single_shot_hits


def evaluate(
    distances: Matrix,
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels | None = None,
    gallery_cameras: Labels | None = None,
    protocol: Protocol = STANDARD,
) -> Quality:
    """mAP, mINP and CMC of a distance matrix (q, g), an array or tensor of any number type; smaller is nearer.

    Identities and cameras are integers or text, one per image. With cameras, gallery images of the query's identity
    from the query's camera are left out; without, nothing is. Equal distances rank by gallery index. Reads the matrix
    a block of rows at a time and changes nothing in it. Raises DCALError for labels that do not fit, for distances that
    are not finite, and if no query has a match.
    """
    if distances.ndim != 2:
        raise DCALError(f"distances must be (queries, gallery), got the shape {tuple(distances.shape)}")
    truth = relevance(query_ids, gallery_ids, query_cameras, gallery_cameras, protocol)
    check_sizes(tuple(distances.shape), truth, len(gallery_ids))
    return judge(given_blocks(distances, truth.kept), truth, protocol)


def evaluate_features(
    query_features: Matrix,
    gallery_features: Matrix,
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels | None = None,
    gallery_cameras: Labels | None = None,
    protocol: Protocol = STANDARD,
    distance: str = "cosine",
    rerank: Reranking | None = None,
) -> Quality:
    """`evaluate`, from features (q, d) and (g, d): the distance matrix never exists as a whole.

    `distance` is "cosine" or "euclidean" (alike for features of length 1). With `rerank` the ranking is that of
    `retrieval.rerank`, and the distance the one that it names. Computed on the CPU, in float32 unless the features are
    float64, and settled in double precision wherever rounding may decide who is nearer; beside the features it takes
    two blocks of distances, 64 MiB.
    """
    queries, gallery = features("query_features", query_features), features("gallery_features", gallery_features)
    queries, gallery = check_pair(queries, gallery, rerank.kind if rerank else distance)
    truth = relevance(query_ids, gallery_ids, query_cameras, gallery_cameras, protocol)
    check_sizes((len(queries), len(gallery)), truth, len(gallery_ids))
    if len(truth.kept) < len(gallery):
        gallery = gallery[truth.kept]
    if rerank is None:
        exact = exactly(queries, gallery, distance) if gallery.dtype == np.float32 else None
        return judge(distance_blocks(queries, gallery, distance), truth, protocol, exact)
    return judge(reranked_blocks(*side_by_side(queries, gallery), rerank), truth, protocol)


def evaluate_rows(
    every: Matrix,
    query: Int64[np.ndarray, " q"],
    gallery: Int64[np.ndarray, " g"],
    ids: Labels,
    cameras: Labels | None = None,
    protocol: Protocol = STANDARD,
    distance: str = "cosine",
    rerank: Reranking | None = None,
) -> Quality:
    """`evaluate_features` for images that may stand on both sides, as in the yard and in VeRi-776.

    Queries and gallery are rows of `every` (n, d); ids and cameras are of all n. It matters to re-ranking, where an
    image has neighbours: those that are on both sides count once, and rows on neither side do not count.
    """
    values, names = features("features", every), labels("ids", ids)
    places = None if cameras is None else labels("cameras", cameras)
    if len(names) != len(values) or (places is not None and len(places) != len(values)):
        raise DCALError(f"{len(values)} features need as many ids and cameras, got {len(names)} ids")
    own, others = (None, None) if places is None else (places[query], places[gallery])
    sides = names[query], names[gallery], own, others
    if rerank is None:
        return evaluate_features(values[query], values[gallery], *sides, protocol, distance)
    relevant = relevance(*sides, protocol)
    kept, rows = np.unique(np.concatenate([query, gallery[relevant.kept]]), return_inverse=True)
    values, _ = check_pair(values[kept], values[kept], rerank.kind)
    return judge(reranked_blocks(values, rows[: len(query)], rows[len(query) :], rerank), relevant, protocol)


def check_sizes(shape: tuple[int, ...], truth: GroundTruth, gallery: int) -> None:
    if shape != (len(truth.start), gallery):
        raise DCALError(f"{shape[0]} × {shape[1]} distances, but {len(truth.start)} query and {gallery} gallery ids")


def exactly(queries: Float32[np.ndarray, "q d"], gallery: Float32[np.ndarray, "g d"], kind: str) -> Exact:
    """What settles the order of distances in float32."""
    slack = max(rounding(queries, kind), rounding(gallery, kind))
    return Exact(slack, lambda query, columns: exact_distances(queries[query], gallery[columns], kind))


def judge(
    blocks: Iterable[Float[np.ndarray, "rows kept"]], truth: GroundTruth, protocol: Protocol, exact: Exact | None = None
) -> Quality:
    """The quality of rankings that come as blocks of rows over the kept columns, in the queries' order.

    `exact`, whose rows are all the queries, settles what rounding may have put in another order.
    """
    first, all_rows, all_ranks, curves = 0, [], [], []
    for block in blocks:
        last = first + len(block)
        rows, columns, matches = truth.of(first, last)
        settled = None if exact is None else Exact(exact.slack, partial(shifted, exact, first))
        all_ranks.append(ranks_of_matches(block, rows, columns, matches, settled))
        all_rows.append(rows[matches] + first)
        if protocol.shots == "single":
            curves.append(single_shot_hits(block, rows[matches], columns[matches], truth, protocol.max_rank))
        first = last
    queries = len(truth.start)
    found = quality(
        np.concatenate(all_rows), np.concatenate(all_ranks), queries, protocol.average_precision, protocol.max_rank
    )
    return replace(found, hits=np.concatenate(curves)) if curves else found


def shifted(exact: Exact, first: int, row: int, columns: Int64[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The exact distances of a block's row, where the block begins with the query `first`."""
    return exact.distances(first + row, columns)

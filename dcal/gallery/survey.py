"""Every image of a gallery as a query among the others: how good the rankings are, and how similar who is to whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.base import Gallery
from dcal.progress import Steps, finished, portion
from dcal.retrieval import STANDARD, Protocol, Quality, Reranking, evaluate_features
from dcal.retrieval.evaluate import evaluate_rows
from dcal.retrieval.protocol import relevance

MOST = 2000  # queries; of a larger gallery so many, evenly spaced
BLOCK = 256  # queries that are ranked, and whose similarities are counted, at a time
CASES = ((True, False), (True, True), (False, False), (False, True))  # (across, re-ranked), as they are compared
BINS = 100  # of the histogram, from the least similarity to the greatest


@dataclass(frozen=True, eq=False)
class Survey:
    """`quality` row by row for the images `queries`; counts of the similarities of true and of false matches.

    The counts are of all (query, image) pairs that the protocol ranks, over equal bins with these `edges`.
    """

    queries: Int64[np.ndarray, " q"]  # into the gallery's items
    quality: Quality
    edges: Float[np.ndarray, " edges"]
    true: Int64[np.ndarray, " bins"]
    false: Int64[np.ndarray, " bins"]

    def error_rates(self) -> tuple[Float[np.ndarray, " edges"], Float[np.ndarray, " edges"]]:
        """(share of true matches below, share of false matches at or above) each edge taken as a threshold."""
        missed = np.concatenate([[0], self.true.cumsum()]) / max(1, self.true.sum())
        accepted = 1 - np.concatenate([[0], self.false.cumsum()]) / max(1, self.false.sum())
        return missed, accepted


def survey(gallery: Gallery, across: bool = False, protocol: Protocol = STANDARD, most: int = MOST) -> Survey:
    """The gallery's images of known identity as queries, each among all others, or `across` cameras: among those of
    other cameras only.

    Images of unknown identity are wrong answers; an unknown camera counts as one of its own. Raises DCALError if no
    query has a match.
    """
    return finished(survey_steps(gallery, across, protocol, most))


def survey_steps(
    gallery: Gallery, across: bool = False, protocol: Protocol = STANDARD, most: int = MOST
) -> Steps[Survey]:
    """`survey`, which it returns at the end; before, the share of the work done. Closing it ends the work."""
    identities, cameras = numbered(gallery)
    known = of_known_identity(identities)
    queries = known[np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))]
    values = gallery.rows(np.arange(len(gallery)))
    sides = values, identities, cameras, queries, across
    quality = yield from portion(quality_steps(*sides, protocol), 0.0, 1 / 3)
    low, high = yield from portion(range_steps(*sides), 1 / 3, 2 / 3)
    edges = np.linspace(low, high, BINS + 1)
    true, false = yield from portion(count_steps(*sides, edges), 2 / 3, 1.0)
    return Survey(queries, quality, edges, true, false)


def range_steps(
    values: Float32[np.ndarray, "n d"],
    identities: Int64[np.ndarray, " n"],
    cameras: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " q"],
    across: bool,
) -> Steps[tuple[float, float]]:
    """(least, greatest) similarity of all pairs that are ranked: some models' all lie within a few hundredths."""
    low, high, done = 1.0, -1.0, 0
    for similarities, _, ranked in pairs(values, identities, cameras, queries, across):
        own = similarities[ranked]
        low, high = min(low, float(own.min(initial=1))), max(high, float(own.max(initial=-1)))
        done += len(similarities)
        yield done / len(queries)
    return (low, high) if high > low else (-1.0, 1.0)


def count_steps(
    values: Float32[np.ndarray, "n d"],
    identities: Int64[np.ndarray, " n"],
    cameras: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " q"],
    across: bool,
    edges: Float[np.ndarray, " edges"],
) -> Steps[tuple[Int64[np.ndarray, " bins"], Int64[np.ndarray, " bins"]]]:
    """How many similarities of (true, false) matches lie in each bin."""
    bins, done = len(edges) - 1, 0
    true, false = np.zeros(bins, dtype=np.int64), np.zeros(bins, dtype=np.int64)
    for similarities, same, ranked in pairs(values, identities, cameras, queries, across):
        true += np.histogram(similarities[same & ranked], edges)[0]
        false += np.histogram(similarities[~same & ranked], edges)[0]
        done += len(similarities)
        yield done / len(queries)
    return true, false


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the camera rule and re-ranking change: {(are images of the query's camera left out, is it re-ranked): the
    quality, by query}, of those `CASES` that were computed."""

    qualities: dict[tuple[bool, bool], Quality]

    def changed(self, across: bool) -> tuple[int, int]:
        """(queries whose average precision re-ranking raises, queries whose it lowers)."""
        before, after = (self.qualities[across, reranked].ap for reranked in (False, True))
        return int((after > before).sum()), int((after < before).sum())


def comparison(gallery: Gallery, settings: Reranking, protocol: Protocol = STANDARD, most: int = MOST) -> Comparison:
    """The gallery's images as queries by both camera rules, in the order of similarity and re-ranked.

    Raises DCALError for a gallery without known identities or of more than `most` images (re-ranking compares all), and
    where no query has a match of another camera.
    """
    return Comparison({case: finished(case_steps(gallery, *case, settings, protocol, most)) for case in CASES})


def case_steps(
    gallery: Gallery,
    across: bool,
    reranked: bool,
    settings: Reranking,
    protocol: Protocol = STANDARD,
    most: int = MOST,
) -> Steps[Quality]:
    """One of a comparison's qualities, which it returns at the end; before, the share of the work done."""
    if len(gallery) > most:
        raise DCALError(
            f"re-ranking is compared for galleries of {most:,} images at most, this one has {len(gallery):,}"
        )
    identities, cameras = numbered(gallery)
    queries, values = of_known_identity(identities), gallery.rows(np.arange(len(gallery)))
    sides = values, identities, cameras, queries
    return (yield from quality_steps(*sides, across, protocol, settings if reranked else None))


def of_known_identity(identities: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " known"]:
    """The images that can be queries. Raises DCALError where there is none."""
    known = np.flatnonzero(identities >= 0)
    if not len(known):
        raise DCALError("no image of this gallery has a known identity: there is nothing to evaluate")
    return known


def numbered(gallery: Gallery) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Identities and cameras as numbers; an unknown one has a negative number of its own."""
    identity = {name: number for number, name in enumerate(gallery.identities)}
    camera = {name: number for number, name in enumerate(gallery.cameras)}
    items = gallery.items
    own = -np.arange(2, len(items) + 2)  # −1 marks junk in a protocol
    identities = [identity[i.identity] if i.identity is not None else own[n] for n, i in enumerate(items)]
    cameras = [camera[i.camera] if i.camera is not None else own[n] for n, i in enumerate(items)]
    return np.array(identities, dtype=np.int64), np.array(cameras, dtype=np.int64)


def quality_steps(
    values: Float32[np.ndarray, "n d"],
    identities: Int64[np.ndarray, " n"],
    cameras: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " q"],
    across: bool,
    protocol: Protocol,
    reranking: Reranking | None = None,
) -> Steps[Quality]:
    """The rankings' quality, in the order of `queries`; with `reranking`, of re-ranked ones.

    Part by part: `across`, camera by camera; otherwise block by block, or re-ranked, where all are compared, at once.
    """
    found, done = [], 0
    parts = blocks(cameras[queries], across, len(queries) if reranking else BLOCK)
    for part in parts:
        asked = queries[part]
        others = np.flatnonzero(cameras != cameras[asked[0]]) if across else np.arange(len(values))
        labels = identities[asked], identities[others], cameras[asked], cameras[others]
        if not relevance(*labels, protocol).of(0, len(asked))[2].any():
            found.append(unanswered(len(asked), protocol))
        elif across:
            found.append(evaluate_features(values[asked], values[others], *labels, protocol, rerank=reranking))
        else:
            found.append(evaluate_rows(values, asked, others, identities, cameras, protocol, rerank=reranking))
        done += len(part)
        yield done / len(queries)
    if not any(part.matches.any() for part in found):
        raise DCALError("no query has a match of another camera")
    back = np.argsort(np.concatenate(parts))
    return Quality(*(np.concatenate([getattr(part, f.name) for part in found])[back] for f in fields(Quality)))


def blocks(cameras: Int64[np.ndarray, " q"], across: bool, most: int) -> Sequence[Int64[np.ndarray, " block"]]:
    """The queries' numbers in blocks of `most` at most; `across`, each of one camera."""
    groups = (
        [np.flatnonzero(cameras == camera) for camera in np.unique(cameras)] if across else [np.arange(len(cameras))]
    )
    return [group[first : first + most] for group in groups for first in range(0, len(group), most)]


def unanswered(count: int, protocol: Protocol) -> Quality:
    """The quality of queries of which none has a match."""
    none, zeros = np.full(count, np.nan), np.zeros(count, dtype=np.int64)
    return Quality(none, none, zeros, zeros, np.full((count, protocol.max_rank), np.nan))


def pairs(
    values: Float32[np.ndarray, "n d"],
    identities: Int64[np.ndarray, " n"],
    cameras: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " q"],
    across: bool,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(similarity, same identity, is it ranked) of blocks of queries with every image."""
    for first in range(0, len(queries), BLOCK):
        rows = queries[first : first + BLOCK]
        same = identities[rows, None] == identities
        one_camera = cameras[rows, None] == cameras
        ranked = ~one_camera if across else ~(same & one_camera)  # a query itself is of its own camera
        yield np.clip(values[rows] @ values.T, -1, 1), same, ranked

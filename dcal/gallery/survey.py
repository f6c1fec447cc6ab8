"""Every image of a gallery as a query among the others: how good the rankings are, and how similar who is to whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.base import Gallery
from dcal.retrieval import STANDARD, Protocol, Quality, Reranking, evaluate_features
from dcal.retrieval.evaluate import evaluate_rows

MOST = 2000  # queries; of a larger gallery so many, evenly spaced
BLOCK = 256  # queries whose similarities are counted at a time
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
    identities, cameras = numbered(gallery)
    known = of_known_identity(identities)
    queries = known[np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))]
    values = gallery.rows(np.arange(len(gallery)))
    found = qualities(values, identities, cameras, queries, across, protocol)
    edges = np.linspace(*similarity_range(values, identities, cameras, queries, across), BINS + 1)
    true, false = np.zeros(BINS, dtype=np.int64), np.zeros(BINS, dtype=np.int64)
    for similarities, same, ranked in pairs(values, identities, cameras, queries, across):
        true += np.histogram(similarities[same & ranked], edges)[0]
        false += np.histogram(similarities[~same & ranked], edges)[0]
    return Survey(queries, found, edges, true, false)


def similarity_range(
    values: Float32[np.ndarray, "n d"],
    identities: Int64[np.ndarray, " n"],
    cameras: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " q"],
    across: bool,
) -> tuple[float, float]:
    """(least, greatest) similarity of all pairs that are ranked: some models' all lie within a few hundredths."""
    low, high = 1.0, -1.0
    for similarities, _, ranked in pairs(values, identities, cameras, queries, across):
        own = similarities[ranked]
        low, high = min(low, float(own.min(initial=1))), max(high, float(own.max(initial=-1)))
    return (low, high) if high > low else (-1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the camera rule and re-ranking change: {(are images of the query's camera left out, is it re-ranked): the
    quality, by query}."""

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
    if len(gallery) > most:
        raise DCALError(
            f"re-ranking is compared for galleries of {most:,} images at most, this one has {len(gallery):,}"
        )
    identities, cameras = numbered(gallery)
    queries, values = of_known_identity(identities), gallery.rows(np.arange(len(gallery)))
    sides = values, identities, cameras, queries
    return Comparison(
        {
            (across, reranked): qualities(*sides, across, protocol, settings if reranked else None)
            for across in (True, False)
            for reranked in (False, True)
        }
    )


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


def qualities(
    values: Float32[np.ndarray, "n d"],
    identities: Int64[np.ndarray, " n"],
    cameras: Int64[np.ndarray, " n"],
    queries: Int64[np.ndarray, " q"],
    across: bool,
    protocol: Protocol,
    reranking: Reranking | None = None,
) -> Quality:
    """The rankings' quality, in the order of `queries`; with `reranking`, of re-ranked ones."""
    if not across:
        everything = np.arange(len(values))
        return evaluate_rows(values, queries, everything, identities, cameras, protocol, rerank=reranking)
    parts, order = [], []
    for camera in np.unique(cameras[queries]):
        asked, others = queries[cameras[queries] == camera], np.flatnonzero(cameras != camera)
        order.append(np.flatnonzero(cameras[queries] == camera))
        if np.isin(identities[asked], identities[others]).any():
            parts.append(
                evaluate_features(
                    *(values[asked], values[others], identities[asked], identities[others]),
                    protocol=protocol,
                    rerank=reranking,
                )
            )
        else:
            none, zeros = np.full(len(asked), np.nan), np.zeros(len(asked), dtype=np.int64)
            parts.append(Quality(none, none, zeros, zeros, np.full((len(asked), protocol.max_rank), np.nan)))
    if not any(part.matches.any() for part in parts):
        raise DCALError("no query has a match of another camera")
    back = np.argsort(np.concatenate(order))
    return Quality(*(np.concatenate([getattr(p, f.name) for p in parts])[back] for f in fields(Quality)))


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

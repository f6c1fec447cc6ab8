"""How good a ranking is: per query first, means after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int64

from dcal.errors import DCALError


@dataclass(frozen=True, eq=False)
class Quality:
    """What a ranking is worth, per query and in the mean; fractions in [0, 1].

    A query without a match in the gallery (or whose matches are all from its own camera) is `skipped`: its row is NaN,
    its `first` 0, and it counts in no mean. `hits[i, k - 1]` is whether query i has a match within the first k; with
    single gallery shots, the probability of it. The curve always has `max_rank` points: where the gallery is smaller,
    the last ones are 1, since nothing is left to be missed.
    """

    ap: Float[np.ndarray, " q"]  # average precision
    inp: Float[np.ndarray, " q"]  # inverse negative penalty (Ye et al., 2021): matches over the rank of the last one
    first: Int64[np.ndarray, " q"]  # rank of the first match, from 1
    matches: Int64[np.ndarray, " q"]  # how many there are
    hits: Float[np.ndarray, "q max_rank"]

    @property
    def skipped(self) -> Int64[np.ndarray, " skipped"]:
        """The numbers of the queries without a match."""
        return np.flatnonzero(self.matches == 0)

    @property
    def mAP(self) -> float:
        """Mean average precision."""
        return float(self.ap[self.matches > 0].mean())

    @property
    def mINP(self) -> float:
        """Mean inverse negative penalty."""
        return float(self.inp[self.matches > 0].mean())

    @property
    def cmc(self) -> Float[np.ndarray, " max_rank"]:
        """Cumulative matching characteristic: `cmc[k - 1]` is rank-k, `cmc[0]` rank-1."""
        return self.hits[self.matches > 0].mean(axis=0, dtype=np.float64)

    def summary(self) -> dict[str, float | int]:
        """{queries, skipped, mAP, mINP, rank1, rank5, rank10}, the ranks as far as the curve goes."""
        curve = self.cmc
        ranks = {f"rank{k}": float(curve[k - 1]) for k in (1, 5, 10) if k <= len(curve)}
        counts = {"queries": len(self.ap), "skipped": len(self.skipped)}
        return {**counts, "mAP": self.mAP, "mINP": self.mINP, **ranks}


def quality(
    rows: Int[np.ndarray, " n"], ranks: Int64[np.ndarray, " n"], queries: int, average_precision: str, max_rank: int
) -> Quality:
    """From the rank of every match, `rows` telling whose it is. Raises DCALError if no query has a match."""
    order = np.lexsort((ranks, rows))
    rows, ranks = rows[order], ranks[order]
    matches = np.bincount(rows, minlength=queries)
    if not matches.any():
        raise DCALError(
            f"none of the {queries} queries has a match in the gallery. If all images are from one camera, or each "
            "identity from one, then same-camera matches must count: Protocol(exclude_same_camera=False)"
        )
    ends = matches.cumsum()
    nth = np.arange(len(rows)) - (ends - matches)[rows] + 1  # 1 for a query's nearest match, 2 for the next
    sums = np.bincount(rows, precisions(nth, ranks, average_precision), minlength=queries)
    found = matches > 0
    first, last = np.zeros(queries, dtype=np.int64), np.zeros(queries, dtype=np.int64)
    first[found], last[found] = ranks[(ends - matches)[found]], ranks[ends[found] - 1]
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, which is meant
        ap, inp = sums / matches, matches / last
    hits = (first[:, None] <= np.arange(1, max_rank + 1)).astype(np.float32)
    hits[~found] = np.nan
    return Quality(ap, inp, first, matches, hits)


def precisions(
    nth: Int64[np.ndarray, " n"], ranks: Int64[np.ndarray, " n"], average_precision: str
) -> Float[np.ndarray, " n"]:
    """What each match adds to its query's average precision, times the number of matches; see `Protocol`."""
    precision = nth / ranks
    if average_precision == "hits":
        return precision
    before = np.where(ranks > 1, (nth - 1) / np.maximum(ranks - 1, 1), 1.0)  # precision one rank earlier
    return (before + precision) / 2

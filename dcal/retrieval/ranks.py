"""The rank of a match is a count: how many images are nearer. Nothing is ranked but the matches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int64

from dcal.errors import DCALError


def ranks_of_matches(
    distances: Float[np.ndarray, "rows columns"],
    rows: Int64[np.ndarray, " n"],
    columns: Int64[np.ndarray, " n"],
    matches: Bool[np.ndarray, " n"],
) -> Int64[np.ndarray, " matches"]:
    """The rank (from 1) of each match among its row's columns, nearest first, equals by index.

    `rows` and `columns` name the matches and the entries to leave out, which are overwritten with infinity here. Each
    row's values are sorted (not its indices: several times cheaper) and the matches looked up in them. Raises DCALError
    for distances that are not finite.
    """
    out_rows, out_columns = rows[~matches], columns[~matches]
    rows, columns = rows[matches], columns[matches]
    distances[out_rows, out_columns] = np.inf
    ordered = np.sort(distances, axis=1)
    check_finite(ordered, np.bincount(out_rows, minlength=len(distances)))
    own = distances[rows, columns]
    nearer = np.empty(len(rows), dtype=np.int64)
    bounds = np.searchsorted(rows, np.arange(len(distances) + 1))
    for row, (first, last) in enumerate(pairwise(bounds)):
        nearer[first:last] = ordered[row].searchsorted(own[first:last])
    after = np.minimum(nearer + 1, ordered.shape[1] - 1)
    equals = np.flatnonzero((ordered[rows, after] == own) & (after > nearer))
    for tie in equals:  # seldom, but for integer distances
        nearer[tie] += np.count_nonzero(distances[rows[tie], : columns[tie]] == own[tie])
    return nearer + 1


def check_finite(ordered: Float[np.ndarray, "rows columns"], left_out: Int64[np.ndarray, " rows"]) -> None:
    """Raises DCALError if sorted rows hold more infinities than were left out, or anything that is no number."""
    every = np.arange(len(ordered))
    last = np.maximum(ordered.shape[1] - 1 - left_out, 0)
    bad = ~(np.isfinite(ordered[every, last]) & np.isfinite(ordered[:, 0])) & (left_out < ordered.shape[1])
    if bad.any():
        raise DCALError(
            f"the distances of {int(bad.sum())} of {len(ordered)} queries are not all finite: "
            "the features are broken, or of another model"
        )

"""The rank of a match is a count: how many images are nearer. Nothing is ranked but the matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int64

from dcal.errors import DCALError


@dataclass(frozen=True)
class Exact:
    """How rows of rounded distances are settled: two that are no more than `slack` apart may have changed places.

    `distances(row, columns)` are the same in double precision, equal for equal images.
    """

    slack: float
    distances: Callable[[int, Int64[np.ndarray, " k"]], Float[np.ndarray, " k"]]


def ranks_of_matches(
    distances: Float[np.ndarray, "rows columns"],
    rows: Int64[np.ndarray, " n"],
    columns: Int64[np.ndarray, " n"],
    matches: Bool[np.ndarray, " n"],
    exact: Exact | None = None,
) -> Int64[np.ndarray, " matches"]:
    """The rank (from 1) of each match among its row's columns, nearest first, equals by index.

    `rows` (ascending) and `columns` name the matches and the entries to leave out, which are overwritten with infinity
    here. The matches are found by binary search among their row's sorted values. With `exact`, whatever rounding may
    have put before or behind a match is counted in double precision. Raises DCALError for distances that are not
    finite.
    """
    out_rows, out_columns = rows[~matches], columns[~matches]
    rows, columns = rows[matches], columns[matches]
    distances[out_rows, out_columns] = np.inf
    check_finite(distances, out_rows)
    own, slack = distances[rows, columns], 0.0
    if exact is not None:
        own, slack = own.astype(np.float64), exact.slack
    nearest, farthest = own - slack, own + slack
    nearer, close = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    bounds = np.searchsorted(rows, np.arange(len(distances) + 1)).tolist()
    for row, (first, last) in zip(distances, pairwise(bounds), strict=True):
        if first < last:
            ordered = front(row, farthest[first:last].max())
            nearer[first:last] = ordered.searchsorted(nearest[first:last])
            close[first:last] = ordered.searchsorted(farthest[first:last], side="right")
    for index in np.flatnonzero(close - nearer > 1):  # the match is always close to itself
        row, column = int(rows[index]), columns[index]
        rivals = np.flatnonzero(np.abs(distances[row] - own[index]) <= slack)
        found = distances[row, rivals] if exact is None else exact.distances(row, rivals)
        match = found[np.searchsorted(rivals, column)]
        nearer[index] += np.count_nonzero((found < match) | ((found == match) & (rivals < column)))
    return nearer + 1


def front(row: Float[np.ndarray, " columns"], limit: np.floating) -> Float[np.ndarray, " front"]:
    """A row's values, sorted (values, not indices: several times cheaper), all of them or those up to `limit` alone.

    A good model's matches lie far in front, and nothing behind the last one matters.
    """
    near = row <= limit
    if 2 * np.count_nonzero(near) > len(row):
        return np.sort(row)
    return np.sort(row[np.flatnonzero(near)])  # by index: by mask, it takes up to four times as long


def check_finite(distances: Float[np.ndarray, "rows columns"], out_rows: Int64[np.ndarray, " out"]) -> None:
    """Raises DCALError if anything but the infinities of the entries left out, in `out_rows`, is not finite."""
    finite = np.isfinite(distances)
    if np.count_nonzero(finite) + len(out_rows) == distances.size:
        return
    left_out = np.bincount(out_rows, minlength=len(distances))
    bad = finite.sum(axis=1) + left_out != distances.shape[1]
    raise DCALError(
        f"the distances of {int(bad.sum())} of {len(distances)} queries are not all finite: "
        "the features are broken, or of another model"
    )

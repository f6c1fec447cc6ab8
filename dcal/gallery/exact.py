"""The order of a few candidates, exactly: cosines in float64, rounded once, equals by index."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from dcal.errors import DCALError


class Ranked(NamedTuple):
    """At most k images, best first, and whether no image that was not looked at could be among them."""

    indices: Int64[np.ndarray, " m"]
    similarities: Float32[np.ndarray, " m"]
    certain: bool


def cosines(rows: Float32[np.ndarray, "m d"], query: Float32[np.ndarray, " d"]) -> Float32[np.ndarray, " m"]:
    """The cosine of each row with the query, all of length 1: the same for a row wherever it stands.

    (A matrix product may round a row's last bit by its place, and then equal images would not be equal.)
    """
    return np.einsum("md,d->m", rows.astype(np.float64), query.astype(np.float64)).clip(-1, 1).astype(np.float32)


def rank_candidates(
    indices: Int64[np.ndarray, " m"],
    similarities: Float32[np.ndarray, " m"],
    left_out: Int64[np.ndarray, " e"],
    k: int,
    least: float,
) -> Ranked:
    """The best k of the candidates that are not left out. Images beyond them are known to have at most `least`."""
    kept = ~np.isin(indices, left_out)
    indices, similarities = indices[kept], similarities[kept]
    order = np.lexsort((indices, -similarities))[:k]
    best = similarities[order]
    return Ranked(indices[order], best, len(best) == k and bool(best[-1] > least))


def rounding(width: int) -> float:
    """The most by which a float32 inner product of two rows of length 1 can be wrong, in whatever order it is summed.

    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1: γ_d · |x|·|y|.)
    """
    error = (width + 1) * np.finfo(np.float32).eps / 2
    return error / (1 - error)


def unit_rows(what: str, rows: np.ndarray, width: int) -> Float32[np.ndarray, "m d"]:
    """Rows in float32, each divided by its length. DCALError for another width, zeros, and what is not finite."""
    if rows.ndim != 2 or rows.shape[1] != width:
        raise DCALError(
            f"{what} must be (images, {width}), as the gallery's are, got {rows.shape}: are they of one model?"
        )
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if bad := int((~(np.isfinite(lengths) & (lengths > 0))).sum()):
        raise DCALError(f"{bad} of {len(rows)} {what} are all zeros or not finite: they have no direction to compare")
    return np.ascontiguousarray(rows / lengths, dtype=np.float32)

"""The order of candidates, exactly: cosines in float64, rounded once, equals by index."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from dcal.errors import DCALError


class Candidates(NamedTuple):
    """Images in exact order, best first, equals by index. Any image that is not among them has at most
    `upper_bound`."""

    indices: Int64[np.ndarray, " m"]
    similarities: Float32[np.ndarray, " m"]
    upper_bound: float  # a cosine; −∞ where all images are candidates

    def without(self, left_out: Int64[np.ndarray, " e"]) -> Candidates:
        kept = ~np.isin(self.indices, left_out)
        return Candidates(self.indices[kept], self.similarities[kept], self.upper_bound)

    def is_exact(self, k: int) -> bool:
        """Whether the k best are certain."""
        return self.upper_bound == -np.inf or (
            len(self.indices) >= k and bool(self.similarities[k - 1] > self.upper_bound)
        )


def in_order(
    indices: Int64[np.ndarray, " m"],
    rows: Float32[np.ndarray, "m d"],
    query: Float32[np.ndarray, " d"],
    upper_bound: float,
) -> Candidates:
    """Images with these embeddings in exact order."""
    similarities = cosines(rows, query)
    order = np.lexsort((indices, -similarities))
    return Candidates(indices[order], similarities[order], upper_bound)


def cosines(rows: Float32[np.ndarray, "m d"], query: Float32[np.ndarray, " d"]) -> Float32[np.ndarray, " m"]:
    """The cosine of each row with the query, all of length 1: the same for a row wherever it stands.

    (A matrix product may round a row's last bit by its place, and then equal images would not be equal.)
    """
    return np.einsum("md,d->m", rows.astype(np.float64), query.astype(np.float64)).clip(-1, 1).astype(np.float32)


def rounding(width: int) -> float:
    """The most by which an inner product of two rows of length 1 can be wrong in float32, however it is summed.

    (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1: γ_d · |x|·|y|; and the rounding here.)
    """
    error = (width + 2) * float(np.finfo(np.float32).eps) / 2
    return error / (1 - error)


def unit_rows(what: str, rows: Float[np.ndarray, "..."], width: int) -> Float32[np.ndarray, "m d"]:
    """Rows in float32, each divided by its length, in memory of their own.

    Raises DCALError for another width, for zeros and for what is not finite.
    """
    if rows.ndim != 2 or rows.shape[1] != width:
        expected = f"(images, {width}), as the gallery's are"
        raise DCALError(f"{what} must be {expected}, got {rows.shape}: are they of the same model?")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if bad := int((~(np.isfinite(lengths) & (lengths > 0))).sum()):
        raise DCALError(f"{bad} of {len(rows)} {what} are all zeros or not finite: they have no direction to compare")
    return np.ascontiguousarray(rows / lengths, dtype=np.float32)

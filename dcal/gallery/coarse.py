"""A first pass over a gallery's embeddings at one byte a number, with a bound on its error: the answer stays exact.

Rows x of length 1 are kept as μ + s·c, where μ is their mean, c whole numbers from −127 to 127 and s one scale for
all; a query q as t·b, alike. By Cauchy and Schwarz q·x differs from q·μ + s·t·(b·c) by at most |x − μ − s·c| +
|q − t·b| |s·c|, whose largest values over the rows are known. Rows whose coarse score is further below the k-th best
exact score than that cannot be among the k best. FAISS reads the codes, a quarter of the rows' bytes, and computes with
whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from dcal.gallery.exact import rounding

LEAST = 20_000  # admitted rows below which one pass over all of them is about as quick
SPARE = 512  # rows scored exactly beyond four times what is asked for
BLOCK = 2**14  # rows coded at a time


class CoarseIndex:
    """The codes of rows of length 1; a quarter of their memory."""

    def __init__(self, rows: Float32[np.ndarray, "n d"]) -> None:
        import faiss

        self._rows = rows
        self.mean = rows.mean(axis=0, dtype=np.float64)
        mean, blocks = self.mean.astype(np.float32), range(0, len(rows), BLOCK)
        largest = max(float(np.abs(rows[start : start + BLOCK] - mean).max()) for start in blocks)
        self.scale = scale_of(largest)
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index: Any = faiss.IndexScalarQuantizer(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        self.error = self.length = 0.0  # the largest |x − μ − s·c|, the largest |s·c|
        for start in blocks:
            own = rows[start : start + BLOCK] - self.mean
            codes = np.rint(own / self.scale).clip(-127, 127)
            self.error = max(self.error, float(np.linalg.norm(own - self.scale * codes, axis=1).max()))
            self.length = max(self.length, float(np.linalg.norm(self.scale * codes, axis=1).max()))
            self._index.add(codes.astype(np.float32))

    def nearest(
        self, query: Float32[np.ndarray, " d"], count: int, admitted: int, parameters: Any = None
    ) -> tuple[Int64[np.ndarray, " count"], Float32[np.ndarray, " count"]] | None:
        """The `count` nearest of the `admitted` rows by float32 inner product, in any order; the query has length 1.

        None where the bound leaves too many rows in question: then all rows have to be read. `parameters`: FAISS's, to
        admit rows.
        """
        asked = 4 * count + SPARE
        if asked >= admitted:
            return None
        scale = scale_of(float(np.abs(query).max()))
        codes = np.rint(query / scale).clip(-127, 127).astype(np.float32)
        (coarse,), (indices,) = self._index.search(codes[None], asked, params=parameters)
        scores = self._rows[indices] @ query
        best = np.argpartition(scores, -count)[-count:]
        error = self.error + self.length * float(np.linalg.norm(query - scale * codes.astype(np.float64)))
        others = float(query @ self.mean) + self.scale * scale * float(coarse[-1])  # all others' coarse score, at most
        if others + error + 3 * rounding(len(query)) >= scores[best].min():
            return None
        return indices[best], scores[best]


def scale_of(largest: float) -> float:
    """What a code of 1 stands for, where the largest number is this."""
    return max(largest, float(np.finfo(np.float32).tiny) * 127) / 127

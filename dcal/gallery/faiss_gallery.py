"""The embedded engine: all embeddings in memory, exhaustive search, no server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.base import Choice, Gallery
from dcal.gallery.coarse import LEAST, CoarseIndex
from dcal.gallery.exact import unit_rows
from dcal.gallery.item import Item, Origin

FEW = 3  # queries for which FAISS is faster than matrix products
BLOCK = 2**13  # rows of one product


class EmbeddedGallery(Gallery):
    """A gallery in this process's memory, exact. Needs FAISS, which is imported when one is made."""

    def __init__(
        self, items: Sequence[Item], embeddings: Float[np.ndarray, "n d"], origin: Origin, images: str | Path
    ) -> None:
        import faiss  # not with the module: machines that only train may lack it

        if len(items) != len(embeddings) or not items:
            raise DCALError(f"a gallery has images, an embedding for each, got {len(items)} and {len(embeddings)}")
        self._items, self.origin, self.images = tuple(items), origin, Path(images)
        self._index = faiss.IndexFlatIP(origin.width)
        self._index.add(unit_rows("gallery embeddings", embeddings, origin.width))
        stored = faiss.rev_swig_ptr(self._index.get_xb(), len(items) * origin.width)
        self.embeddings: Float32[np.ndarray, "n d"] = stored.reshape(len(items), origin.width)  # the index's, no copy

    @property
    def items(self) -> Sequence[Item]:
        return self._items

    def rows(self, indices: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        return self.embeddings[indices]

    def _candidates(
        self, queries: Float32[np.ndarray, "q d"], count: int, choice: Choice
    ) -> tuple[Int64[np.ndarray, "q count"], Float32[np.ndarray, "q count"]]:
        if len(queries) > FEW:
            return by_products(queries, self.embeddings, count, choice.mask)
        found = [self._nearest(query, count, choice) for query in queries]
        return np.stack([indices for indices, _ in found]), np.stack([scores for _, scores in found])

    @cached_property
    def _coarse(self) -> CoarseIndex:
        """Made at the first search that is worth it: it takes about as long as a hundred of them."""
        return CoarseIndex(self.embeddings)

    def _nearest(
        self, query: Float32[np.ndarray, " d"], count: int, choice: Choice
    ) -> tuple[Int64[np.ndarray, " count"], Float32[np.ndarray, " count"]]:
        """One query's candidates: by a coarse pass where that settles them, else by one over all rows."""
        parameters = None if choice.mask is None else _admitting(choice.mask)
        if choice.size >= LEAST and (found := self._coarse.nearest(query, count, choice.size, parameters)):
            return found
        scores, indices = self._index.search(query[None], count, params=parameters)
        return indices[0], scores[0]


def _admitting(mask: Bool[np.ndarray, " n"]) -> Any:
    """FAISS's search parameters that admit these rows."""
    import faiss

    selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))  # type: ignore  # size from the array
    parameters = faiss.SearchParameters()
    parameters.sel = selector
    return parameters


def by_products(
    queries: Float32[np.ndarray, "q d"],
    rows: Float32[np.ndarray, "n d"],
    count: int,
    mask: Bool[np.ndarray, " n"] | None,
) -> tuple[Int64[np.ndarray, "q count"], Float32[np.ndarray, "q count"]]:
    """The `count` rows of the highest inner products with each query, in any order, by matrix products of blocks.

    FAISS 1.15 reads all rows once for each query, which is up to ten times slower.
    """
    admitted = np.arange(len(rows)) if mask is None else np.flatnonzero(mask)
    indices, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for start in range(0, len(admitted), BLOCK):
        own = admitted[start : start + BLOCK]
        block = rows[start : start + BLOCK] if mask is None else rows[own]
        scores = np.concatenate([scores, queries @ block.T], axis=1)
        indices = np.concatenate([indices, np.broadcast_to(own, (len(queries), len(own)))], axis=1)
        if scores.shape[1] > count:
            best = np.argpartition(scores, -count, axis=1)[:, -count:]
            indices = np.take_along_axis(indices, best, axis=1)
            scores = np.take_along_axis(scores, best, axis=1)
    return indices, scores

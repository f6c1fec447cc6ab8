"""The embedded engine: all embeddings in memory, every one of them looked at by FAISS, no server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.exact import unit_rows
from dcal.gallery.gallery import Choice, Gallery
from dcal.gallery.item import Item, Origin


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
        import faiss

        parameters = None
        if choice.mask is not None:
            admitted = np.packbits(choice.mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(admitted)  # type: ignore[call-arg]  # it takes the array's size itself
            parameters = faiss.SearchParameters()
            parameters.sel = selector
        scores, indices = self._index.search(queries, count, params=parameters)
        return indices, scores

"""The scale-out engine: a gallery whose embeddings lie in a Milvus database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.base import Choice, Gallery
from dcal.gallery.item import Item, Origin
from dcal.gallery.milvus_collection import MOST, Collection, quoted


class MilvusGallery(Gallery):
    """A gallery in a collection of a Milvus database.

    A search or ranking without filters, of a query of unknown identity, asks for the items of its hits alone. Whatever
    else needs labels reads the list of all items once and keeps it, some 200 bytes an image.

    Raises DCALError if there is no such gallery, if it is not complete, and where the database does not answer.
    """

    def __init__(self, url: str, collection: str = "dcal", images: str | Path | None = None) -> None:
        self.collection = Collection(url, collection)
        about = self.collection.about()
        if not about["complete"]:
            raise DCALError(f"gallery {collection!r} at {url} is not complete: its build was interrupted, run it again")
        self.origin = Origin(about["fingerprint"], about["checkpoint"], about["layout"])
        self.images, self.count = Path(about["images"] if images is None else images), int(about["count"])

    def __len__(self) -> int:
        return self.count

    @cached_property
    def items(self) -> Sequence[Item]:
        return self.collection.items(self.count)

    def items_at(self, indices: Int64[np.ndarray, " m"]) -> list[Item]:
        return super().items_at(indices) if "items" in vars(self) else self.collection.items_at(indices)

    def index_of(self, path: str) -> int | None:
        return super().index_of(path) if "items" in vars(self) else self.collection.index_of(path)

    def rows(self, indices: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        return self.collection.rows(indices, self.width)

    def close(self) -> None:
        self.collection.close()

    def _candidates(
        self, queries: Float32[np.ndarray, "q d"], count: int, choice: Choice
    ) -> tuple[Int64[np.ndarray, "q count"], Float32[np.ndarray, "q count"]]:
        found: list[list[tuple[float, int]]] = [[] for _ in queries]
        for chosen in expressions(choice, count, self.count):
            for best, more in zip(found, self.collection.search(queries, min(count, MOST), chosen), strict=True):
                best += more
        if short := [len(best) for best in found if len(best) < count]:
            raise DCALError(f"{self.collection.url} gave {short[0]} of {count} images: was the collection changed?")
        kept = [sorted(best, key=lambda hit: (-hit[0], hit[1]))[:count] for best in found]
        scores, indices = (np.array([[hit[part] for hit in best] for best in kept]) for part in (0, 1))
        return indices.astype(np.int64), scores.astype(np.float32)


def expressions(choice: Choice, count: int, size: int) -> list[str]:
    """A choice as Milvus reads it; as several, a range of ids each, where one could not give `count` images."""
    named = (("camera", choice.cameras), ("identity", choice.identities))
    wanted = [(field, [name or "" for name in names]) for field, names in named if names is not None]  # "": unknown
    parts = [f"{field} in {quoted(names)}" for field, names in wanted]
    if count <= MOST:
        return [" and ".join(parts)]
    return [" and ".join([*parts, f"id >= {start} and id < {start + MOST}"]) for start in range(0, size, MOST)]

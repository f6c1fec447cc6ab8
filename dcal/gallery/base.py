"""The interface of a gallery, whatever the engine: images with embeddings, and the nearest of them to a query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.exact import Candidates, in_order, rounding, unit_rows
from dcal.gallery.filters import Exclusion, Labels
from dcal.gallery.item import Item, Origin
from dcal.model.checkpoint import fingerprint
from dcal.model.exported import Model
from dcal.retrieval.calibration import Calibration

SPARE = 8  # candidates beyond those asked for, so that one request to the engine is mostly enough
BLOCK = 2**6  # queries per search block
NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Hits:
    """The k nearest of q queries, best first, equals by index; −1 and NaN where fewer than k were left."""

    indices: Int64[np.ndarray, "q k"]  # into the gallery's items
    similarities: Float32[np.ndarray, "q k"]  # cosines


@dataclass(frozen=True, eq=False)
class Choice:
    """What a search may find: the filters by name, and the images that they admit; None for no filter."""

    cameras: tuple[str | None, ...] | None
    identities: tuple[str | None, ...] | None
    mask: Bool[np.ndarray, " n"] | None
    size: int  # how many images are admitted


class Gallery(ABC):
    """Images and their embeddings under one checkpoint; engines differ in storage and search.

    The answers are the same: an engine proposes candidates, and these are ranked here by cosines that are computed in
    float64 and rounded once, so that they depend on nothing but the two embeddings.
    """

    origin: Origin
    images: Path  # the folder that the items' paths start from
    calibration: Calibration | None = None  # of the embeddings' similarities, where the checkpoint has one

    @property
    @abstractmethod
    def items(self) -> Sequence[Item]:
        """The images, in the order that indices count."""

    @abstractmethod
    def rows(self, indices: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        """The embeddings of these images, of length 1."""

    @abstractmethod
    def _candidates(
        self, queries: Float32[np.ndarray, "q d"], count: int, choice: Choice
    ) -> tuple[Int64[np.ndarray, "q count"], Float32[np.ndarray, "q count"]]:
        """The `count` nearest of the admitted images by float32 inner product, in any order; so many are there."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights that made the embeddings, as `dcal.fingerprint` gives it."""
        return self.origin.fingerprint

    @property
    def width(self) -> int:
        """d, of an embedding."""
        return self.origin.width

    @property
    def identities(self) -> tuple[str, ...]:
        """Those that are there, in order: numbers by size, names by the alphabet."""
        return self.labels.identities.names

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those that are there, in order: numbers by size, names by the alphabet."""
        return self.labels.cameras.names

    @property
    def viewpoints(self) -> tuple[str, ...]:
        """Those that are there, in order; none where the images have none."""
        return self.labels.viewpoints.names

    @cached_property
    def labels(self) -> Labels:
        return Labels(self.items)

    def items_at(self, indices: Int64[np.ndarray, " m"]) -> list[Item]:
        """The images at these indices; an engine that keeps no list of all asks for these alone."""
        return [self.items[index] for index in indices.tolist()]

    def image_path(self, item: Item | int) -> Path:
        """Where an image's file was when the gallery was built; it may have moved since."""
        return self.images / (item if isinstance(item, Item) else self.items_at(np.array([item]))[0]).path

    def index_of(self, path: str) -> int | None:
        """The index of the image with this path below the image folder; None if there is none."""
        return self.labels.places.get(path)

    def check_model(self, model: Model | str) -> None:
        """Raises DCALError unless the embeddings are of this model, or of weights with this fingerprint."""
        found = model if isinstance(model, str) else fingerprint(model)
        if found != self.fingerprint:
            raise DCALError(
                f"the gallery was embedded by {self.origin.checkpoint} (weights {self.fingerprint[:12]}…), the model "
                f"has the weights {found[:12]}…: load that checkpoint, or build the gallery again with this one"
            )

    def search(
        self,
        embeddings: Float[np.ndarray, "q d"],
        k: int = 50,
        *,
        cameras: Collection[str | None] | None = None,
        identities: Collection[str | None] | None = None,
        exclude: Sequence[Exclusion] | None = None,
    ) -> Hits:
        """The k nearest images to each query by cosine, exactly, among those of `cameras` and of `identities`.

        None among these admits images of unknown camera, or identity. `exclude` holds one `Exclusion` for
        each query. Raises DCALError for embeddings of another width or that are not finite, and for cameras and
        identities that the gallery does not have.
        """
        queries, choice = unit_rows("query embeddings", embeddings, self.width), self.choose(cameras, identities)
        if k < 1 or (exclude is not None and len(exclude) != len(queries)):
            given = "" if exclude is None else f", {len(exclude)} exclusions for {len(queries)} queries"
            raise DCALError(f"k must be at least 1, and each query needs an exclusion if any has: got k = {k}{given}")
        out = [NOTHING] * len(queries) if exclude is None else [self.labels.excluded(rule) for rule in exclude]
        hits = Hits(np.full((len(queries), k), -1), np.full((len(queries), k), np.nan, dtype=np.float32))
        for start in range(0, len(queries), BLOCK):
            own = slice(start, start + BLOCK)
            self._fill(Hits(hits.indices[own], hits.similarities[own]), queries[own], out[own], choice)
        return hits

    def _fill(
        self,
        hits: Hits,
        queries: Float32[np.ndarray, "q d"],
        out: Sequence[np.ndarray],
        choice: Choice,
    ) -> None:
        """Write each query's best into its row of `hits`, requesting more candidates until the order is exact."""
        k, waiting = hits.indices.shape[1], list(range(len(queries)))
        count = k + SPARE + max(map(len, out), default=0)
        while waiting:
            ranked = self._look(queries[waiting], count, choice)
            found = {row: candidates.without(out[row]) for row, candidates in zip(waiting, ranked, strict=True)}
            for row, best in found.items():
                length = min(k, len(best.indices))
                hits.indices[row, :length] = best.indices[:length]
                hits.similarities[row, :length] = best.similarities[:length]
            waiting, count = [row for row in waiting if not found[row].is_exact(k)], 2 * count

    def down_to(self, embedding: Float[np.ndarray, " d"], similarity: float, k: int, choice: Choice) -> Candidates:
        """Of what `choice` admits, all images at least so similar to one query, and the k best in any case.

        There may be more, which are less similar.
        """
        query, count = unit_rows("query embeddings", embedding[None], self.width), k + SPARE
        while True:
            (ranked,) = self._look(query, count, choice)
            if similarity > ranked.upper_bound and ranked.is_exact(k):
                return ranked
            count *= 2

    def _look(self, queries: Float32[np.ndarray, "q d"], count: int, choice: Choice) -> list[Candidates]:
        """Each query's `count` candidates, or all that there are, in exact order."""
        count = min(count, choice.size)
        if not count:
            return [Candidates(NOTHING, np.empty(0, dtype=np.float32), -np.inf)] * len(queries)
        found, scores = self._candidates(queries, count, choice)
        distinct, places = np.unique(found, return_inverse=True)
        rows, places = self.rows(distinct), places.reshape(found.shape)
        every, slack = count == choice.size, 2 * rounding(self.width)
        return [
            in_order(found[i], rows[places[i]], query, -np.inf if every else float(scores[i].min()) + slack)
            for i, query in enumerate(queries)
        ]

    def choose(
        self, cameras: Collection[str | None] | None = None, identities: Collection[str | None] | None = None
    ) -> Choice:
        """Which images filters admit. Raises DCALError, listing the known ones, for a name that no image has."""
        wanted = {"cameras": cameras, "identities": identities}  # labels are of all images: read where one is needed
        masks = [getattr(self.labels, column).are(names) for column, names in wanted.items() if names is not None]
        mask = np.logical_and.reduce(masks) if masks else None
        names = [None if own is None else tuple(own) for own in wanted.values()]
        return Choice(names[0], names[1], mask, len(self) if mask is None else int(mask.sum()))

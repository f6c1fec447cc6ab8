"""Each image's nearest among all images, from one triangle of their distances: a pair is computed once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from dcal.retrieval.distances import nearest

COLUMNS = 4096  # of a block that are looked through at a time, which bounds the memory where many are equally near


class Neighbours:
    """The k nearest of each image so far, nearest first, equals by index, and its greatest distance.

    Blocks come in order: distances of images `first`, `first` + 1, … to images `first` to the last. After its own
    block, an image's row is final.
    """

    def __init__(self, images: int, k: int, kind: np.dtype) -> None:
        self.k = min(k, images)
        self.distances = np.full((images, self.k), np.inf, dtype=kind)
        self.images = np.zeros((images, self.k), dtype=np.int64)
        self.greatest = np.zeros(images, dtype=kind)

    def add(self, first: int, block: Float[np.ndarray, "rows rest"]) -> slice:
        """Take a block in; where its images are in `distances`, `images` and `greatest`."""
        end = first + len(block)
        columns = nearest(block, self.k)
        self._merge(np.arange(first, end), np.take_along_axis(block, columns, axis=1), columns + first)
        np.maximum(self.greatest[first:end], block.max(axis=1), out=self.greatest[first:end])
        for start in range(len(block), block.shape[1], COLUMNS):
            self._add_columns(first, block[:, start : start + COLUMNS], first + start)
        return slice(first, end)

    def _add_columns(self, first: int, part: Float[np.ndarray, "rows columns"], start: int) -> None:
        """What images `first`, … are to the later images `start`, …"""
        own = slice(start, start + part.shape[1])
        np.maximum(self.greatest[own], part.max(axis=0), out=self.greatest[own])
        rows, columns = np.divmod(np.flatnonzero(part < self._limits(part, own)), part.shape[1])
        order = np.argsort(columns, kind="stable")
        rows, columns = rows[order], columns[order]
        touched, starts, counts = np.unique(columns, return_index=True, return_counts=True)
        if len(touched) == 0:
            return
        line, place = np.repeat(np.arange(len(touched)), counts), np.arange(len(rows)) - np.repeat(starts, counts)
        distances = np.full((len(touched), counts.max()), np.inf, dtype=part.dtype)
        images = np.zeros(distances.shape, dtype=np.int64)
        distances[line, place], images[line, place] = part[rows, columns], rows + first
        self._merge(touched + start, distances, images)

    def _limits(self, part: Float[np.ndarray, "rows columns"], own: slice) -> Float[np.ndarray, " columns"]:
        """What a distance to each image in `own` must be below, to be among its k least."""
        farthest = self.distances[own, -1]
        if np.isinf(farthest).any() and len(part) >= self.k:  # the first blocks: fewer than k seen before
            least = np.partition(part, self.k - 1, axis=0)[self.k - 1]
            return np.minimum(farthest, np.nextafter(least, np.inf, dtype=part.dtype))
        return farthest

    def _merge(
        self, own: Int64[np.ndarray, " n"], distances: Float[np.ndarray, "n m"], images: Int64[np.ndarray, "n m"]
    ) -> None:
        """Later images' distances, in the order of their numbers where they are equal, join those of images `own`."""
        distances = np.concatenate([self.distances[own], distances], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        images = np.concatenate([self.images[own], images], axis=1)
        self.distances[own] = np.take_along_axis(distances, order, axis=1)
        self.images[own] = np.take_along_axis(images, order, axis=1)

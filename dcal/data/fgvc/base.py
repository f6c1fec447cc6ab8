"""Data sets of images with one class each."""

from __future__ import annotations

from collections.abc import Mapping

from dcal.data.base import DataSet
from dcal.data.records import Record
from dcal.errors import DCALError


class Labelled(DataSet[Record]):
    """One split of images with a class each: `.records`, whose labels index `.classes`, the human names.

    Both splits of a data set give the same classes in the same order.
    """

    splits = ("train", "test")
    classes: tuple[str, ...]

    def found(self) -> dict[str, int]:
        return {"classes": len(self.classes), "images": len(self.records)}

    def problems(self) -> list[str]:
        if len(self.classes) > 1:
            return super().problems()
        only = f"{self.title} at {self.root} has one class alone, {', '.join(self.classes)}"
        return [f"{only}: at least two are needed. Is the root a folder too high or too low?", *super().problems()]


def whole_splits(classes: int, train: int, test: int) -> dict[str, Mapping[str, int]]:
    """The official counts of a data set in the form of `DataSet.official`."""
    return {split: {"classes": classes, "images": images} for split, images in (("train", train), ("test", test))}


def corners_to_box(corners: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """(x1, y1, x2, y2), both corners inside and counted from 1 as in MATLAB → (left, top, width, height) from 0."""
    x1, y1, x2, y2 = corners
    if x2 < x1 or y2 < y1:
        raise DCALError(f"a box's corners are x1, y1, x2, y2 with x1 ≤ x2 and y1 ≤ y2, got {corners}")
    return x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1

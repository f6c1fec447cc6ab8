"""The yard's models: rendered vehicles of 20 models and trims, as classes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from dcal.data.csv_reader import ordered
from dcal.data.fgvc.base import Labelled, whole_splits
from dcal.data.records import Record
from dcal.data.yard_table import HOME, TERMS, read_table


class YardModels(Labelled):
    """The yard for fine-grained classification: 20 models and trims; test vehicles are none of the training split's."""

    title = "the yard's models"
    terms = TERMS
    home = HOME
    official: ClassVar = whole_splits(20, 640, 320)

    def __init__(self, root: str | Path = HOME, split: str = "train", strict: bool = True) -> None:
        super().__init__(root, split, strict)

    def read(self) -> tuple[Record, ...]:
        rows = read_table(self.root)
        self.classes = ordered({row["label"] for row in rows})
        return tuple(
            Record(self.root / row["path"], self.classes.index(row["label"]))
            for row in rows
            if row["split"] == self.split
        )

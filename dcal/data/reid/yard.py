"""The yard: vehicles in pairs of twins, seen by eight cameras, rendered for this project (tools/yard)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from dcal.data.reid.base import ReID, ReIDRecord, Row, whole_splits
from dcal.data.yard_table import HOME, MARK, PARTS, TERMS, read_table
from dcal.errors import ImageError
from dcal.image import decoding, read_file

SIZE = (256, 256)


@dataclass(frozen=True, kw_only=True)
class YardRecord(ReIDRecord):
    """One rendered image of one vehicle, with the part in which it differs from its twin.

    `label` is the class (model and trim), `twin` the identity that is the same vehicle but for the part `differs`,
    `present` whether this one has it (or the uncommon one of the two), and `visible` in how many of this image's
    pixels it shows: 0 where it is not visible. The same place counts where the twin that lacks it would have it.
    """

    label: str
    twin: int
    differs: str
    present: bool
    visible: int
    mask: Path

    def parts(self) -> UInt8[np.ndarray, "height width"]:
        """The part of each pixel, an index of PARTS. Raises ImageError, naming the file, if it is no mask."""
        return self._mask() % MARK

    def difference(self) -> Bool[np.ndarray, "height width"]:
        """Whether a pixel shows the part in which the twins differ, or the place where this one lacks it."""
        return self._mask() >= MARK

    def _mask(self) -> UInt8[np.ndarray, "height width"]:
        try:
            data = io.BytesIO(read_file(self.mask))
            with decoding(), Image.open(data, formats=("PNG",)) as file:
                values = np.asarray(file)
        except ImageError as error:
            raise ImageError(f"{self.mask}: {error}") from error
        if values.ndim != 2 or values.dtype != np.uint8 or (values % MARK).max(initial=0) >= len(PARTS):
            raise ImageError(f"{self.mask}: a mask has one part number a pixel, below {len(PARTS)} but for the mark")
        return values


class Yard(ReID):
    """The yard for re-identification: 80 vehicles to train and 40 to test, each once by each of eight cameras.

    `root` is where the images lie: inside this package by default. As every vehicle has one image per camera, all test
    images are queries and all are the gallery: the same-camera rule excludes the query itself. `.records` are
    YardRecords.
    """

    title = "the yard"
    terms = TERMS
    home = HOME
    image_size = SIZE
    official = whole_splits(train=(80, 640), query=(40, 320), gallery=(40, 320))
    records: tuple[YardRecord, ...]  # more exact than in ReID

    def __init__(self, root: str | Path = HOME, split: str = "train", strict: bool = True) -> None:
        super().__init__(root, split, strict)

    def rows(self) -> list[Row]:
        self._table = {self.root / row["path"]: row for row in read_table(self.root)}
        splits = {"train": ("train",), "test": ("query", "gallery")}
        return [
            Row(split, path, row["identity"], row["camera"])
            for path, row in self._table.items()
            for split in splits[row["split"]]
        ]

    def read(self) -> tuple[YardRecord, ...]:
        return tuple(self._with_yard_columns(record, self._table[record.path]) for record in super().read())

    def _with_yard_columns(self, record: ReIDRecord, row: dict[str, str]) -> YardRecord:
        return YardRecord(
            path=record.path,
            identity=record.identity,
            camera=record.camera,
            label=row["label"],
            twin=int(row["twin"]),
            differs=row["differs"],
            present=row["present"] == "1",
            visible=int(row["visible"]),
            mask=self.root / row["mask"],
        )

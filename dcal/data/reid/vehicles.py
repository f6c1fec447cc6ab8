"""VeRi-776 and vehicle2cam: vehicles seen by road cameras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dcal.data.base import find_root, read_lines
from dcal.data.reid.base import ReID, Row, whole_splits
from dcal.data.reid.folder import FolderPerSplit, matched
from dcal.errors import DCALError

SIZE = (256, 256)  # (height, width), paper


class VeRi776(FolderPerSplit):
    """VeRi-776: `0002_c002_00030600_0.jpg` is vehicle 2, camera 2.

    Every query image lies in the gallery too, where the same-camera rule excludes it.
    Tracks are the lines of test_track.txt, where the archive has it: the numbers of its lines, from 1, for query and
    gallery; training images have none.
    """

    title = "VeRi-776"
    terms = (
        "VeRi-776 (Liu, Liu, Mei and Ma, 2016): images of vehicles with their number plates, for non-commercial "
        "purposes, on request from its makers; none of them is in this repository."
    )
    image_size = SIZE
    archive = "VeRi"
    folders = ("image_train", "image_query", "image_test")
    pattern = r"(?P<identity>\d+)_c(?P<camera>\d+)_"
    official = whole_splits(train=(576, 37778), query=(200, 1678), gallery=(200, 11579))

    def rows(self) -> Sequence[Row]:
        self._tracks: dict[str, str] | None = None
        return super().rows()

    def track(self, path: Path) -> str | None:
        if self._tracks is None:
            listed = self.root / "test_track.txt"
            self._tracks = read_tracks(listed) if listed.is_file() else {}
        return self._tracks.get(path.name)


class Vehicle2Cam(ReID):
    """vehicle2cam: 567 vehicles, each seen once by two cameras; `images/test/car_0001_cam1.jpg`.

    Vehicles are counted per type, so an identity's name is type and number. The query split is camera 1 of images/test,
    the gallery camera 2.
    """

    title = "vehicle2cam"
    terms = (
        "vehicle2cam (Minh Khoa Truong Nguyen, Thinh Luong Truong, Luan Nguyen Thanh), Apache-2.0: images of vehicles, "
        "some with riders and readable number plates; none of them is in this repository."
    )
    image_size = SIZE
    archive = "vehicle2cam"
    official = whole_splits(train=(507, 1014), query=(60, 60), gallery=(60, 60))

    def rows(self) -> Sequence[Row]:
        tried = (self.root, self.root / self.archive)
        self.root = find_root(self.title, tried, ("images/train", "images/test"))
        pattern, rows = re.compile(r"(?P<identity>[a-z]+_\d+)_cam(?P<camera>\d+)\."), []
        for half in ("train", "test"):
            for path, match in matched(self.root / "images" / half, pattern):
                split = half if half == "train" else {"1": "query", "2": "gallery"}.get(match["camera"])
                if split is None:
                    raise DCALError(f"{path}: camera {match['camera']}; the test half has cameras 1 and 2")
                rows.append(Row(split, path, match["identity"], match["camera"]))
        return rows


def read_tracks(path: Path) -> dict[str, str]:
    """{image: its track}: a track is a line of images. Its first word names the track, which is no image's name."""
    lines = enumerate(read_lines(path), 1)
    return {word: str(number) for number, line in lines for word in line.split()}

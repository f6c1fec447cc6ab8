"""One photo, of whatever data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dcal.errors import ImageError
from dcal.image import read_image


class Part(NamedTuple):
    """An annotated point of a photo: (x, y) in its pixels from the upper left; meaningless where it is not visible."""

    name: str
    x: float
    y: float
    visible: bool


@dataclass(frozen=True)
class Photo:
    """A photo's file."""

    path: Path

    def open(self) -> Image.Image:
        """The photo as `read_image` decodes it: upright, RGB. Raises ImageError, naming the file."""
        try:
            return read_image(self.path).image
        except ImageError as error:
            raise ImageError(f"{self.path}: {error}") from error


@dataclass(frozen=True)
class Record(Photo):
    """One labelled photo: its file, its label (from 0), and what the data set says of it beyond that.

    `box` is the object's (left, top, width, height), and `parts` its annotated points, both in the pixels of what
    `open` gives; None where the data set has none. `banner` is the number of rows at the file's lower edge that are
    no part of the photo; `open` cuts them off.
    """

    label: int
    box: tuple[float, float, float, float] | None = None
    parts: tuple[Part, ...] | None = None
    banner: int = 0

    def open(self) -> Image.Image:
        photo = super().open()
        return photo.crop((0, 0, photo.width, photo.height - self.banner)) if self.banner else photo

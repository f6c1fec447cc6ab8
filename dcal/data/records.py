"""One image, of whatever data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dcal.errors import ImageError
from dcal.image import read_image


class Part(NamedTuple):
    """An annotated point of an image: (x, y) in its pixels from the upper left; meaningless where it is not visible."""

    name: str
    x: float
    y: float
    visible: bool


@dataclass(frozen=True)
class ImageRecord:
    """An image's file."""

    path: Path

    def open(self) -> Image.Image:
        """The image as `read_image` decodes it: upright, RGB. Raises ImageError, naming the file."""
        try:
            return read_image(self.path).image
        except ImageError as error:
            raise ImageError(f"{self.path.parent}/{error}") from error  # it begins with the file's name


@dataclass(frozen=True)
class Record(ImageRecord):
    """One labelled image: its file, its label (from 0), and the annotations that the data set has.

    `box` is the object's (left, top, width, height), and `parts` its annotated points, both in the pixels of what
    `open` gives; None where the data set has none. `banner` is the number of rows at the file's lower edge that are
    no part of the image; `open` cuts them off.
    """

    label: int
    box: tuple[float, float, float, float] | None = None
    parts: tuple[Part, ...] | None = None
    banner: int = 0

    def open(self) -> Image.Image:
        image = super().open()
        return image.crop((0, 0, image.width, image.height - self.banner)) if self.banner else image

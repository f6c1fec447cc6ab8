"""The shape of a data set's images, from which an input size can be proposed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from PIL import Image

from dcal.data.records import ImageRecord
from dcal.image import FORMATS

MOST = 60  # images whose headers are read, evenly over the data set
SHAPES = ((1, 1), (2, 1), (1, 2))  # height : width that are proposed
APART = 1.4  # so many times longer or wider than the input is worth a word
NEARER = 1.25  # times, at least, that a proposed shape is nearer to the images' than the input's is


def typical_size(records: Sequence[ImageRecord]) -> tuple[int, int] | None:
    """(height, width), each the median over some of the images, as their headers state it; None if none can be read."""
    sizes = []
    for record in records[:: max(1, len(records) // MOST)]:
        try:
            with Image.open(record.path, formats=FORMATS) as image:
                sizes.append((image.height, image.width))
        except OSError:  # also an image that pillow does not know: whoever decodes it says so
            continue
    if not sizes:
        return None
    height, width = (median(side) for side in zip(*sizes, strict=True))
    return round(height), round(width)


def proposed_size(images: tuple[int, int], size: tuple[int, int]) -> tuple[int, int] | None:
    """An input size whose shape fits the images better than `size` and that has as long a longer side; or None.

    Both are (height, width). None if the input's shape is near enough, or no proposed one is nearer.
    """
    seen, used = images[0] / images[1], size[0] / size[1]
    height, width = min(SHAPES, key=lambda shape: apart(seen, shape[0] / shape[1]))
    if apart(seen, 1.0) < NEARER * apart(seen, height / width):
        height, width = 1, 1  # between two shapes, the one that distorts both ways alike
    if apart(seen, used) < APART or apart(seen, used) < NEARER * apart(seen, height / width):
        return None
    longer = max(size)
    return longer * height // max(height, width), longer * width // max(height, width)


def apart(a: float, b: float) -> float:
    """How many times one shape is longer or wider than the other; 1 for the same."""
    return max(a / b, b / a)

"""Annotations over an image: the regions of a mask in colours, an object's box, its parts as points."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Integer, UInt8

from dcal.draw.overlay import SIGNAL

RGB = UInt8[np.ndarray, "height width 3"]
GOLDEN = 0.618034  # of a turn: hues that follow each other so are far apart


def region_colour(number: int) -> tuple[int, int, int]:
    """The colour of region `number`, the same everywhere; neighbours in number differ widely in hue."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def regions(image: RGB, numbers: Integer[np.ndarray, "height width"], opacity: float = 0.5) -> RGB:
    """`image` with every pixel of region n > 0 tinted in `region_colour(n)`; region 0 stays as it is."""
    table = np.array([region_colour(number) for number in range(int(numbers.max(initial=0)) + 1)], dtype=np.float32)
    inside = (numbers > 0)[..., None]
    tinted = image * (1 - opacity) + table[numbers] * opacity
    return np.where(inside, np.rint(tinted), image).astype(np.uint8)


def annotated(
    image: RGB,
    box: tuple[float, float, float, float] | None,
    points: Sequence[tuple[float, float]] = (),
) -> RGB:
    """`image` with an object's box (left, top, width, height) and its visible parts (x, y), in the image's pixels."""
    drawn = np.ascontiguousarray(image.copy())
    width = max(1, round(max(image.shape) / 250))
    if box is not None:
        left, top, across, down = box
        corners = (round(left), round(top)), (round(left + across), round(top + down))
        cv2.rectangle(drawn, *corners, (0, 0, 0), width + 2)
        cv2.rectangle(drawn, *corners, tuple(int(v) for v in SIGNAL), width)
    for number, (x, y) in enumerate(points):
        cv2.circle(drawn, (round(x), round(y)), 3 * width, (0, 0, 0), -1)
        cv2.circle(drawn, (round(x), round(y)), 2 * width, region_colour(number), -1)
    return drawn

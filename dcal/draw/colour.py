"""Colours for numbers: the tables, the scale that maps share, the difference of two maps."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dcal.errors import DCALError, check_choice

DIVERGING = "blue-orange"  # for differences: blue below zero, near-white at zero, orange above
# Anchors of the diverging table, evenly spaced; equally dark at both ends, and told apart by colour-blind readers too.
_DIVERGING = (
    (5, 48, 97),
    (67, 133, 190),
    (170, 205, 225),
    (247, 247, 247),
    (253, 205, 150),
    (224, 130, 40),
    (127, 59, 8),
)
_OPENCV = {
    "viridis": cv2.COLORMAP_VIRIDIS,
    "magma": cv2.COLORMAP_MAGMA,
    "inferno": cv2.COLORMAP_INFERNO,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
    "hot": cv2.COLORMAP_HOT,
    "bone": cv2.COLORMAP_BONE,
}
FLAT = 1e-5  # of a map's magnitude; float32 was at most 1.2e-6 off float64 in any layer of the bundled checkpoints
COLORMAPS = tuple(_OPENCV)  # what a person may choose from; the first is the default


@lru_cache
def table(colormap: str) -> UInt8[np.ndarray, "256 3"]:
    """The 256 RGB colours of a colour map, lowest value first. Raises DCALError for an unknown name."""
    check_choice("colour map", colormap, (*COLORMAPS, DIVERGING))
    if colormap == DIVERGING:
        anchors, steps = np.array(_DIVERGING), np.linspace(0, len(_DIVERGING) - 1, 256)
        colours = np.stack([np.interp(steps, range(len(anchors)), channel) for channel in anchors.T], axis=1)
        colours = np.rint(colours).astype(np.uint8)
    else:
        ramp = np.arange(256, dtype=np.uint8)[:, None]
        colours = np.ascontiguousarray(cv2.applyColorMap(ramp, _OPENCV[colormap])[:, 0, ::-1])
    colours.flags.writeable = False
    return colours


def colour(
    map: Float[np.ndarray, "rows cols"], colormap: str = "viridis", low: float | None = None, high: float | None = None
) -> UInt8[np.ndarray, "rows cols 3"]:
    """The map in colours: `low` and less is the table's first, `high` and more its last (default: the map's range).

    A scale without extent, as of a flat map, gives the first colour; from 0 to 0 `DIVERGING` gives the middle one, its
    zero. Raises DCALError for values that are not finite.
    """
    low, high = shared_scale(map) if low is None or high is None else (low, high)
    if not high > low:
        value_range(map)
        return np.broadcast_to(
            table(colormap)[128 if colormap == DIVERGING and low == 0 else 0], (*map.shape, 3)
        ).copy()
    steps = 255 / (high - low)
    indices = map - map.dtype.type(low)  # in place from here on: an image has a million pixels
    indices *= map.dtype.type(steps)
    np.clip(np.rint(indices, out=indices), 0, 255, out=indices)
    return cv2.applyColorMap(indices.astype(np.uint8), table(colormap)[:, None])


def shared_scale(*maps: Float[np.ndarray, "..."]) -> tuple[float, float]:
    """(lowest, highest) value of all maps together: the scale on which they can be compared by eye.

    Maps that differ by rounding errors only (`is_flat`) have a scale without extent: their highest value, twice.
    """
    low, high = value_range(*maps)
    return (high, high) if is_flat(*maps) else (low, high)


def is_flat(*maps: Float[np.ndarray, "..."], magnitude: float | None = None) -> bool:
    """Whether the maps are one constant value, but for rounding errors: there is no pattern to draw, say so instead.

    Values count as equal within `FLAT` times their magnitude, the largest absolute value. For a difference of maps
    give the `magnitude` of the maps themselves. Raises DCALError for values that are not finite.
    """
    low, high = value_range(*maps)
    magnitude = max(-low, high) if magnitude is None else magnitude
    return high - low <= FLAT * magnitude


def value_range(*maps: Float[np.ndarray, "..."]) -> tuple[float, float]:
    """(lowest, highest) value of all maps together. Raises DCALError for values that are not finite."""
    low, high = min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)
    if not np.isfinite([low, high]).all():
        raise DCALError(f"a map holds values that are not finite: its range is {low} to {high}")
    return low, high


def difference(
    first: Float[np.ndarray, "rows cols"], second: Float[np.ndarray, "rows cols"]
) -> tuple[Float[np.ndarray, "rows cols"], float]:
    """(second − first, its largest magnitude m): draw it with `colormap=DIVERGING` from −m to m; zero is white then.

    m is 0 where the maps differ by rounding errors only.
    """
    delta = second - first
    low, high = value_range(delta)
    largest = max(map(abs, value_range(first, second)))
    return delta, 0.0 if is_flat(delta, np.zeros(1), magnitude=largest) else max(-low, high)

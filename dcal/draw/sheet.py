"""Several pictures on one sheet: all layers as a strip, heads as a grid, two maps and their difference side by side."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from dcal.draw.colour import shared_scale
from dcal.draw.legend import label
from dcal.draw.overlay import overlay
from dcal.errors import DCALError
from dcal.record import Inspection

RGB = UInt8[np.ndarray, "height width 3"]
GAP = 4  # pixels between pictures
GROUND = (24, 24, 27)  # what shows in the gaps


def grid(
    seen: Inspection,
    maps: Float[np.ndarray, "count rows cols"],
    labels: Sequence[str],
    columns: int,
    opacity: float = 0.6,
    colormap: str = "viridis",
    low: float | None = None,
    high: float | None = None,
    smooth: bool = False,
    tile: int = 300,
) -> RGB:
    """Every map over the photo, labelled, row by row, on one scale: `low` to `high` (default: the range of all maps).

    `tile` is the longer side of one picture in pixels. Raises DCALError if labels and maps differ in number.
    """
    if len(maps) != len(labels) or columns < 1:
        raise DCALError(f"{len(labels)} labels were given for {len(maps)} maps, in {columns} columns")
    low, high = shared_scale(maps) if low is None or high is None else (low, high)
    tiles = [overlay(seen, m, opacity, colormap, low, high, smooth, max_side=tile) for m in maps]
    tiles = [label(picture, text) for picture, text in zip(tiles, labels, strict=True)]
    rows = [beside(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return _stack(rows)


def strip(
    seen: Inspection, maps: Float[np.ndarray, "l rows cols"], labels: Sequence[str], most: int = 6, **look: Any
) -> RGB:
    """All layers in reading order, at most `most` in a row. Keyword arguments as in `grid`."""
    return grid(seen, maps, labels, columns_for(len(maps), most), **{"tile": 220, **look})


def columns_for(count: int, most: int) -> int:
    """How many columns, at most `most` and more than half of it, leave the fewest places empty."""
    if count <= most:
        return count
    return min(range(most, most // 2, -1), key=lambda columns: math.ceil(count / columns) * columns)


def beside(pictures: Sequence[RGB]) -> RGB:
    """Pictures of one height in a row, a small gap between them."""
    height = pictures[0].shape[0]
    gap = np.full((height, GAP, 3), GROUND, dtype=np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(parts, axis=1)


def png(picture: RGB) -> bytes:
    """The picture as a PNG file: lossless, and quick rather than small."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _stack(rows: Sequence[RGB]) -> RGB:
    """Rows below each other; the last may be shorter, and is filled up."""
    width = max(row.shape[1] for row in rows)
    padded = [cv2.copyMakeBorder(r, 0, GAP, 0, width - r.shape[1], cv2.BORDER_CONSTANT, value=GROUND) for r in rows]
    return np.concatenate(padded)[:-GAP]

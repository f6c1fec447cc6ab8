"""Several images on one sheet: all layers as a strip, heads as a grid, two maps and their difference side by side."""

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
from dcal.draw.layout import MAX_SIDE, drawn_size
from dcal.draw.legend import bar, label, under
from dcal.draw.overlay import base_image, mark, overlay
from dcal.errors import DCALError
from dcal.explain.inspection import Inspection

RGB = UInt8[np.ndarray, "height width 3"]
AnyRGB = UInt8[np.ndarray, "_ _ 3"]  # where several sizes meet in one signature
STRIP_WIDTH = 1320  # pixels
GAP = 4  # pixels between images
GROUND = (24, 24, 27)  # what shows in the gaps


def figure(
    seen: Inspection,
    map: Float[np.ndarray, "rows cols"],
    opacity: float | int = 0.6,
    colormap: str = "viridis",
    low: float | None = None,
    high: float | None = None,
    smooth: bool = False,
    max_side: int | None = MAX_SIDE,
    marked: tuple[int, int] | None = None,
    base: AnyRGB | None = None,
) -> RGB:
    """One map over the image (see `overlay`) with its colour bar below; the patch `marked` (row, col) is outlined."""
    low, high = shared_scale(map) if low is None or high is None else (low, high)
    canvas = overlay(seen, map, opacity, colormap, low, high, smooth, max_side, base)
    canvas = canvas if marked is None else mark(seen, canvas, *marked)
    return under(canvas, bar(canvas.shape[1], low, high, colormap))


def grid(
    seen: Inspection,
    maps: Float[np.ndarray, "count rows cols"],
    labels: Sequence[str],
    columns: int,
    opacity: float | int = 0.6,
    colormap: str = "viridis",
    low: float | None = None,
    high: float | None = None,
    smooth: bool = False,
    tile: int = 300,
    text: int | None = None,
) -> RGB:
    """Every map over the image, labelled, row by row, on one scale: `low` to `high` (default: the range of all maps).

    `tile` is the longer side of one image in pixels, `text` the height of its label. Raises DCALError if labels and
    maps differ in number.
    """
    if len(maps) != len(labels) or columns < 1:
        raise DCALError(f"{len(labels)} labels were given for {len(maps)} maps, in {columns} columns")
    low, high = shared_scale(maps) if low is None or high is None else (low, high)
    base = base_image(seen, tile)
    tiles = [overlay(seen, m, opacity, colormap, low, high, smooth, tile, base) for m in maps]
    tiles = [label(canvas, name, text) for canvas, name in zip(tiles, labels, strict=True)]
    rows = [beside(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return _stack(rows)


def strip(seen: Inspection, maps: Float[np.ndarray, "l rows cols"], labels: Sequence[str], **look: Any) -> RGB:
    """All layers in reading order, about `STRIP_WIDTH` pixels wide. Keyword arguments as in `grid`."""
    columns, tile = strip_layout(seen, len(maps))
    return grid(seen, maps, labels, columns, **{"tile": tile, "text": STRIP_WIDTH // 48, **look})


def strip_layout(seen: Inspection, count: int) -> tuple[int, int]:
    """(columns, longer side of one image in pixels) of a strip: six columns, fewer for panoramas."""
    height, width = seen.image.shape[:2]
    columns = columns_for(count, 6 if width <= 2 * height else max(1, 12 * height // width))
    return columns, STRIP_WIDTH // (columns if width > height else max(columns, 6))


def tile_at(seen: Inspection, x: int, y: int, count: int) -> int | None:
    """Which of the `count` maps of a `strip` lies under its pixel (x, y); None for none."""
    columns, tile = strip_layout(seen, count)
    height, width = drawn_size(seen, tile)
    row, col = y // (height + GAP), x // (width + GAP)
    index = row * columns + col
    return index if 0 <= col < columns and 0 <= index < count else None


def columns_for(count: int, most: int) -> int:
    """How many columns, at most `most` and more than half of it, leave the fewest places empty."""
    if count <= most:
        return count
    return min(range(most, most // 2, -1), key=lambda columns: math.ceil(count / columns) * columns)


def beside(canvases: Sequence[AnyRGB]) -> AnyRGB:
    """Images of one height in a row, a small gap between them."""
    height = canvases[0].shape[0]
    gap = np.full((height, GAP, 3), GROUND, dtype=np.uint8)
    parts = [part for canvas in canvases for part in (gap, canvas)][1:]
    return np.concatenate(parts, axis=1)


def png(canvas: RGB) -> bytes:
    """The image as a PNG file: lossless, and quick rather than small."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def jpeg(canvas: RGB, quality: int = 95) -> bytes:
    """The image as a JPEG file, its colours not subsampled: thin outlines stay sharp. Other threads run meanwhile."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def webp(canvas: RGB, quality: int = 85) -> bytes:
    """The image as a WebP file: a few kilobytes, for pages with many images."""
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()


def tile(image: RGB, side: int) -> AnyRGB:
    """The whole image with its longer side `side` pixels long, enlarged if need be: Re-ID's crops are small."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _stack(rows: Sequence[AnyRGB]) -> AnyRGB:
    """Rows below each other; the last may be shorter, and is filled up."""
    width = max(row.shape[1] for row in rows)
    padded = [cv2.copyMakeBorder(r, 0, GAP, 0, width - r.shape[1], cv2.BORDER_CONSTANT, value=GROUND) for r in rows]
    return np.concatenate(padded)[:-GAP]

"""Where the patches lie on a drawing of the image, and which patch a pixel belongs to.

A drawing is the whole image, scaled. Pixel i of w has its centre at x = (i + ½)·W/w in the image's own pixels,
and lies in column floor((x − left) / (right − left) · cols) of the patch grid. The grid covers `seen.box`, no more.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dcal.errors import DCALError
from dcal.explain.inspection import Inspection

MAX_SIDE = 1024  # pixels of a drawing's longer side, for speed
MIN_SIDE = 512  # smaller images are enlarged to this: browsers show them as they come


def drawn_size(seen: Inspection, max_side: int | None = MAX_SIDE) -> tuple[int, int]:
    """(height, width) of a drawing whose longer side is at most `max_side` (None: the image's own size).

    Images under `MIN_SIDE` are enlarged to it, or to `max_side` if that is less.
    """
    height, width = seen.image.shape[:2]
    if max_side is None:
        return height, width
    if max_side < 1:
        raise DCALError(f"max_side must be at least 1 pixel, got {max_side}")
    longer = max(height, width)
    scale = min(max(longer, min(MIN_SIDE, max_side)), max_side) / longer
    return max(1, round(height * scale)), max(1, round(width * scale))


def grid_position(
    pixels: Int[np.ndarray, " some"], length: int, extent: int, low: float, high: float, count: int
) -> Float[np.ndarray, " some"]:
    """Where the centres of `pixels`, of `length` drawn over `extent` image pixels, lie on a grid of `count` patches.

    The grid covers [low, high) of the image: 0 is its first edge, `count` its last; less or more lies outside.
    """
    centres = (pixels + 0.5) * (extent / length)
    return (centres - low) / (high - low) * count


def grid_index(position: Float[np.ndarray, " length"], count: int) -> Int[np.ndarray, " length"]:
    """The patch that each position lies in, −1 outside."""
    index = np.floor(position).astype(int)
    return np.where((index >= 0) & (index < count), index, -1)


def spread(position: Float[np.ndarray, " length"], count: int, smooth: bool) -> Float[np.ndarray, "length count"]:
    """Weights W so that W @ values gives every pixel its value: its patch's, or, `smooth`, linear between centres.

    Outside the grid all weights are zero. Smooth values are constant from the outermost centres to the grid's edge.
    """
    inside = grid_index(position, count) >= 0
    weights = np.zeros((len(position), count))
    if smooth:
        between = np.clip(position - 0.5, 0, count - 1)
        lower = np.minimum(between.astype(int), max(count - 2, 0))
        pixels = np.arange(len(position))
        weights[pixels, lower] = 1 - (between - lower)
        weights[pixels, np.minimum(lower + 1, count - 1)] += between - lower
    else:
        weights[np.arange(len(position)), grid_index(position, count)] = 1
    return weights * inside[:, None]


def spreads(
    seen: Inspection, size: tuple[int, int], grid: tuple[int, int], smooth: bool
) -> tuple[Float[np.ndarray, "height rows"], Float[np.ndarray, "width cols"]]:
    """(down, across) for a (rows, cols) `grid` on a drawing of `size`: its pixels are down @ map @ across.T"""
    (height, width), (rows, cols) = size, grid
    left, top, right, bottom = seen.box
    down = grid_position(np.arange(height), height, seen.image.shape[0], top, bottom, rows)
    across = grid_position(np.arange(width), width, seen.image.shape[1], left, right, cols)
    return spread(down, rows, smooth), spread(across, cols, smooth)


def patch_at(seen: Inspection, x: int, y: int, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """(row, col) of the patch under pixel (x, y) of a drawing of `shape` (height, width, …), None outside."""
    height, width = shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        return None
    left, top, right, bottom = seen.box
    (image_height, image_width), layout = seen.image.shape[:2], seen.layout
    down = grid_position(np.array([y]), height, image_height, top, bottom, layout.rows)
    across = grid_position(np.array([x]), width, image_width, left, right, layout.cols)
    found = int(grid_index(down, layout.rows)[0]), int(grid_index(across, layout.cols)[0])
    return found if min(found) >= 0 else None


def patch_under(seen: Inspection, place: tuple[float, float]) -> tuple[int, int] | None:
    """(row, col) of the patch at `place`, (x, y) as fractions of the image's width and height; None outside the box.

    A place means the same in records of one image whose grids or boxes differ; a patch's index does not.
    """
    height, width = seen.image.shape[:2]
    return patch_at(seen, int(place[0] * width), int(place[1] * height), (height, width))


def place_of(seen: Inspection, row: int, col: int) -> tuple[float, float]:
    """The centre of a patch as fractions of the image's width and height: what `patch_under` takes."""
    return patch_centre(seen, row, col, (1, 1))


def patch_centre(seen: Inspection, row: int, col: int, shape: tuple[int, ...]) -> tuple[float, float]:
    """(x, y) of a patch's centre on a drawing of `shape` (height, width, …), in its pixels; pixel 0 is at ½."""
    left, top, right, bottom = seen.box
    x = (left + (col + 0.5) * (right - left) / seen.layout.cols) * shape[1] / seen.image.shape[1]
    y = (top + (row + 0.5) * (bottom - top) / seen.layout.rows) * shape[0] / seen.image.shape[0]
    return x, y

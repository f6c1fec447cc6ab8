"""Maps on the image: coloured over it, selected patches outlined, one patch marked."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dcal.draw.colour import colour, shared_scale
from dcal.draw.layout import MAX_SIDE, drawn_size, spreads
from dcal.errors import DCALError
from dcal.explain.inspection import Inspection

RGB = UInt8[np.ndarray, "height width 3"]
UNSEEN = 0.3  # brightness of what the model did not see
PASSED_OVER = 0.45  # brightness of patches that were not selected
ACCENT = (255, 196, 0)  # outlines
SIGNAL = (255, 64, 200)  # what surrounds a region that somebody knew beforehand


def base_image(seen: Inspection, max_side: int | None = MAX_SIDE) -> RGB:
    """The image at the size in which it is drawn, what the model did not see dimmed."""
    bright = _scaled(seen, max_side)
    down, across = spreads(seen, bright.shape[:2], (seen.layout.rows, seen.layout.cols), smooth=False)
    inside = _inside(down), _inside(across)
    canvas = dim(bright, UNSEEN)
    canvas[inside] = bright[inside]
    return canvas


def overlay(
    seen: Inspection,
    map: Float[np.ndarray, "rows cols"],
    opacity: float | int = 0.6,
    colormap: str = "viridis",
    low: float | None = None,
    high: float | None = None,
    smooth: bool = False,
    max_side: int | None = MAX_SIDE,
    base: RGB | None = None,
) -> RGB:
    """The map in colours over the image, only where the model looked; the rest of the image is dimmed.

    Every patch is its exact rectangle of the image, or, `smooth`, values run bilinearly between patch centres. `low`
    and `high` as in `colour`. `opacity` in [0, 1]: 0 shows the image alone, 1 the map alone; as it grows the image
    turns grey, so that its own colours are not read as the map's. `max_side` as in `drawn_size`. `base` is
    `base_image(seen, max_side)`, where several maps of one image are drawn: scaling it takes longer than the map.
    """
    if not 0 <= opacity <= 1:
        raise DCALError(f"opacity must lie in [0, 1], got {opacity}")
    low, high = shared_scale(map) if low is None or high is None else (low, high)
    canvas = base_image(seen, max_side) if base is None else base.copy()
    down, across = spreads(seen, canvas.shape[:2], map.shape, smooth)
    inside = _inside(down), _inside(across)
    values = down[inside[0]].astype(map.dtype) @ map @ across[inside[1]].T.astype(map.dtype)
    if values.size:  # a box narrower than a pixel holds no pixel's centre
        ground = _fade(np.ascontiguousarray(canvas[inside]), opacity)
        canvas[inside] = cv2.addWeighted(colour(values, colormap, low, high), opacity, ground, 1 - opacity, 0)
    return canvas


def patches(
    seen: Inspection,
    colours: Float[np.ndarray, "rows cols 3"],
    opacity: float = 0.6,
    max_side: int | None = MAX_SIDE,
) -> RGB:
    """Patches in colours of their own, numbers in [0, 1], over the image; otherwise as `overlay`."""
    canvas = base_image(seen, max_side)
    down, across = spreads(seen, canvas.shape[:2], colours.shape[:2], smooth=False)
    inside = _inside(down), _inside(across)
    rows, columns = down[inside[0]].argmax(axis=1), across[inside[1]].argmax(axis=1)
    painted = np.rint(255 * colours.clip(0, 1)).astype(np.uint8)[rows][:, columns]
    if painted.size:
        ground = _fade(np.ascontiguousarray(canvas[inside]), opacity)
        canvas[inside] = cv2.addWeighted(np.ascontiguousarray(painted), opacity, ground, 1 - opacity, 0)
    return canvas


def selection(seen: Inspection, mask: Bool[np.ndarray, "rows cols"], max_side: int | None = MAX_SIDE) -> RGB:
    """The image with the patches in `mask` bright and outlined, the others dimmed, the unseen rest dimmed more."""
    canvas = base_image(seen, max_side)
    chosen, passed_over = _pixels(seen, mask, canvas), _pixels(seen, ~mask, canvas)
    return outline(np.where(passed_over[..., None], dim(canvas, PASSED_OVER), canvas), chosen)


def mark(seen: Inspection, canvas: RGB, row: int, col: int) -> RGB:
    """`canvas`, which shows the image at any size, with the patch at (row, col) outlined."""
    mask = np.zeros((seen.layout.rows, seen.layout.cols), dtype=bool)
    mask[row, col] = True
    return outline(canvas, _pixels(seen, mask, canvas))


def outline(canvas: RGB, region: Bool[np.ndarray, "height width"]) -> RGB:
    """`canvas` with the region's border drawn: in the accent colour inside it, black just outside."""
    width = max(1, round(max(canvas.shape) / 300))
    kernel = np.ones((3, 3), dtype=np.uint8)
    padded = np.pad(region.astype(np.uint8), 1)
    inner = cv2.erode(padded, kernel, iterations=width)[1:-1, 1:-1].astype(bool)
    outer = cv2.dilate(padded, kernel, iterations=max(1, width // 2))[1:-1, 1:-1].astype(bool)
    drawn = canvas.copy()
    drawn[outer & ~region] = 0
    drawn[region & ~inner] = ACCENT
    return drawn


def surround(canvas: RGB, region: Bool[np.ndarray, "image_height image_width"]) -> RGB:
    """`canvas`, which shows the image at any size, with a ring around a region of its pixels.

    The ring leaves a pixel or more free, so that a part of few pixels is still seen inside it. A region without a pixel
    changes nothing.
    """
    width = max(2, round(max(canvas.shape) / 200))
    size = canvas.shape[1], canvas.shape[0]
    there = (cv2.resize(region.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    free = cv2.dilate(there, _disc(width))
    ring, edge = cv2.dilate(free, _disc(width)), cv2.dilate(free, _disc(width + max(1, width // 2)))
    drawn = canvas.copy()
    drawn[(edge > free) & (edge > ring)] = 0
    drawn[ring > free] = SIGNAL
    return drawn


def dim(canvas: RGB, brightness: float) -> RGB:
    """`canvas` with every value times `brightness`, rounded."""
    return cv2.convertScaleAbs(canvas, alpha=brightness)


def _scaled(seen: Inspection, max_side: int | None) -> RGB:
    height, width = drawn_size(seen, max_side)
    if (height, width) == seen.image.shape[:2]:
        return seen.image.copy()
    smaller = height < seen.image.shape[0]
    return cv2.resize(seen.image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _disc(radius: int) -> UInt8[np.ndarray, "side side"]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _fade(canvas: RGB, share: float | int) -> RGB:
    """`canvas` with its colours drained: 0 leaves them, 1 makes it grey."""
    grey = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(grey, share, canvas, 1 - share, 0)


def _pixels(seen: Inspection, mask: Bool[np.ndarray, "rows cols"], canvas: RGB) -> Bool[np.ndarray, "height width"]:
    """The pixels of `canvas` that the patches in `mask` cover."""
    down, across = spreads(seen, canvas.shape[:2], mask.shape, smooth=False)
    rows, columns = _inside(down), _inside(across)
    covered = np.zeros(canvas.shape[:2], dtype=bool)
    covered[rows, columns] = mask[down[rows].argmax(axis=1)][:, across[columns].argmax(axis=1)]
    return covered


def _inside(weights: Float[np.ndarray, "length count"]) -> slice:
    """The run of pixels that lie on the grid."""
    where = np.flatnonzero(weights.any(axis=1))
    return slice(where[0], where[-1] + 1) if len(where) else slice(0, 0)

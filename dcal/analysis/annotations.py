"""Where an object's box and parts lie on the patch grid, which covers the model's view of the image and no more.

A pixel position x of the image lies at (x − left) / (right − left) · cols of the grid, whatever the preprocessing is:
squashed or cropped, the view is one box of the image (`Preprocess.box`), and patches are its equal rectangles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dcal.data.records import Part, Record
from dcal.model.kinds import TokenLayout
from dcal.preprocess import Box, Preprocess

ObjectBox = tuple[float, float, float, float]  # left, top, width, height, in the image's pixels, as data sets have it
Extent = tuple[float, float]  # low, high


@dataclass(frozen=True)
class Places:
    """Where the objects of some images are on the patch grid. Images without a box, or with none of it in view: zeros.

    `cover`: the share of each patch inside the box. `centres`: whether the patch's centre is. `parts`: the patches of
    the visible parts in view, one entry a part.
    """

    cover: Float[np.ndarray, "n p"]
    centres: Bool[np.ndarray, "n p"]
    parts: list[Int[np.ndarray, "_"]]  # as many as the image has


def places_of(
    records: Sequence[Record], sizes: Sequence[tuple[int, int]], preprocess: Preprocess, layout: TokenLayout
) -> Places:
    """The records' places; `sizes` are the images' (height, width) in pixels."""
    views = [preprocess.box(*size) for size in sizes]
    cover, centres = np.zeros((len(records), layout.patches)), np.zeros((len(records), layout.patches), dtype=bool)
    for row, (record, view) in enumerate(zip(records, views, strict=True)):
        if record.box is not None:
            cover[row], centres[row] = box_cover(record.box, view, layout), box_centres(record.box, view, layout)
    parts = [part_patches(record.parts or (), view, layout) for record, view in zip(records, views, strict=True)]
    return Places(cover, centres, parts)


def box_cover(box: ObjectBox, view: Box, layout: TokenLayout) -> Float[np.ndarray, " p"]:
    """The share of each patch that lies inside the object's box; its mean is the box's share of the view."""
    down, across = (
        np.clip(np.minimum(high, np.arange(count) + 1) - np.maximum(low, np.arange(count)), 0, 1)
        for (low, high), count in zip(grid_extents(box, view, layout), (layout.rows, layout.cols), strict=True)
    )
    return np.outer(down, across).reshape(-1)


def box_centres(box: ObjectBox, view: Box, layout: TokenLayout) -> Bool[np.ndarray, " p"]:
    """Whether each patch's centre lies inside the object's box."""
    down, across = (
        (low <= np.arange(count) + 0.5) & (np.arange(count) + 0.5 < high)
        for (low, high), count in zip(grid_extents(box, view, layout), (layout.rows, layout.cols), strict=True)
    )
    return np.outer(down, across).reshape(-1)


def grid_extents(box: ObjectBox, view: Box, layout: TokenLayout) -> tuple[Extent, Extent]:
    """((top, bottom), (left, right)) of an object's box in units of patches, from the view's upper left corner."""
    x, y, width, height = box
    left, top, right, bottom = view
    across, down = layout.cols / (right - left), layout.rows / (bottom - top)
    return ((y - top) * down, (y + height - top) * down), ((x - left) * across, (x + width - left) * across)


def part_patches(parts: Sequence[Part], view: Box, layout: TokenLayout) -> Int[np.ndarray, " visible"]:
    """The patch of every part that is visible and inside the view, in the parts' order; one may come twice."""
    left, top, right, bottom = view
    found = []
    for part in parts:
        row = int(np.floor((part.y - top) / (bottom - top) * layout.rows))
        col = int(np.floor((part.x - left) / (right - left) * layout.cols))
        if part.visible and 0 <= row < layout.rows and 0 <= col < layout.cols:
            found.append(row * layout.cols + col)
    return np.array(found, dtype=np.int64)

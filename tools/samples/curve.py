"""Curves, masks and noise: the geometry that every picture is drawn with.

Pictures are float32 arrays (rows, cols, 3), RGB in [0, 1]; points are float arrays (points, 2), x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[Any]  # float32
Points = ArrayLike


@dataclass(frozen=True)
class Frame:
    """Places a drawing made in a 100-unit box (facing right) on a picture: mirrored, turned, scaled, moved."""

    scale: float  # pixels per unit
    origin: tuple[float, float]  # pixels, where `pivot` comes to lie
    pivot: tuple[float, float] = (50.0, 50.0)
    degrees: float = 0.0  # clockwise on the screen, after mirroring
    mirror: bool = False
    nod: float = 0.0  # degrees: the head turned about the neck, down when positive
    tilt: float = 1.0  # heights on the screen are squeezed by this: a flat drawing seen at a slant

    def __call__(self, points: Points) -> NDArray[np.float64]:
        return self._place(self._bow(np.asarray(points, float)))

    def _bow(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the head (above y = 40 in the drawing, fully from 26) turned about (62, 32)."""
        share = np.clip((40 - points[..., 1]) / 14, 0, 1)
        angle = np.radians(self.nod) * share**2 * (3 - 2 * share)
        x, y = points[..., 0] - 62, points[..., 1] - 32
        return np.stack([62 + x * np.cos(angle) - y * np.sin(angle), 32 + x * np.sin(angle) + y * np.cos(angle)], -1)

    def _place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        local = points - self.pivot
        if self.mirror:
            local = local * (-1, 1)
        c, s = np.cos(np.radians(self.degrees)), np.sin(np.radians(self.degrees))
        return local @ np.array([[c, s], [-s, c]]) * self.scale * (1, self.tilt) + self.origin

    def direction(self, degrees: float) -> NDArray[np.float64]:
        """Unit vector on the picture of a direction in the drawing (0 right, 90 down)."""
        a = np.radians(degrees)
        ends = self._place(np.array([(0.0, 0.0), (np.cos(a), np.sin(a))]))
        return (ends[1] - ends[0]) / self.scale


def smooth(points: Points, closed: bool = True, steps: int = 12) -> NDArray[np.float64]:
    """Catmull-Rom curve through the points; `steps` samples between neighbours."""
    p = np.asarray(points, float)
    padded = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack(pieces if closed else [*pieces, p[-1:]])


def along(points: Points, t: NDArray[np.float64] | float, closed: bool = False) -> NDArray[np.float64]:
    """Points at fractions t of the length of the smooth curve."""
    curve = smooth(points, closed)
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    where = np.asarray(t, float) * length[-1]
    return np.stack([np.interp(where, length, curve[:, 0]), np.interp(where, length, curve[:, 1])], axis=-1)


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur; wide ones run on a reduced picture."""
    if sigma <= 0:
        return image
    shrink = max(1, int(sigma / 6))
    if shrink == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    rows, cols = image.shape[:2]
    size = (max(2, cols // shrink), max(2, rows // shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (cols, rows), interpolation=cv2.INTER_CUBIC)


def mask(shape: tuple[int, ...], polygon: Points, soft: float = 0.7) -> Image:
    """(rows, cols) coverage of a polygon in pixels, its edge blurred by `soft` pixels."""
    flat = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(flat, [np.round(np.asarray(polygon) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return blur(flat.astype(np.float32) / 255, soft)


def noise(
    shape: tuple[int, ...], cell: tuple[float, float] | float, rng: np.random.Generator, octaves: int = 4
) -> Image:
    """(rows, cols) smooth noise, mean about 0 and deviation 1; `cell` is the largest grain in pixels (down, across)."""
    down, across = cell if isinstance(cell, tuple) else (cell, cell)
    total = np.zeros(shape[:2], np.float32)
    for octave in range(octaves):
        rows = int(np.ceil(shape[0] / max(down / 2**octave, 1))) + 3
        cols = int(np.ceil(shape[1] / max(across / 2**octave, 1))) + 3
        grid = rng.standard_normal((rows, cols)).astype(np.float32)
        total += cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * 0.55**octave
    return (total - total.mean()) / (total.std() + 1e-6)


def lay(canvas: Image, colour: Image | Sequence[float], alpha: Image) -> None:
    """Paints a colour (one, or one per pixel) over the canvas, in place; a fourth channel collects the coverage."""
    ink = np.asarray(colour, np.float32)
    if canvas.shape[-1] == 4 and ink.shape[-1] == 3:
        ink = np.concatenate([ink, np.ones((*ink.shape[:-1], 1), np.float32)], -1)
    canvas += (ink - canvas) * alpha[..., None]


def layer(canvas: Image) -> Image:
    """A copy with a fourth channel, 0 wherever nothing has been painted yet."""
    return np.concatenate([canvas, np.zeros((*canvas.shape[:2], 1), np.float32)], -1)


def merge(canvas: Image, painted: Image) -> Image:
    """Puts a painted layer back on its canvas, in place (its edges are already mixed); returns its coverage."""
    lay(canvas, painted[..., :3], np.clip(painted[..., 3] * 3, 0, 1))
    return painted[..., 3]


def rgb(code: str) -> NDArray[np.float32]:
    """'#rrggbb' as three floats in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / np.float32(255)

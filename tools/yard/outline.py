"""Flat outlines: polygons with rounded corners, and how far a point is from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Numbers = Sequence[float | int] | np.ndarray  # coordinates; whole ones are written without a point


def fillet(corners: Sequence[Numbers] | Array, steps: int = 6) -> Array:
    """(n, 2) closed polygon through `corners` (u, v, radius), each corner replaced by an arc of about that radius."""
    points = []
    for i, corner in enumerate(corners):
        here, radius = np.array(corner[:2], float), corner[2] if len(corner) > 2 else 0.0
        before, after = (np.array(corners[j % len(corners)][:2], float) for j in (i - 1, i + 1))
        if radius <= 0:
            points.append(here)
            continue
        one, two = before - here, after - here
        reach = min(radius, 0.49 * np.hypot(*one), 0.49 * np.hypot(*two))
        start, end = here + one / np.hypot(*one) * reach, here + two / np.hypot(*two) * reach
        for t in np.linspace(0, 1, steps):  # a quadratic curve: tangent to both sides
            points.append((1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end)
    return np.array(points)


def distance(polygon: Array, u: Array, v: Array) -> Array:
    """Signed distance of the points (u, v) from a closed polygon: negative inside."""
    best, inside = np.full(u.shape, np.inf), np.zeros(u.shape, bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        length = ex * ex + ey * ey
        if length == 0:
            continue
        t = np.clip(((u - ax) * ex + (v - ay) * ey) / length, 0, 1)
        best = np.minimum(best, (u - ax - t * ex) ** 2 + (v - ay - t * ey) ** 2)
        if ey != 0:
            crosses = (ay > v) != (by > v)
            inside ^= crosses & (u < ex * (v - ay) / ey + ax)
    return np.where(inside, -1.0, 1.0) * np.sqrt(best)


@dataclass(frozen=True)
class Table:
    """Signed distances on a fine grid, read between its points: for outlines that millions of points ask."""

    values: Array
    origin: tuple[float, float]
    step: float

    def __call__(self, u: Array, v: Array) -> Array:
        rows, columns = self.values.shape
        x = np.clip((u - self.origin[0]) / self.step, 0, rows - 1.001)
        y = np.clip((v - self.origin[1]) / self.step, 0, columns - 1.001)
        i, j = x.astype(np.int32), y.astype(np.int32)
        x, y, t = x - i, y - j, self.values
        low = t[i, j] * (1 - y) + t[i, j + 1] * y
        return low * (1 - x) + (t[i + 1, j] * (1 - y) + t[i + 1, j + 1] * y) * x


def tabulate(corners: Sequence[Numbers], margin: float = 0.6, step: float = 0.02) -> Table:
    """The table of a rounded polygon, `margin` metres around it included."""
    polygon = fillet(corners)
    low, high = polygon.min(0) - margin, polygon.max(0) + margin
    u, v = (np.arange(low[k], high[k] + step, step) for k in (0, 1))
    return Table(distance(polygon, *np.meshgrid(u, v, indexing="ij")).astype(np.float32), (low[0], low[1]), step)


def rounded_box(u: Array, v: Array, centre: Numbers, half: Numbers, radius: float) -> Array:
    """Signed distance from a rectangle with rounded corners."""
    du, dv = np.abs(u - centre[0]) - half[0] + radius, np.abs(v - centre[1]) - half[1] + radius
    return np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0) - radius

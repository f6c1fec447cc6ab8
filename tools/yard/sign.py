"""The shapes of decals and stickers: eight signs, none of them a letter or a maker's."""

from __future__ import annotations

import numpy as np

from tools.yard.outline import distance, fillet, rounded_box
from tools.yard.surface import Array

SIGNS = ("disc", "ring", "star", "chevron", "square", "bolt", "cross", "drop")
BOLT = np.array([(-0.1, 1.1), (0.55, 1.1), (0.2, 0.2), (0.65, 0.2), (-0.35, -1.2), (-0.05, -0.15), (-0.55, -0.15)])
DROP = np.array([(-0.75, -0.3, 0.8), (0.0, -1.1, 0.6), (0.75, -0.3, 0.8), (0.0, 1.2, 0.1)])


def sign(name: str, u: Array, v: Array, size: float) -> Array:
    """Negative inside a sign of about `size` around the origin."""
    radius = np.hypot(u, v)
    if name == "disc":
        return radius - size
    if name == "ring":
        return np.abs(radius - 0.78 * size) - 0.24 * size
    if name == "star":
        fifth = 2 * np.pi / 5
        off = (np.arctan2(v, u) - np.pi / 2 + fifth / 2) % fifth - fifth / 2
        return radius * (np.cos(off) + 1.52 * np.abs(np.sin(off))) - 0.95 * size
    if name == "chevron":
        return np.abs(np.abs(u) * 0.9 + v) - 0.32 * size + np.maximum(0, np.abs(u) - size) * 9
    if name == "square":
        return np.abs(rounded_box(u, v, (0, 0), (0.8 * size, 0.8 * size), 0.1 * size)) - 0.2 * size
    if name == "bolt":
        return distance(BOLT * size, u, v)
    if name == "cross":
        upright = np.maximum(np.abs(u) - 0.3 * size, np.abs(v) - size)
        return np.minimum(upright, np.maximum(np.abs(v) - 0.3 * size, np.abs(u) - size))
    return distance(fillet(DROP * size), u, v)

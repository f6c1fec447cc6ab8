"""Flowers near the birds: cherry blossom and thistle heads, drawn from the same vanes as feathers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.samples.curve import Frame, Image, lay, layer, mask, merge, rgb, smooth
from tools.samples.plumage import Vane, feather
from tools.samples.relief import Light, inflate, normals, shade


def blossom(canvas: Image, centre: Sequence[float], radius: float, rng: np.random.Generator) -> None:
    """A five-petalled blossom, `radius` pixels, in place."""
    low = np.maximum(np.asarray(centre, int) - int(radius * 1.6), 0)
    canvas = canvas[low[1] : int(centre[1] + radius * 1.6), low[0] : int(centre[0] + radius * 1.6)]
    centre = np.asarray(centre, float) - low
    ground, canvas = canvas, layer(canvas)
    petal = Vane(rgb("#e48aa8"), rgb("#fbdde6"), rgb("#fff4f7"), 0.3, 0.3, 0.12, 0.02, 0.9, 0.30)
    start, squash = rng.uniform(0, 2 * np.pi), rng.uniform(0.66, 0.95)
    for i in range(5):
        angle = start + i * 2 * np.pi / 5 + rng.normal(0, 0.06)
        ahead = np.array([np.cos(angle), np.sin(angle) * squash])
        facing = 0.94 + 0.10 * float(-ahead[1]) + rng.normal(0, 0.015)
        tip = np.asarray(centre) + ahead * radius
        feather(canvas, centre, tip, radius * 0.98, petal, rng.normal(0, 0.04), facing)
    for _ in range(16):
        angle, reach = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.18, 0.46)
        tip = np.asarray(centre) + np.array([np.cos(angle), np.sin(angle) * squash]) * reach
        thread = Vane(rgb("#f6d6dc"), rgb("#ffffff"), rgb("#ffffff"), 0.1, 0.0, 0.0, 0.0, 0.9, 0.1)
        feather(canvas, centre, tip, radius * 0.035, thread)
        knob = smooth(tip + np.array(((-1, 0), (0, -1), (1, 0), (0, 1))) * radius * 0.045)
        _dab(canvas, knob, rgb("#e9b43c") * rng.uniform(0.8, 1.15))
    heart = smooth(np.asarray(centre) + np.array(((-1, 0), (0, -1), (1, 0), (0, 1))) * radius * 0.10)
    _dab(canvas, heart, rgb("#b8506e"))
    merge(ground, canvas)


def _dab(canvas: Image, outline: np.ndarray, colour: np.ndarray) -> None:
    """A small filled outline (pixels), painted in its own window."""
    low = np.maximum(np.floor(outline.min(0)).astype(int) - 3, 0)
    high = np.ceil(outline.max(0)).astype(int) + 4
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if region.size:
        lay(region, np.clip(colour, 0, 1), mask(region.shape, outline - low, 0.6))


def thistle(
    canvas: Image, centre: Sequence[float], radius: float, degrees: float, rng: np.random.Generator, light: Light
) -> None:
    """A thistle head in place: a scaly bulb of `radius` pixels around the centre, florets above it."""
    frame = Frame(radius / 10, (float(centre[0]), float(centre[1])), (0, 0), degrees)
    for spread, reach, count, tint in (
        (1.0, 20, 150, "#8a3fa0"),
        (0.85, 22, 150, "#a955bf"),
        (0.7, 21, 110, "#c77ad8"),
    ):
        floret = Vane(rgb(tint) * 0.62, rgb(tint) * 1.1, rgb("#e6b4f0"), 0.3, 0.7, 0.1, 0.0, 0.2, 0.15)
        for t in rng.permutation(np.linspace(-1, 1, count)):
            angle = np.radians(-90 + 62 * t * spread + rng.normal(0, 3))
            length = reach * (1 - 0.22 * abs(t)) * rng.uniform(0.85, 1.1)
            root = np.array((5.2 * t * spread, -5.5))
            tip = root + np.array((np.cos(angle), np.sin(angle))) * length * 0.72
            a, b = frame((root, tip))
            feather(canvas, a, b, frame.scale * 0.75, floret, rng.normal(0, 0.05), rng.uniform(0.8, 1.15))
    bulb = smooth(frame(((-6.5, -6), (-9.6, 0), (-8, 6.5), (0, 10), (8, 6.5), (9.6, 0), (6.5, -6), (0, -7))))
    cover = mask(canvas.shape, bulb)
    tone = shade(normals(inflate(cover, 1.0)), light)
    lay(canvas, np.clip(rgb("#55753f") * tone, 0, 1), cover)
    for level in np.linspace(8.8, -5.5, 9):
        half = 9.4 * np.sqrt(max(1 - (level / 9.6) ** 2, 0.02))
        for x in np.linspace(-half, half, 9) + rng.normal(0, 0.2, 9):
            middle = np.clip(frame(((x, level),))[0], 0, np.array(canvas.shape[1::-1]) - 1).astype(int)
            bract = Vane(rgb("#4f6d3c"), rgb("#86a862"), rgb("#a9c48a"), 0.2, 0.0, 0.4, 0.02, 0.25, 0.4)
            lit = max(0.62, float(tone[middle[1], middle[0]].mean()))
            a, b = frame(((x, level + 1.2), (x * 1.16, level - 3.4)))
            feather(canvas, a, b, frame.scale * 2.5, bract, 0.0, lit)

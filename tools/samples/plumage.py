"""Plumage: soft body feathers as strokes along a flow, and single flight feathers with shaft, barbs and fringe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.samples.curve import Frame, Image, Points, along, blur, lay, mask, noise, smooth

Guides = Sequence[
    tuple[float, float, float]
]  # x, y, degrees in the drawing (0 right, 90 down): which way feathers point


def flow(shape: tuple[int, ...], frame: Frame, guides: Guides) -> NDArray[np.float32]:
    """(rows, cols, 2) unit vectors: the guides' directions, blended by inverse distance."""
    shrink = 16
    rows, cols = shape[0] // shrink + 1, shape[1] // shrink + 1
    y, x = np.mgrid[:rows, :cols] * shrink
    total = np.zeros((rows, cols, 2))
    for gx, gy, degrees in guides:
        px, py = frame([(gx, gy)])[0]
        weight = 1 / (((x - px) ** 2 + (y - py) ** 2) / frame.scale**2 + 4) ** 1.6
        total += weight[..., None] * frame.direction(degrees)
    field = cv2.resize(total.astype(np.float32), (cols * shrink, rows * shrink), interpolation=cv2.INTER_LINEAR)
    field = field[: shape[0], : shape[1]]
    return field / (np.linalg.norm(field, axis=-1, keepdims=True) + 1e-12)


def patch(
    albedo: Image, frame: Frame, outline: Points, colour: Sequence[float] | Image, soft: float, rng: np.random.Generator
) -> None:
    """Colours a region of the coat, in place; its border wanders and fades over `soft` units."""
    cover = mask(albedo.shape, smooth(frame(outline)), 0)
    reach = soft * frame.scale
    y, x = np.mgrid[: cover.shape[0], : cover.shape[1]].astype(np.float32)
    wander = [noise(cover.shape, 3.0 * reach + 6, rng, 2) * reach * 0.45 for _ in range(2)]
    cover = cv2.remap(cover, x + wander[0], y + wander[1], cv2.INTER_LINEAR)
    lay(albedo, colour, blur(cover, max(0.8, reach * 0.5)))


def coat(
    canvas: Image,
    colours: Image,
    cover: Image,
    field: NDArray[np.float32],
    length: float,
    rng: np.random.Generator,
    spread: float = 0.35,
    jitter: float = 0.09,
    width: float = 0.12,
    density: float = 1.0,
) -> None:
    """Covers a region with feather strokes `length` pixels long, tail first, each in the colour under its root."""
    step = length * 0.115 / np.sqrt(density)
    y, x = np.mgrid[step / 2 : cover.shape[0] : step, step / 2 : cover.shape[1] : step]
    roots = np.stack([x.ravel(), y.ravel()], -1) + rng.uniform(-step, step, (x.size, 2))
    roots = np.clip(roots, 0, [cover.shape[1] - 1, cover.shape[0] - 1])
    column, row = roots.astype(int).T
    keep = cover[row, column] > rng.uniform(0.35, 0.65, len(row))
    roots, column, row = roots[keep], column[keep], row[keep]
    way = field[row, column]
    axis = way.mean(0)
    order = np.argsort(-(roots @ axis) + rng.normal(0, length * 0.5, len(roots)), kind="stable")
    clump = noise(cover.shape, length * 0.9, rng, 2)[row, column]
    turn = rng.normal(0, spread, len(roots)) * 0.5 + clump * spread * 0.5
    depth = cv2.distanceTransform((cover > 0.5).astype(np.uint8), cv2.DIST_L2, 5)[row, column]
    size = length * rng.uniform(0.55, 1.25, len(roots)) * np.clip(0.45 + depth / length * 0.5, 0, 1)
    tone = 1 + rng.normal(0, jitter, len(roots)) + clump * jitter * 0.7
    ink = np.clip(colours[row, column] * tone[:, None], 0, 1) * 255
    flat, touched = np.clip(canvas[..., :3] * 255, 0, 255).astype(np.uint8), np.zeros(cover.shape, np.uint8)
    for i in order:
        stroke = _tuft(roots[i], way[i], turn[i], size[i], size[i] * width)
        cv2.fillConvexPoly(flat, stroke, ink[i].tolist(), cv2.LINE_AA, 4)
        cv2.fillConvexPoly(touched, stroke, 255, cv2.LINE_AA, 4)
    touched_part = touched.astype(np.float32) / 255
    lay(canvas, blur(flat.astype(np.float32) / 255, 0.6), blur(touched_part, 0.6))


def _tuft(root: NDArray, way: NDArray, turn: float, size: float, width: float) -> NDArray[np.int32]:
    """A pointed stroke, in sixteenths of a pixel."""
    c, s = np.cos(turn), np.sin(turn)
    ahead = np.array([way[0] * c - way[1] * s, way[0] * s + way[1] * c])
    side = np.array([-ahead[1], ahead[0]]) * width / 2
    belly = root + ahead * size * 0.4
    points = [root - side * 0.4, belly - side, root + ahead * size, belly + side, root + side * 0.4]
    return np.round(np.array(points) * 16).astype(np.int32)


@dataclass(frozen=True)
class Vane:
    """The look of one feather (or leaf): colours from root to tip, and a fringe along its edge."""

    base: NDArray[np.float32]
    tip: NDArray[np.float32]
    fringe: NDArray[np.float32]
    fringe_width: float = 0.16  # of the half width
    fringe_from: float = 0.0  # of the length: 0 the whole edge, 0.7 the tip alone
    shaft: float = 0.5  # darkness of the shaft
    barbs: float = 0.05
    rounded: float = 0.8  # 0 narrow, 1 broad tip; below 0 a pointed leaf
    shadow: float = 0.45


def feather(
    canvas: Image, root: Points, tip: Points, width: float, vane: Vane, bend: float = 0.0, shading: float = 1.0
) -> None:
    """Draws one feather from root to tip (pixels), `width` pixels wide, bent sideways by `bend` of its length."""
    a, b = np.asarray(root, float), np.asarray(tip, float)
    length = float(np.hypot(*(b - a)))
    pad = width * 1.2 + abs(bend) * length + 4
    low = np.maximum(np.floor(np.minimum(a, b) - pad), 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(a, b) + pad), canvas.shape[1::-1]).astype(int)
    if (high - low < 2).any() or length < 2:
        return
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    ahead = (b - a) / length
    s = ((x - a[0]) * ahead[0] + (y - a[1]) * ahead[1]) / length
    across = -(x - a[0]) * ahead[1] + (y - a[1]) * ahead[0] - bend * length * 4 * s * (1 - s)
    half = width / 2 * _profile(s, vane.rounded)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if vane.shadow > 0:
        gap = np.abs(across - width * 0.10) - half
        lay(
            region,
            region * _dim(region),
            np.clip(0.75 - gap / (width * 0.22), 0, 1) * vane.shadow * _between(s, 0.02, 1.05),
        )
    lay(
        region,
        _vane(s, across, half, width, length, vane) * shading,
        np.clip(half - np.abs(across) + 0.5, 0, 1) * (half > 0),
    )


def _dim(region: Image) -> NDArray[np.float32]:
    """The factor of a shadow, which darkens and covers nothing."""
    return np.array((0.25, 0.25, 0.25, 1.0)[: region.shape[-1]], np.float32)


def _profile(s: NDArray, rounded: float) -> NDArray:
    """Half width along a feather, 1 at its widest."""
    inside = np.clip(s, 0, 1)
    if rounded < 0:
        return np.sin(np.pi * inside**0.75) ** 0.85 * (s > 0) * (s < 1)
    rise = np.clip(inside / 0.25, 0, 1) ** 0.5 * 0.35 + 0.65
    fall = np.sqrt(np.clip(1 - inside ** (2.0 + 7 * rounded), 0, 1))
    return rise * fall * (s > -0.01) * (s < 1)


def _between(s: NDArray, low: float, high: float) -> NDArray:
    return np.clip((s - low) * 20, 0, 1) * np.clip((high - s) * 20, 0, 1)


def _vane(s: NDArray, across: NDArray, half: NDArray, width: float, length: float, vane: Vane) -> NDArray:
    t = np.clip(s, 0, 1)[..., None]
    colour = vane.base * (1 - t) + vane.tip * t
    d = across / np.maximum(half, 1e-3)
    barbs = np.sin((s * length + np.abs(across) * 1.6) * 1.15 + 2.2 * np.sin(s * 23)) * vane.barbs
    lit = 1 - 0.16 * d - 0.14 * (1 - np.clip(s * 2.2, 0, 1)) + barbs
    colour = colour * lit[..., None]
    edge = np.clip((np.abs(d) - 1 + vane.fringe_width) / vane.fringe_width * 2.2, 0, 1)
    edge = np.maximum(edge, np.clip((s - 1 + vane.fringe_width * 0.5 * width / length) * 30, 0, 1))
    edge = edge * np.clip((s - vane.fringe_from) * 14 + 0.5, 0, 1)
    colour = colour + (vane.fringe * (0.92 + barbs[..., None]) - colour) * edge[..., None]
    spine = np.clip(1 - np.abs(across) / max(width * 0.035, 0.9), 0, 1) * vane.shaft * (s < 0.97)
    return (colour * (1 - 0.6 * spine[..., None])).astype(np.float32)


def row(
    canvas: Image,
    frame: Frame,
    roots: Points,
    tips: Points,
    count: int,
    width: float,
    vane: Vane,
    rng: np.random.Generator,
    bend: float = 0.03,
    tone: Image | None = None,
) -> None:
    """A row of feathers, first to last, between two curves in drawing units; `tone` is the light under each middle."""
    t = np.linspace(0, 1, count)
    starts, ends = frame(along(roots, t)), frame(along(tips, t))
    side = -1 if frame.mirror else 1
    for a, b in zip(starts, ends, strict=True):
        middle = np.clip((a + b) / 2, 0, np.array(canvas.shape[1::-1]) - 1).astype(int)
        light = 1.0 if tone is None else float(tone[middle[1], middle[0]].mean())
        wobble = rng.normal(0, 0.05)
        feather(canvas, a, b, width * frame.scale, vane, side * bend + wobble * 0.1, light * (1 + wobble))

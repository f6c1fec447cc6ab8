"""Scenery: what is out of focus behind a bird, and the branch that it sits on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.samples.curve import Image, Points, blur, lay, noise, rgb, smooth
from tools.samples.plumage import Vane, feather
from tools.samples.relief import Light, shade


def backdrop(shape: tuple[int, int], stops: Sequence[str], rng: np.random.Generator, mix: float = 0.12) -> Image:
    """(rows, cols, 3) colours from top to bottom, stirred by wide noise."""
    rows, cols = shape
    colours = np.stack([rgb(code) for code in stops])
    height = np.linspace(0, 1, rows)[:, None] + mix * noise(shape, cols * 0.45, rng, 3)
    at = np.clip(height, 0, 1) * (len(stops) - 1)
    canvas = np.stack([np.interp(at, np.arange(len(stops)), colours[:, c]) for c in range(3)], -1).astype(np.float32)
    canvas *= 1 + 0.06 * noise(shape, cols * 0.25, rng, 2)[..., None]
    return np.clip(canvas, 0, 1)


def bokeh(
    canvas: Image,
    count: int,
    radius: tuple[float, float],
    palette: Sequence[str],
    rng: np.random.Generator,
    opacity: float = 0.4,
    where: Callable[[NDArray, NDArray], NDArray] | None = None,
    soft: float = 0.05,
) -> None:
    """Discs of defocused light, brighter at their edge, in place; `where` gives a chance for x, y in [0, 1]."""
    rows, cols = canvas.shape[:2]
    colours = [rgb(code) for code in palette]
    while count > 0:
        x, y = rng.random(2)
        size, pick, strength = rng.uniform(*radius) * cols, rng.integers(len(colours)), rng.uniform(0.35, 1)
        if where is not None and rng.random() > float(where(np.array(x), np.array(y))):
            continue
        count -= 1
        reach = int(size * 1.3) + 2
        cx, cy = int(x * cols), int(y * rows)
        top, left = max(cy - reach, 0), max(cx - reach, 0)
        region = canvas[top : cy + reach, left : cx + reach]
        v, u = np.mgrid[top : top + region.shape[0], left : left + region.shape[1]].astype(np.float32)
        distance = np.hypot(u - cx, v - cy) / size
        disc = np.clip((1 - distance) / soft, 0, 1) * (0.72 + 0.28 * np.clip(distance, 0, 1) ** 6)
        lay(region, colours[pick], disc * opacity * strength)


def leaves_afar(
    canvas: Image,
    count: int,
    size: float,
    palette: Sequence[str],
    rng: np.random.Generator,
    defocus: float,
    opacity: float = 0.6,
    where: Callable[[NDArray, NDArray], NDArray] | None = None,
) -> None:
    """Leaf shapes far out of focus (`size` and `defocus` as parts of the width), in place."""
    rows, cols = canvas.shape[:2]
    colours = [rgb(code) for code in palette]
    layer, alpha = canvas.copy(), np.zeros((rows, cols), np.float32)
    while count > 0:
        x, y = rng.random(2)
        angle, length, pick = rng.uniform(0, 360), size * cols * rng.uniform(0.6, 1.4), rng.integers(len(colours))
        if where is not None and rng.random() > float(where(np.array(x), np.array(y))):
            continue
        count -= 1
        axes = (int(length), max(1, int(length * rng.uniform(0.3, 0.6))))
        colour = (colours[pick] * rng.uniform(0.8, 1.2)).tolist()
        cv2.ellipse(layer, (int(x * cols), int(y * rows)), axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, (int(x * cols), int(y * rows)), axes, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    lay(canvas, blur(layer, defocus * cols), blur(alpha, defocus * cols) * opacity)


def ribbon(shape: tuple[int, ...], centre: Points, radii: Sequence[float]) -> tuple[Image, Image, Image, NDArray]:
    """Coordinates in a tube: pixels along it, side in [-1, 1], radius there, and the tangent (rows, cols, 2)."""
    curve = smooth(centre, closed=False, steps=60)
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.arange(0, length[-1], 1.0)
    fine = np.stack([np.interp(at, length, curve[:, i]) for i in (0, 1)], -1)
    radius = np.interp(at, np.linspace(0, length[-1], len(radii)), radii)
    tangent = np.gradient(fine, axis=0)
    tangent = tangent / (np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9)
    pixel = np.round(fine).astype(int)
    inside = (pixel >= 0).all(1) & (pixel[:, 0] < shape[1]) & (pixel[:, 1] < shape[0])
    seeds = np.full(shape[:2], 255, np.uint8)
    seeds[pixel[inside, 1], pixel[inside, 0]] = 0
    _, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(labels.max() + 1, int)
    owner[labels[pixel[inside, 1], pixel[inside, 0]]] = np.flatnonzero(inside)
    nearest = owner[labels]
    y, x = np.mgrid[: shape[0], : shape[1]]
    ahead = tangent[nearest]
    side = -(x - fine[nearest, 0]) * ahead[..., 1] + (y - fine[nearest, 1]) * ahead[..., 0]
    past = (x - fine[nearest, 0]) * ahead[..., 0] + (y - fine[nearest, 1]) * ahead[..., 1]
    side = np.where(np.abs(past) > 3, np.sign(side + 0.1) * np.hypot(side, past), side)
    r = radius[nearest]
    return (at[nearest] + past).astype(np.float32), (side / r).astype(np.float32), r.astype(np.float32), ahead


def branch(
    canvas: Image,
    centre: Points,
    radii: Sequence[float],
    palette: Sequence[str],
    rng: np.random.Generator,
    light: Light,
    rough: float = 0.09,
    grain: float = 3.5,
    defocus: float = 0.7,
    moss: str | None = None,
) -> Image:
    """Paints a branch (pixels) in place and returns its (rows, cols) coverage; palette: dark, middle and pale bark."""
    run, side, radius, ahead = ribbon(canvas.shape, centre, radii)
    typical = float(np.mean(radii))
    texture = noise((400, 4096), (min(typical * 0.9, 54), min(typical, 90) * grain), rng, 5)
    knots = noise((400, 4096), (typical * 2, typical * 3), rng, 3)
    look = (np.mod(run, 4095).astype(np.float32), ((side * radius / typical * 0.33 + 0.5) * 399).astype(np.float32))
    bark = cv2.remap(texture, *look, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    lump = cv2.remap(knots, *look, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    reach = np.abs(side) / (1 + rough * lump * 0.7 + rough * 0.5 * bark)
    cover = np.clip((1 - reach) * radius + 0.5, 0, 1)
    bend = np.clip(side, -1, 1)
    dy, dx = np.gradient(blur(bark, 1.2))
    across = np.stack([-ahead[..., 1], ahead[..., 0]], -1) * bend[..., None]
    normal = np.concatenate([across, np.sqrt(np.clip(1 - bend**2, 0.02, 1))[..., None]], -1)
    normal[..., 0] -= dx * typical * 0.20
    normal[..., 1] -= dy * typical * 0.20
    normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    stops = np.stack([rgb(code) for code in palette])
    at = np.clip(0.5 + 0.27 * bark + 0.15 * lump, 0, 1) * (len(stops) - 1)
    colour = np.stack([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)], -1).astype(np.float32)
    if moss is not None:
        amount = np.clip((-normal[..., 1] + 0.35 * lump + 0.15 * bark - 0.1) * 2.2, 0, 0.9)
        speckle = 1 + 0.22 * noise(cover.shape, 9, rng, 2)[..., None]
        lay(colour, rgb(moss) * speckle, amount.astype(np.float32))
    colour = colour * shade(normal.astype(np.float32), light)
    crack = np.clip(-bark - 0.9, 0, 1)
    colour = colour * (1 - 0.5 * crack[..., None])
    lay(canvas, blur(colour.astype(np.float32), defocus), blur(cover.astype(np.float32), defocus))
    return cover


def leaf(
    canvas: Image,
    root: Sequence[float],
    tip: Sequence[float],
    width: float,
    colour: str,
    rng: np.random.Generator,
    light: float = 1.0,
    defocus: float = 0.0,
) -> None:
    """One leaf with a pale midrib (pixels); defocused when asked."""
    tint = rgb(colour) * rng.uniform(0.85, 1.15)
    vane = Vane(tint * 0.8, tint * 1.1, tint * 1.25, 0.07, 0.0, -0.55, 0.03, -1.0, 0.0)
    bend = rng.uniform(-0.10, 0.10)
    if defocus == 0:
        feather(canvas, root, tip, width, vane, bend, light)
        return
    ends = np.array([root, tip], float)
    pad = width + 3 * defocus + 0.15 * float(np.hypot(*(ends[1] - ends[0])))
    low = np.clip(ends.min(0) - pad, 0, canvas.shape[1::-1]).astype(int)
    high = np.clip(ends.max(0) + pad, 0, canvas.shape[1::-1]).astype(int)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if min(region.shape[:2]) < 4:
        return
    target = np.zeros((*region.shape[:2], 4), np.float32)
    feather(target, ends[0] - low, ends[1] - low, width, vane, bend, light)
    soft = blur(target, defocus)
    lay(region, np.clip(soft[..., :3] / np.maximum(soft[..., 3:], 1e-3), 0, 1), np.clip(soft[..., 3], 0, 1))


def snow_cap(canvas: Image, centre: Points, radii: Sequence[float], rng: np.random.Generator, depth: float) -> Image:
    """Lays snow on the upper side of a branch, in place, and returns its coverage; `depth` in radii."""
    run, side, radius, ahead = ribbon(canvas.shape, centre, radii)
    up = side * np.sign(ahead[..., 0] + 1e-6)
    pile = noise((8, 4096), (8, float(np.mean(radii)) * 3.5), rng, 3)[4]
    heap = depth * np.clip(0.85 + 0.4 * pile, 0, 2)[np.clip(run, 0, 4095).astype(int)]
    foot = -0.25 - 0.12 * noise((8, 4096), (8, 60), rng, 3)[4][np.clip(run, 0, 4095).astype(int)]
    inside = np.minimum(up + 1 + heap - 0.05, foot - up) * radius * np.clip(heap * 3 - 0.4, 0, 1)
    cover = np.clip(blur(inside.astype(np.float32), 2), 0, 1)
    height = np.clip((-up - 0.2) / (0.9 + heap), 0, 1)
    colour = rgb("#8fa3c4") * (1 - height[..., None]) + rgb("#fbfcff") * height[..., None]
    colour = colour * (1 + 0.025 * noise(cover.shape, 5, rng, 2)[..., None])
    lay(canvas, np.clip(colour, 0, 1), cover)
    return cover


def post(canvas: Image, top: Sequence[float], radius: float, rng: np.random.Generator, light: Light) -> Image:
    """A weathered post (pixels, centre of its top) down to the lower border, in place; returns its coverage."""
    x, y = top
    below = canvas.shape[0] + 200
    wood = canvas.copy()
    bark = ("#4a423b", "#766b60", "#9d9184", "#b8ada0")
    path = ((x - 12, y - 400), (x, (y + below) / 2), (x - 8, below))
    body = branch(wood, path, (radius, radius * 1.03, radius * 1.05), bark, rng, light, 0.02, 7.0)
    v, u = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    ragged = 2.5 * noise((1, canvas.shape[1]), (1, 60), rng, 3)
    lid = np.hypot((u - x) / (radius * 1.01), (v - y - ragged) / (radius * 0.24))
    side = np.clip(v - y + 0.5, 0, 1) * body
    lay(canvas, wood, side)
    rings = 0.5 + 0.5 * np.sin(lid * 42 + 2.5 * noise(lid.shape, 90, rng, 3))
    grain = 0.80 + 0.14 * rings + 0.07 * noise(lid.shape, 8, rng, 2)
    colour = rgb("#a99c8a") * (grain * (1.05 - 0.25 * np.clip((u - x) / radius, -1, 1)))[..., None]
    cover = np.clip((1 - lid) * radius * 0.24 + 0.5, 0, 1).astype(np.float32)
    lay(canvas, np.clip(colour, 0, 1).astype(np.float32), cover)
    return np.maximum(side, cover)

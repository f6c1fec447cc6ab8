"""Water: ripples seen in perspective, sparkle, and what is mirrored in it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tools.samples.curve import Image, blur, noise, rgb


def surface(
    shape: tuple[int, ...], horizon: float, wave: tuple[float, float], rng: np.random.Generator, octaves: int = 5
) -> Image:
    """(rows, cols) slope of the waves, deviation about 1, calmer far off; 0 above the horizon (pixels, may be < 0).

    `wave` is the size of the largest waves at the lower border, in pixels (down, across).
    """
    rows, cols = shape[:2]
    texture = noise((1024, 2048), (96, 160), rng, octaves)
    slope = np.gradient(texture, axis=0)
    slope = (slope / slope.std()).astype(np.float32)
    y, x = np.mgrid[:rows, :cols].astype(np.float32)
    near = np.clip((y - horizon) / (rows - horizon), 0.004, None)
    down = (rows - horizon) / wave[0] * 96 * (1 - 1 / near)
    across = (x - cols / 2) / near / wave[1] * 160
    look = (np.abs(np.mod(across + 900, 4094) - 2047), np.abs(np.mod(down, 2046) - 1023))  # folded: no seam
    sampled = cv2.remap(slope, *look, cv2.INTER_LINEAR)
    return (sampled * np.clip(near * 6, 0, 1) * (y > horizon)).astype(np.float32)


def paint(canvas: Image, slope: Image, horizon: float, deep: str, sky: str, glint: str, shine: float) -> None:
    """Colours the water below the horizon, in place: slopes away from the viewer mirror the sky, others are deep."""
    rows = canvas.shape[0]
    y = np.arange(rows, dtype=np.float32)[:, None]
    far = np.clip(1 - (y - horizon) / (rows - horizon), 0, 1)
    mirror = np.clip(0.32 + 0.45 * far**1.5 + 0.20 * slope, 0, 1)[..., None]
    colour = rgb(deep) * (1 - mirror) + canvas * mirror * 0.55 + rgb(sky) * mirror * 0.45
    sparkle = np.clip(slope - 1.7, 0, 1.2)[..., None] * shine
    colour = colour + (rgb(glint) - colour) * np.clip(sparkle, 0, 1)
    below = (y > horizon)[..., None]
    canvas[:] = np.where(below, colour, canvas)


def reflect(canvas: Image, painted: Image, line: float, slope: Image, strength: float, tint: str) -> None:
    """Mirrors a painted layer (rows, cols, 4) in the water below `line` (pixels), shaken by the slopes, in place."""
    rows, cols = canvas.shape[:2]
    y, x = np.mgrid[:rows, :cols].astype(np.float32)
    depth = np.clip(y - line, 0, None)
    shake = slope * (2.0 + depth * 0.045)
    look = (x + shake * 1.4, 2 * line - y - shake * 2.2 + 2)
    alpha = np.clip(painted[..., 3:] * 1.5 - 0.5, 0, 1)
    solid = np.concatenate([painted[..., :3] * alpha, alpha], -1)
    mirrored = blur(cv2.remap(solid, *look, cv2.INTER_LINEAR), 3.0)
    cover = np.clip(mirrored[..., 3], 0, 1) * strength * (y > line) * np.clip(1 - depth / (rows * 0.42), 0.1, 1)
    colour = mirrored[..., :3] / np.maximum(mirrored[..., 3:], 1e-3) * 0.75 + rgb(tint) * 0.25
    canvas += (np.clip(colour, 0, 1) - canvas) * cover[..., None]


def rings(
    canvas: Image, centre: Sequence[float], radii: Sequence[float], flat: float, pale: str, rng: np.random.Generator
) -> None:
    """Ripples that spread from a swimming bird: `flat` is their height over their width, in place."""
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    wobble = noise(canvas.shape, (30, 160), rng, 3) * 6
    away = np.hypot(x - centre[0], (y - centre[1]) / flat) + wobble
    for radius in radii:
        width = radius * 0.035 + 4
        light = np.exp(-(((away - radius) / width) ** 2)) * (0.38 - 0.24 * radius / max(radii))
        dark = np.exp(-(((away - radius - 1.8 * width) / width) ** 2)) * (0.30 - 0.20 * radius / max(radii))
        canvas += (rgb(pale) - canvas) * light[..., None]
        canvas *= 1 - 0.6 * dark[..., None]

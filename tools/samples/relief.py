"""Relief: flat outlines become rounded bodies with light on them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.samples.curve import Image, blur


@dataclass(frozen=True)
class Light:
    """One soft sun, the sky above and what the ground throws back; colours are RGB factors."""

    direction: tuple[float, float, float] = (-0.45, -0.7, 0.6)  # towards the light: right, down, to the viewer
    sun: tuple[float, float, float] = (0.88, 0.84, 0.76)
    sky: tuple[float, float, float] = (0.40, 0.44, 0.50)
    ground: tuple[float, float, float] = (0.26, 0.26, 0.20)
    rim: float = 0.35

    @property
    def unit(self) -> NDArray[np.float64]:
        v = np.asarray(self.direction)
        return v / np.linalg.norm(v)


def inflate(cover: Image, depth: float = 1.0) -> Image:
    """(rows, cols) height in pixels of a pillow over the mask: the root of the Poisson solution, times depth."""
    left, top, width, wide = cv2.boundingRect((cover > 0.02).astype(np.uint8))
    margin = max(4, max(width, wide) // 12)
    window = (slice(max(top - margin, 0), top + wide + margin), slice(max(left - margin, 0), left + width + margin))
    height = np.zeros_like(cover)
    height[window] = _pillow(cover[window], depth)
    return height


def _pillow(cover: Image, depth: float) -> Image:
    rows, cols = cover.shape
    shrink = max(1, max(rows, cols) // 260)
    small = cv2.resize(cover, (cols // shrink, rows // shrink), interpolation=cv2.INTER_AREA)
    inside = np.pad(np.where(small > 0.5, small, 0).astype(np.float32), 1)
    u = np.zeros_like(inside)
    for _ in range(900):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]) + 1.0
        u *= inside > 0
    height = np.sqrt(u[1:-1, 1:-1] * 1.9) * shrink * depth
    return blur(cv2.resize(height, (cols, rows), interpolation=cv2.INTER_CUBIC), 2.5 * shrink)


def normals(height: Image) -> NDArray[np.float32]:
    """(rows, cols, 3) unit normals of a height field in pixels."""
    dy, dx = np.gradient(height)
    n = np.stack([-dx, -dy, np.ones_like(height)], axis=-1)
    return (n / np.linalg.norm(n, axis=-1, keepdims=True)).astype(np.float32)


def shade(normal: NDArray[np.float32], light: Light) -> Image:
    """(rows, cols, 3) factors for the surface colour: wrapped sun, sky from above, ground from below."""
    facing = normal @ light.unit.astype(np.float32)
    sun = np.clip((facing + 0.35) / 1.35, 0, 1)[..., None] ** 1.4
    up = (0.5 - 0.5 * normal[..., 1])[..., None]
    open_sky = 0.55 + 0.45 * normal[..., 2:]
    ambient = up * np.asarray(light.sky) + (1 - up) * np.asarray(light.ground)
    return (sun * np.asarray(light.sun) + ambient * open_sky).astype(np.float32)


def rim(normal: NDArray[np.float32], light: Light) -> Image:
    """(rows, cols) how much of the light grazes the outline."""
    flat = normal[..., :2] @ light.unit[:2].astype(np.float32)
    return (light.rim * np.clip(flat, 0, 1) * np.clip(1 - normal[..., 2], 0, 1) ** 1.5).astype(np.float32)

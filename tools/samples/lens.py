"""The lens: vignette, tone and grain, and the file that is written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from tools.samples.curve import Image, blur

FINE = 2  # pixels drawn per pixel kept, each way
QUALITY = 88  # of the WebP files


def develop(canvas: Image, size: tuple[int, int], rng: np.random.Generator, grain: float = 0.012) -> Pillow.Image:
    """Reduces a canvas to size (height, width): a faint glow, vignette, contrast, grain."""
    rows, cols = size
    picture = cv2.resize(np.clip(canvas, 0, 1), (cols, rows), interpolation=cv2.INTER_AREA)
    bright = np.clip(picture - 0.72, 0, 1)
    picture = picture + 0.35 * blur(bright, cols * 0.012)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : cols * 1j]
    picture = picture * (1 - 0.22 * np.clip((x**2 + y**2) / 2, 0, 1) ** 1.5)[..., None]
    picture = np.clip(picture, 0, 1)
    picture = picture + 0.10 * (picture - 0.5) * (1 - np.abs(2 * picture - 1))
    speck = blur(rng.standard_normal((rows, cols, 3)).astype(np.float32), 0.6)
    speck = 0.75 * speck.mean(-1, keepdims=True) * 1.7 + 0.25 * speck
    picture = picture + grain * speck * (0.5 + 0.5 * (1 - np.abs(2 * picture - 1)))
    return Pillow.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))


def write(picture: Pillow.Image, path: Path) -> None:
    """Writes the WebP file."""
    picture.save(path, "WEBP", quality=QUALITY, method=6)

"""Uploads that no browser shows (TIFF, HEIC) as PNG files that it does, pixel by pixel the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dcal import draw
from dcal.files import write_whole

STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF")  # JPEG, PNG, GIF, BMP, WebP
AVIF = b"ftypavif"  # from the fifth byte on


def preview(path: Path, pixels: np.ndarray) -> Path | None:
    """A PNG file of the image beside it; None where the page shows the upload itself. `pixels`: what was read of it."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(STARTS) or head[4:] == AVIF:
        return None
    made = path.parent / "shown" / f"{path.stem}.png"
    if not whole(made, pixels):
        made.parent.mkdir(exist_ok=True)
        write_whole(draw.png(pixels), made)
    return made


def whole(path: Path, pixels: np.ndarray) -> bool:
    """Whether a PNG file of this size is there and its checksums are right; it is not decoded."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.verify()
            return image.size == pixels.shape[1::-1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # SyntaxError: pillow's, of a broken file
        return False

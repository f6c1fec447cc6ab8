"""Uploads that no browser shows (TIFF, HEIC) as PNG files that it does, pixel by pixel the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
    if not made.is_file():
        made.parent.mkdir(exist_ok=True)
        write_whole(draw.png(pixels), made)
    return made

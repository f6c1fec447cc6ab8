"""Images that pages draw: each is drawn and encoded once, for all visitors; a later run of a page only sends it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np

from dcal import draw
from dcal.model.checkpoint import file_version
from dcal_explorer.dashboard.work import once

MOST = 256  # kept for all visitors; one takes some fifty kilobytes


def drawn(key: Hashable, image: Callable[[], np.ndarray]) -> bytes:
    """The image as a JPEG file, by a key that says all that it is drawn from."""
    return once("drawn", key, lambda: draw.jpeg(image()), MOST)


def version_of(path: Path) -> str:
    """`file_version` for a key, of a file that may have gone: what is made of it then says so."""
    try:
        return file_version(path)
    except OSError:
        return "none"

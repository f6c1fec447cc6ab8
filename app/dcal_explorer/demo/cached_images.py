"""Gradio's cache of drawn images, written whole: who reads one while another page draws it again sees all of it.

gradio 6.31 names a cached image by its content and writes it in place whenever it is drawn. A browser that was reading
it then got fewer bytes than were announced (ERR_CONTENT_LENGTH_MISMATCH). It also compresses PNG by pillow's
usual level, which took four fifths of a light call's processor time: level 1 takes a third of that, for files up to a
fifth larger.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from gradio import processing_utils
from PIL import Image

QUICK = 1  # PNG's level of compression, of 0 … 9


def save_whole(img: Image.Image, cache_dir: str, name: str = "image", format: str = "webp") -> str:
    """`gradio.processing_utils.save_pil_to_cache`, by a temporary file and a rename; readers keep what they opened."""
    data = encoded(img, format)
    folder = (Path(cache_dir) / processing_utils.hash_bytes(data)).resolve()
    folder.mkdir(exist_ok=True, parents=True)
    handle, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, folder / f"{name}.{format}")
    finally:
        Path(temporary).unlink(missing_ok=True)
    return str(folder / f"{name}.{format}")


def encoded(img: Image.Image, format: str) -> bytes:
    """`gradio.processing_utils.encode_pil_to_bytes`, the same pixels; PNG quickly rather than small."""
    if format.lower() != "png":
        return processing_utils.encode_pil_to_bytes(img, format)
    buffer = io.BytesIO()
    img.save(buffer, "PNG", pnginfo=processing_utils.get_pil_metadata(img), compress_level=QUICK)
    return buffer.getvalue()


def write_whole_images() -> None:
    """Have gradio save drawn images by `save_whole`."""
    processing_utils.save_pil_to_cache = save_whole

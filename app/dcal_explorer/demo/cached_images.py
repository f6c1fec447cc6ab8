"""Gradio's cache of drawn images, written whole: who reads one while another page draws it again sees all of it.

gradio 6.31 names a cached image by its content and writes it in place whenever it is drawn. A browser that was reading
it then got fewer bytes than were announced (ERR_CONTENT_LENGTH_MISMATCH).

PNG, even quickly compressed, was half of a light call's processor time: 30 to 50 ms an image. JPEG at `QUALITY`,
without subsampled colours, takes 4 ms and a third of the bytes; at pillow's usual quality, thin outlines blur.
`/download_image` is lossless.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from gradio import processing_utils
from PIL import Image

QUICK = 1  # PNG's level of compression, of 0 … 9
QUALITY = {"quality": 95, "subsampling": 0}  # JPEG's


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
    """`gradio.processing_utils.encode_pil_to_bytes`: PNG the same pixels, quickly; JPEG nearer to the image."""
    buffer = io.BytesIO()
    if format.lower() == "png":
        img.save(buffer, "PNG", pnginfo=processing_utils.get_pil_metadata(img), compress_level=QUICK)
    elif format.lower() == "jpeg":
        img.convert("RGB").save(buffer, "JPEG", **QUALITY)
    else:
        return processing_utils.encode_pil_to_bytes(img, format)
    return buffer.getvalue()


def write_whole_images() -> None:
    """Have gradio save drawn images by `save_whole`."""
    processing_utils.save_pil_to_cache = save_whole

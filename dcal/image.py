"""Reading an image file, array or pillow image into upright 8-bit RGB, or an ImageError with the reason."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dcal.errors import ImageError

Source = str | Path | bytes | Image.Image | np.ndarray

MAX_PIXELS = 80_000_000  # below pillow's own alarm; 240 MB as RGB
MIN_SIDE = 16  # pixels: one patch of the usual models
ACCEPTED = "Use a JPEG, PNG, WebP, TIFF, BMP or GIF image."
# What pillow's decoders raise on damaged files.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


@dataclass(frozen=True)
class DecodedImage:
    """An upright RGB image, and what the user should know about how it was read (sentences; usually none)."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def read_image(source: Source) -> DecodedImage:
    """The image at a path, in bytes, or already opened; or an array (height, width[, 1 | 3 | 4]).

    EXIF orientation is applied; transparency is laid on white; of an animation the first frame is taken; 16-bit values
    are scaled to 8 bits. Arrays hold uint8, uint16, bool, or floats in [0, 1]. Raises ImageError with what was
    found and what to do for anything else: damaged, no image, over `MAX_PIXELS`, or a side under `MIN_SIDE` pixels.
    """
    if isinstance(source, np.ndarray):
        opened = _from_array(source)
    elif isinstance(source, Image.Image):
        opened = source
    else:
        opened = _open(source)
    check_size(*opened.size)
    notes = _notes(opened)
    try:
        opened.load()
        upright = ImageOps.exif_transpose(opened)
    except BROKEN as error:
        raise ImageError(f"The image is damaged or cut off ({error}). Save or download it again.") from error
    return DecodedImage(to_rgb(upright), notes)


def check_size(width: int, height: int) -> None:
    """Raises ImageError if the image is too large to open safely, or too small to be useful."""
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"The image is {width}×{height} pixels ({width * height / 1e6:.0f} million); "
            f"the limit is {MAX_PIXELS / 1e6:.0f} million. Make it smaller first."
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"The image is {width}×{height} pixels, which is too small. Each side needs at least {MIN_SIDE} pixels."
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """Any pillow mode as 8-bit RGB: grey repeated, CMYK converted, transparency laid on white, 16 bits scaled to 8."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(_integers(np.asarray(image)))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _integers(pixels: np.ndarray) -> np.ndarray:
    """Pillow's wide modes (I;16, I, F) as uint8 or uint16, by the range that their values use."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 65535):
        raise ImageError(f"The image's values run from {low:g} to {high:g}; 0 to 255 or 0 to 65535 is expected.")
    wide = pixels.dtype == np.uint16 or high > 255
    return np.rint(pixels).astype(np.uint16 if wide else np.uint8)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(f"An array must be (height, width) or (height, width, 1 | 3 | 4), got {array.shape}.")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = np.rint(array / 257).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ImageError(f"Floats must lie in [0, 1]; these run from {array.min():g} to {array.max():g}.")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"An array must hold uint8, uint16, bool or floats in [0, 1], not {array.dtype}.")
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def _open(source: str | Path | bytes) -> Image.Image:
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise ImageError(f"Cannot read {source!s}: {error.strerror or error}.") from error
    try:
        return Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"The image is too large to open safely ({error}). The limit is {MAX_PIXELS / 1e6:.0f} million pixels."
        ) from error
    except (UnidentifiedImageError, *BROKEN) as error:
        raise ImageError(f"{_what_is(data)} {ACCEPTED}") from error


def _what_is(data: bytes) -> str:
    """One sentence on a file that pillow cannot open."""
    head = data[:1024].lstrip().lower()
    if not data:
        return "The file is empty."
    if head.startswith(b"%pdf"):
        return "This is a PDF document, not an image, whatever its name ends in."
    if b"<svg" in head:
        return "This is an SVG drawing: it has no pixels. Export it as PNG first."
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "This is a HEIC image, which cannot be opened here. Export it as JPEG first."
    return "This is not an image that can be opened: it is damaged or of an unknown kind."


def _notes(image: Image.Image) -> tuple[str, ...]:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # phones' MPO holds previews of the main image
        return (f"This file has {frames} frames; the first one is shown.",)
    return ()

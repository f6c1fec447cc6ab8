"""Reading an image file, array or pillow image into upright 8-bit RGB, or an ImageError with the reason.

Files are not trusted: only the promised formats are opened, sizes, scans and frames are limited before anything is
decoded, and whatever a decoder raises becomes an ImageError.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dcal.errors import ImageError

Source = str | Path | bytes | Image.Image | np.ndarray

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")  # pillow's names; JPEG opens MPO too
ACCEPTED = "Use a JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF image."
# Of files that are taken for images where folders are listed and uploads are chosen; what is in a file decides later.
ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif"})
HEIF = "HEIF"  # the format of HEIC files, which pillow-heif opens where it is installed (the extra `heic`)
HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypmif1", b"ftypmsf1")  # how such files begin
MAX_PIXELS = 80_000_000  # below pillow's own alarm; 240 MB as RGB
MAX_BYTES = 2**30  # of a file: 80 million pixels of four 16-bit channels take 0.64 GB
MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, and each costs a pass over all pixels
MIN_SIDE = 16  # pixels: one patch of the usual models
MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # a JPEG marker, restarts and stuffed bytes left out
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


@dataclass(frozen=True)
class DecodedImage:
    """An upright RGB image, and what the user should know about how it was read (sentences; usually none)."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def read_image(source: Source) -> DecodedImage:
    """The image at a path, in bytes, or already opened; or an array (height, width[, 1 | 3 | 4]).

    EXIF orientation is applied; transparency is laid on white; of several frames the first one is taken; 16-bit values
    are scaled to 8 bits, as are floats in [0, 1]. Arrays hold uint8, uint16, bool, or floats in [0, 1]. Raises
    ImageError, with the file's name where there is one, what was found and what to do, for anything else: damaged, no
    image, not one of `FORMATS`, over `MAX_PIXELS`, `MAX_BYTES` or `MAX_SCANS`, or a side under `MIN_SIDE` pixels.
    """
    if isinstance(source, str | Path):
        try:
            return decoded(read_file(Path(source)))
        except ImageError as error:
            raise ImageError(f"{Path(source).name}: {error}") from error
    if isinstance(source, bytes):
        return decoded(source)
    if isinstance(source, np.ndarray):
        return DecodedImage(_from_array(source))
    if isinstance(source, Image.Image):
        return _upright(source)
    raise ImageError(f"An image is a path, bytes, a pillow image or a numpy array, not {type(source).__name__}.")


def decoded(data: bytes) -> DecodedImage:
    """The image in a file's bytes, as `read_image` gives it."""
    if data.startswith(b"\xff\xd8") and (scans := jpeg_scans(data)) > MAX_SCANS:
        raise ImageError(
            f"This JPEG has more than {scans - 1} scans, each of which costs a pass over the whole image; encoders "
            "write about ten. Save it again."
        )
    with decoding():
        try:
            opened = Image.open(io.BytesIO(data), formats=(*FORMATS, HEIF) if opens_heic(data) else FORMATS)
        except UnidentifiedImageError as error:
            raise ImageError(f"{_what_is(data)} {ACCEPTED}") from error
        check_next_page(opened)
    return _upright(opened)


def check_next_page(opened: Image.Image) -> None:
    """Raises ImageError for a TIFF whose first page names a second one that is not there, or damaged.

    Only its directory is read: pillow takes any number there for a page, so a file that was cut off has several frames.
    """
    if opened.format != "TIFF" or not getattr(opened, "is_animated", False):
        return
    try:
        opened.seek(1)
        opened.seek(0)
    except Exception as error:  # as in `decoding`
        why = _reason(error)
        raise ImageError(f"The file is damaged or cut off after its first image ({why}). Save it again.") from error


def opens_heic(data: bytes) -> bool:
    """Whether the data are a HEIC file's and pillow can be made to open it, which it then is."""
    if data[4:12] not in HEIC or find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener(thumbnails=False)
    return True


@contextmanager
def decoding() -> Iterator[None]:
    """Makes an ImageError of whatever pillow raises on a damaged or hostile file.

    Its decoders raise nearly every built-in exception (IndexError, RuntimeError, struct.error, …), so none is listed.
    """
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"The image is too large to open safely ({error}). The limit is {MAX_PIXELS / 1e6:.0f} million pixels."
        ) from error
    except Exception as error:
        why = _reason(error)
        raise ImageError(f"The image is damaged or cut off ({why}). Save or download it again.") from error


def _reason(error: Exception) -> str:
    """A decoder's error in words; one that is a word or a number alone says nothing without its type."""
    said = str(error)
    return said if " " in said else f"{type(error).__name__} {said}".strip()


def read_file(path: Path) -> bytes:
    """A regular file's bytes. Raises ImageError for what is none (a folder, a pipe, a device), and over `MAX_BYTES`."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(f"Cannot read {path}: it is not a regular file.")
        if found.st_size > MAX_BYTES:
            raise ImageError(f"The file has {found.st_size / 1e9:.1f} GB; the limit is {MAX_BYTES / 1e9:.1f} GB.")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ImageError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def jpeg_scans(data: bytes) -> int:
    """How many scans the first image of a JPEG file has; counted to `MAX_SCANS` + 1 at most, without decoding."""
    at, scans = 2, 0
    while scans <= MAX_SCANS and (marker := MARKER.search(data, at)):
        code, at = marker[1][0], marker.end()
        if code == END_OF_IMAGE:
            break
        scans += code == START_OF_SCAN
        at += int.from_bytes(data[at : at + 2], "big")  # past the segment; the next marker ends the scan's data
    return scans


def _upright(opened: Image.Image) -> DecodedImage:
    check_size(*opened.size)
    with decoding():
        notes = _notes(opened)
        opened.load()
        return DecodedImage(to_rgb(ImageOps.exif_transpose(opened)), notes)


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
    """Pillow's wide modes (I;16, I, F) as uint8 or uint16, or as floats where all are in [0, 1].

    A type of 16 bits means that range; in wider ones the values decide.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 65535):
        raise ImageError(f"The image's values run from {low:g} to {high:g}; 0 to 255 or 0 to 65535 is expected.")
    if is_unit_range(pixels):
        return pixels
    wide = pixels.dtype.itemsize == 2 or high > 255  # 16 bits in either byte order
    return np.rint(pixels).astype(np.uint16 if wide else np.uint8)


def is_unit_range(pixels: np.ndarray) -> bool:
    """Whether floats lie in [0, 1], as computed images do."""
    return pixels.dtype.kind == "f" and bool(pixels.min() >= 0 and pixels.max() <= 1)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(f"An array must be (height, width) or (height, width, 1 | 3 | 4), got {array.shape}.")
    check_size(array.shape[1], array.shape[0])  # before any copy is made
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        array = np.rint(array / 257).astype(np.uint8)
    elif array.dtype.kind == "f":
        if not is_unit_range(array):
            raise ImageError(f"Floats must lie in [0, 1]; these run from {array.min():g} to {array.max():g}.")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"An array must hold uint8, uint16, bool or floats in [0, 1], not {array.dtype}.")
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def _what_is(data: bytes) -> str:
    """One sentence on a file that pillow cannot open."""
    head = data[:1024].lstrip().lower()
    if not data:
        return "The file is empty."
    if head.startswith(b"%pdf"):
        return "This is a PDF document, not an image, whatever its name ends in."
    if b"<svg" in head:
        return "This is an SVG drawing: it has no pixels. Export it as PNG first."
    if data[4:12] in HEIC and find_spec("pillow_heif") is None:
        return 'This is a HEIC image. Export it as JPEG, or install what opens it: pip install "dcal[heic]".'
    if data[4:12] in HEIC:
        return "This HEIC image is damaged, or of a kind that cannot be opened. Export it as JPEG first."
    return "This is not an image that can be opened: it is damaged or of an unknown kind."


def _notes(image: Image.Image) -> tuple[str, ...]:
    """Frames are not counted: a file can have any number of them, and pillow reads them all to count."""
    notes = []
    if getattr(image, "is_animated", False) and image.format != "MPO":  # phones' MPO holds previews of the main image
        notes.append("This file has several frames; the first one is shown.")
    if image.mode == "F" and is_unit_range(np.asarray(image)):
        notes.append("Its values are floats from 0 to 1, which are scaled to 8 bits.")
    return tuple(notes)

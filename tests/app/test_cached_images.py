"""Images in gradio's cache are written whole: what was opened stays readable when another page draws it again."""

from __future__ import annotations

import io
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio import processing_utils
from gradio.data_classes import ImageData
from PIL import Image

from dcal_explorer.demo.cached_images import encoded, write_whole_images


def drawn(shown: gr.Image, pixels: np.ndarray) -> Path:
    found = shown.postprocess(pixels)
    assert isinstance(found, ImageData)
    return Path(found.path)


def test_an_image_that_is_being_read_is_not_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing_utils, "save_pil_to_cache", processing_utils.save_pil_to_cache)  # restored after
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    write_whole_images()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    shown = gr.Image(format="png")
    first = drawn(shown, pixels)
    with first.open("rb") as reader:
        begun = reader.read(100)
        inode = first.stat().st_ino
        assert drawn(shown, pixels) == first and first.stat().st_ino != inode
        whole = begun + reader.read()
    assert whole == first.read_bytes() and [path.name for path in first.parent.iterdir()] == ["image.png"]
    with Image.open(first) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8))


def test_png_is_compressed_quickly_and_without_loss() -> None:
    """zlib says in its header how hard it tried: 0 quickly, 2 as usual."""
    data, usual = (encode(noise(), "png") for encode in (encoded, processing_utils.encode_pil_to_bytes))
    assert [found[found.index(b"IDAT") + 5] >> 6 for found in (data, usual)] == [0, 2]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(noise()))


def test_jpeg_keeps_thin_coloured_lines() -> None:
    """One red pixel beside grey ones: where colours are subsampled, it is grey as they are."""
    pixels = np.full((32, 32, 3), 128, dtype=np.uint8)
    pixels[:, 15] = 255, 0, 0

    def worst(data: bytes) -> int:
        return int(abs(np.asarray(Image.open(io.BytesIO(data))).astype(int) - pixels).max())

    image = Image.fromarray(pixels)
    assert worst(encoded(image, "jpeg")) < 30 < 60 < worst(processing_utils.encode_pil_to_bytes(image, "jpeg"))
    assert encoded(image.convert("RGBA"), "jpeg") == encoded(image, "jpeg")


def test_other_formats_are_gradio_s_own() -> None:
    assert encoded(noise(), "webp") == processing_utils.encode_pil_to_bytes(noise(), "webp")

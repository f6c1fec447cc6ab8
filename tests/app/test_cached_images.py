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


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_png_is_compressed_quickly_and_nothing_else_changes(format: str) -> None:
    """zlib says in its header how hard it tried: 0 quickly, 2 as usual."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    data, usual = encoded(image, format), processing_utils.encode_pil_to_bytes(image, format)
    if format == "jpeg":
        assert data == usual
        return
    assert [found[found.index(b"IDAT") + 5] >> 6 for found in (data, usual)] == [0, 2]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)

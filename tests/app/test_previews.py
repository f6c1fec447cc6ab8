"""Uploads that no browser shows get a PNG file with the same pixels; others are shown themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dcal
from dcal_explorer.demo.previews import preview
from tests.fixtures.damage import DAMAGES, damage

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 17, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "kind"), [("scan.tif", "TIFF"), ("misnamed.png", "TIFF")])
def test_what_no_browser_shows_becomes_a_png(tmp_path: Path, name: str, kind: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name, kind)
    pixels = np.asarray(dcal.read_image(tmp_path / name).image)
    made = preview(tmp_path / name, pixels)
    assert made is not None and made.stem == Path(name).stem and made.is_relative_to(tmp_path)
    with Image.open(made) as shown:
        assert shown.format == "PNG"
        np.testing.assert_array_equal(np.asarray(shown), pixels)
    before = made.stat().st_mtime_ns
    assert preview(tmp_path / name, pixels) == made and made.stat().st_mtime_ns == before  # made once


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_preview_is_made_again(tmp_path: Path, kind: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "scan.tif")
    made = preview(tmp_path / "scan.tif", PIXELS)
    assert made is not None
    before = made.read_bytes()
    damage(made, kind)
    assert preview(tmp_path / "scan.tif", PIXELS) == made and made.read_bytes() == before
    Image.new("RGB", (5, 7)).save(made)  # another image's
    assert preview(tmp_path / "scan.tif", PIXELS) == made and made.read_bytes() == before


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_what_a_browser_shows_is_shown_itself(tmp_path: Path, kind: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.tif", kind)  # whatever it is called
    assert preview(tmp_path / "image.tif", PIXELS) is None

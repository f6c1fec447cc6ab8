"""Images of every kind come out upright, 8-bit RGB, or are refused in words."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dcal import ImageError, read_image

RED, BLUE = (200, 30, 40), (20, 60, 190)
GREYS = ("#111111", "#555555", "#999999", "#dddddd")


@pytest.fixture
def flag() -> Image.Image:
    """31 wide, 45 high: red above, blue below."""
    image = Image.new("RGB", (31, 45), RED)
    ImageDraw.Draw(image).rectangle((0, 20, 30, 44), fill=BLUE)
    return image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def looks_like(found: Image.Image, wanted: Image.Image, tolerance: int = 0) -> bool:
    if found.mode != "RGB" or found.size != wanted.size:
        return False
    difference = np.abs(np.asarray(found).astype(int) - np.asarray(wanted.convert("RGB")).astype(int))
    return int(difference[[0, -1]].max()) <= tolerance  # the first and the last row: clear of the edge that JPEG blurs


@pytest.mark.parametrize("turn", range(1, 9))
def test_all_eight_orientations_stand_upright(flag, turn):
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # pillow's transpositions that undo each orientation
    stored = flag if turn == 1 else flag.transpose(Image.Transpose(inverse[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    image = read_image(encoded(stored, "PNG", exif=exif))
    assert image.image.size == (31, 45)
    assert looks_like(image.image, flag)


def test_transparency_is_laid_on_white(flag):
    clear = flag.convert("RGBA")
    clear.putalpha(Image.new("L", flag.size, 0))
    assert looks_like(read_image(encoded(clear, "PNG")).image, Image.new("RGB", flag.size, "white"))


def test_a_palette_with_a_transparent_colour_is_laid_on_white(flag):
    palette = flag.quantize(2)
    index = palette.getpixel((0, 0))
    image = read_image(encoded(palette, "PNG", transparency=index)).image
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((0, 44)) == BLUE


def test_palette_grey_and_bilevel_keep_their_values(flag):
    assert looks_like(read_image(encoded(flag.quantize(2), "PNG")).image, flag, tolerance=1)
    assert looks_like(read_image(encoded(flag.convert("L"), "PNG")).image, flag.convert("L"))
    assert looks_like(read_image(encoded(flag.convert("1"), "PNG")).image, flag.convert("1"))


def test_cmyk_jpeg_is_not_inverted(flag):
    assert looks_like(read_image(encoded(flag.convert("CMYK"), "JPEG", quality=95)).image, flag, tolerance=6)


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.linspace(0, 65535, 37 * 53).reshape(37, 53).astype(np.uint16)
    wanted = np.rint(values / 257).astype(np.uint8)
    for source in (values, encoded(Image.fromarray(values), "PNG"), encoded(Image.fromarray(values), "TIFF")):
        found = np.asarray(read_image(source).image)
        assert found.shape == (37, 53, 3)
        assert np.array_equal(found[..., 1], wanted)


@pytest.mark.parametrize(
    "array",
    [
        np.full((19, 23), 7, np.uint8),
        np.full((19, 23, 1), 7, np.uint8),
        np.full((19, 23, 3), 7 / 255, np.float64),
        np.full((19, 23, 4), [7, 7, 7, 255], np.uint8),
    ],
)
def test_arrays_of_several_shapes(array):
    assert np.array_equal(np.asarray(read_image(array).image), np.full((19, 23, 3), 7))


def test_an_array_of_truth_values_is_black_and_white():
    assert np.asarray(read_image(np.eye(17, dtype=bool)).image)[3, 3:5, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 19, 23), np.uint8), r"\(3, 19, 23\)"),
        (np.full((19, 23, 3), 1.5), "1.5"),
        (np.full((19, 23, 3), np.nan), "nan"),
        (np.zeros((19, 23), np.int64), "int64"),
        (np.zeros((0, 23, 3), np.uint8), r"\(0, 23, 3\)"),
    ],
)
def test_other_arrays_are_refused_with_what_they_hold(array, says):
    with pytest.raises(ImageError, match=says):
        read_image(array)


def test_the_first_frame_of_an_animation_is_shown_and_said(flag):
    data = encoded(flag, "GIF", save_all=True, append_images=[Image.new("RGB", flag.size, grey) for grey in GREYS])
    image = read_image(data)
    assert looks_like(image.image, flag, tolerance=2)
    assert image.notes == ("This file has several frames; the first one is shown.",)


def test_a_still_image_has_no_notes(flag):
    assert read_image(encoded(flag, "WEBP", lossless=True)).notes == ()


def test_a_cut_off_jpeg_is_called_damaged(flag):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 70, 3), dtype=np.uint8))
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_image(encoded(noise, "JPEG")[:2000])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"%PDF-1.7 whatever", "PDF"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"just some text", "not an image"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, data, says):
    path = tmp_path / "holiday.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=says):
        read_image(path)


def test_a_decompression_bomb_is_refused_by_its_header_alone():
    bomb = encoded(Image.new("1", (30_000, 30_000)), "PNG")
    with pytest.raises(ImageError, match=r"80 million"):
        read_image(bomb)
    with pytest.raises(ImageError, match=r"10000×9000 pixels \(90 million\)"):
        read_image(Image.new("1", (10_000, 9_000)))


def test_a_single_pixel_is_refused():
    with pytest.raises(ImageError, match="1×1 pixels"):
        read_image(encoded(Image.new("RGB", (1, 1)), "PNG"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.jpg"):
        read_image(tmp_path / "nowhere.jpg")


def test_heic_is_opened_where_pillow_heif_is_installed(tmp_path, flag, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    heic = pillow_heif.from_pillow(flag)
    heic.save(tmp_path / "phone.heic", quality=90)
    assert read_image(tmp_path / "phone.heic").image.size == flag.size
    monkeypatch.setattr("dcal.image.find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r'This is a HEIC image\. .* pip install "dcal\[heic\]"'):
        read_image(tmp_path / "phone.heic")

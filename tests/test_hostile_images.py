"""Whatever a file holds, it is read or refused with an ImageError; and refused before it costs anything."""

import inspect
import io
import os
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from dcal import DecodedImage, ImageError, Preprocess, read_image
from dcal.data.records import Record
from dcal.data.samples import ImageSamples
from dcal.data.validate import decode_all
from dcal.image import MAX_SCANS, jpeg_scans
from tests.fixtures.hostile_images import HEIGHT, WIDTH, animated, encoded, frame, many_scans, mutants, originals, tiff

MUTANTS = int(os.environ.get("DCAL_FUZZ", "500"))  # the long form: DCAL_FUZZ=5000


def outcome(data: bytes) -> str:
    """ "" if the bytes are read, else why not. Any other error than ImageError ends the test."""
    try:
        found = read_image(data)
    except ImageError as error:
        assert str(error) and "None" not in str(error)
        return str(error)
    assert isinstance(found, DecodedImage) and found.image.mode == "RGB"
    return ""


def test_every_original_is_read():
    for name, data in originals().items():
        assert outcome(data) == "", name


def test_mutants_are_read_or_refused():
    refused = {name: outcome(data) for name, data in mutants(MUTANTS)}
    assert MUTANTS / 5 < sum(map(bool, refused.values())) < MUTANTS


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP", "AVIF"])
def test_an_animation_cut_off_anywhere(kind):
    data = animated(kind)
    refused = [bool(outcome(data[:length])) for length in range(1, len(data), max(1, len(data) // 150))]
    assert refused[0] and sum(refused) > 30


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_with_a_changed_header(order):
    """Each byte of the first directory, with values that are wrong as types, counts and offsets."""
    data = tiff(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH), order, pages=2)
    start = 8 + HEIGHT * WIDTH
    found = [
        outcome(data[:place] + bytes([value]) + data[place + 1 :])
        for place in range(start, start + 60)
        for value in (0, 2, 7, 255)
    ]
    assert any(found) and not all(found)


SECOND = {  # a TIFF whose second page can be damaged, by what is particular about it
    **{kind: animated("TIFF", compression=kind) for kind in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")},
    "big": animated("TIFF", big_tiff=True),
    "big-endian": tiff(np.full((HEIGHT, WIDTH), 90, np.uint8), ">", pages=2),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_tiff_that_ends_before_its_second_page_is_damaged(name, tmp_path: Path):
    """It is no file of several frames, though its first page names another one."""
    data = SECOND[name]
    with Image.open(io.BytesIO(data)) as opened:
        second = vars(opened)["_TiffImageFile__next"]
    (tmp_path / "cut.tif").write_bytes(data[: second + 5])
    with pytest.raises(ImageError, match=r"^cut\.tif: The file is damaged or cut off after its first image"):
        read_image(tmp_path / "cut.tif")
    assert outcome(data) == ""


def test_the_error_names_the_file(tmp_path: Path):
    path = tmp_path / "walk.png"
    path.write_bytes(encoded(frame(0), "PNG")[:-200])
    with pytest.raises(ImageError, match=r"^walk\.png: The image is damaged or cut off"):
        read_image(path)


def test_a_jpeg_with_too_many_scans_is_refused_undecoded(monkeypatch: pytest.MonkeyPatch):
    assert jpeg_scans(encoded(frame(0), "JPEG")) == 1
    whole = jpeg_scans(encoded(frame(0), "JPEG", progressive=True))
    assert 5 < whole < 20 and jpeg_scans(many_scans(9)) == whole + 9
    assert outcome(many_scans(MAX_SCANS - whole)) == ""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    assert "more than 100 scans" in outcome(many_scans(5000))


def test_bytes_that_look_like_scans_are_not_counted():
    profile = b"\xff\xda\0\x02" * 5000
    data = encoded(frame(0), "JPEG", icc_profile=profile, progressive=True)
    assert jpeg_scans(data) < 20 and outcome(data) == ""


def test_pages_are_not_counted():
    data = tiff(np.full((HEIGHT, WIDTH), 90, np.uint8), pages=20_000)
    start = time.process_time()
    found = read_image(data)
    assert time.process_time() - start < 1.0
    assert found.image.getpixel((3, 3)) == (90, 90, 90)
    assert found.notes == ("This file has several frames; the first one is shown.",)


@pytest.mark.parametrize("kind", ["PPM", "EPS", "TGA", "ICNS"])
def test_formats_that_are_not_promised_are_not_opened(kind, tmp_path: Path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(frame(0).resize((32, 32)), kind))
    with pytest.raises(ImageError, match=r"^image\.jpg: This is not an image that can be opened.* Use a JPEG, PNG"):
        read_image(path)


def test_a_pipe_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for somebody to write"))
    signal.alarm(5)
    try:
        with pytest.raises(ImageError, match=r"pipe\.png: Cannot read .*not a regular file"):
            read_image(tmp_path / "pipe.png")
    finally:
        signal.alarm(0)


@pytest.mark.parametrize("source", ["a\0b.png", Path("a\0b.png")])
def test_a_null_byte_in_a_path(source):
    with pytest.raises(ImageError, match="null byte"):
        read_image(source)


def test_a_folder_is_no_image(tmp_path: Path):
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path)


@pytest.mark.parametrize("source", [None, 7, [1, 2], bytearray(b"x"), object])
def test_other_types_are_named(source):
    with pytest.raises(ImageError, match=f"not {type(source).__name__}"):
        inspect.unwrap(read_image)(source)  # without the types that tests check


def test_an_array_is_measured_before_it_is_converted():
    huge = np.broadcast_to(np.float32(0.5), (10_000, 9_000))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="9000×10000 pixels"):
            read_image(huge)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_float_tiff_in_0_to_1_is_scaled_as_the_array_is(order):
    values = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    found = read_image(tiff(values, order))
    assert np.array_equal(np.asarray(found.image), np.asarray(read_image(values).image))
    assert found.notes == ("Its values are floats from 0 to 1, which are scaled to 8 bits.",)


def test_a_dark_16_bit_image_stays_dark_in_both_byte_orders():
    values = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    for order in "<>":
        assert np.asarray(read_image(tiff(values, order)).image).max() == 1


def test_a_big_tiff_is_read():
    found = read_image(encoded(frame(3), "TIFF", big_tiff=True)).image
    assert np.array_equal(np.asarray(found), np.asarray(frame(3)))


def test_training_stops_at_the_step_with_the_file_s_name(tmp_path: Path):
    """And `dcal data check` lists it before."""
    for name, data in (("a.png", encoded(frame(0), "PNG")), ("b.gif", animated("GIF")[:2000])):
        (tmp_path / name).write_bytes(data)
    records = [Record(tmp_path / name, label) for label, name in enumerate(("a.png", "b.gif"))]
    samples = ImageSamples(records, Preprocess(size=(16, 16)), augment=True)
    with pytest.raises(ImageError, match=f"^{tmp_path}/b\\.gif: The image is damaged or cut off"):
        list(DataLoader(samples, batch_size=1, num_workers=1))
    good, bad = decode_all(records, workers=0)
    assert not good.problem and bad.problem.startswith("The image is damaged or cut off")

"""Decoding in a process of its own: the same answers, ended in time, replaced when it dies."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dcal import ImageError, read_image
from dcal.decoder import Decoder
from tests.fixtures.hostile_images import animated, encoded, frame, tiff


@pytest.fixture
def decoder():
    with Decoder() as decoder:
        yield decoder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "walk.png"
    path.write_bytes(encoded(frame(0), "PNG"))
    return path


def test_it_answers_as_read_image_does(decoder, image, tmp_path):
    (tmp_path / "more.gif").write_bytes(animated("GIF"))
    for path in (image, str(image), tmp_path / "more.gif"):
        found, expected = decoder.read(path), read_image(path)
        assert found.notes == expected.notes
        assert np.array_equal(np.asarray(found.image), np.asarray(expected.image))


def test_its_errors_are_read_image_s(decoder, tmp_path):
    path = tmp_path / "cut.png"
    for data in (b"", encoded(frame(0), "PNG")[:-200], b"%PDF-1.4", tiff(np.ones((8, 8), np.uint8))):
        path.write_bytes(data)
        with pytest.raises(ImageError) as expected:
            read_image(path)
        with pytest.raises(ImageError) as found:
            decoder.read(path)
        assert str(found.value) == str(expected.value)
    assert len(decoder._all) == 1  # an answer that is an error ends no process


def test_what_is_no_file_needs_no_process(decoder):
    decoder.read(np.zeros((20, 30, 3), np.uint8))
    assert not decoder._all


def test_a_file_that_takes_too_long_is_refused_in_time_and_the_next_is_read(decoder, image):
    decoder.read(image)
    (process,) = decoder._all
    os.kill(process.process.pid, signal.SIGSTOP)  # a decoder that never comes back
    decoder.seconds = 0.2
    start = time.perf_counter()
    with pytest.raises(ImageError, match=r"walk\.png: The image takes longer than 0\.2 s to decode"):
        decoder.read(image)
    assert time.perf_counter() - start < 5
    assert process.process.returncode is not None  # it was ended, not left to go on
    decoder.seconds = 60.0
    assert decoder.read(image).image.size == read_image(image).image.size


def test_others_read_while_one_file_takes_long(image):
    with Decoder(seconds=60.0) as decoder:
        decoder.read(image)
        (process,) = decoder._all
        os.kill(process.process.pid, signal.SIGSTOP)
        slow = threading.Thread(target=decoder.read, args=(image,))
        slow.start()
        while decoder._idle.qsize() > 1:
            time.sleep(0.001)
        decoder.read(image)
        assert slow.is_alive()
        os.kill(process.process.pid, signal.SIGCONT)
        slow.join(30)
        assert not slow.is_alive()


def test_a_decoder_that_dies_costs_one_answer(decoder, image):
    decoder.read(image)
    (process,) = decoder._all
    os.kill(process.process.pid, signal.SIGKILL)
    process.process.wait()
    with pytest.raises(ImageError, match="ended without an answer"):
        decoder.read(image)
    assert decoder.read(image).image.size


def test_its_process_ends_with_it(image):
    with Decoder() as decoder:
        decoder.read(image)
        (process,) = decoder._all
    assert process.process.returncode is not None

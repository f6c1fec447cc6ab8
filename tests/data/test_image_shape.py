"""An input shape is proposed where the images have another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcal.data.image_shape import proposed_size, typical_size
from dcal.data.records import ImageRecord
from tests.fixtures.tiny_sets import write_image


@pytest.mark.parametrize(
    ("images", "size", "proposed"),
    [
        ((480, 640), (256, 128), (256, 256)),
        ((300, 310), (256, 128), (256, 256)),
        ((200, 90), (256, 128), None),
        ((90, 200), (256, 256), (128, 256)),
        ((90, 200), (256, 128), (128, 256)),
        ((600, 500), (224, 224), None),
        ((400, 210), (224, 224), (224, 112)),
        ((300, 200), (224, 224), None),  # 2 : 3, as far from 1 : 2 as from 1 : 1
        ((348, 500), (224, 224), None),
        ((348, 500), (256, 128), (256, 256)),
    ],
)
def test_the_nearest_shape(images: tuple[int, int], size: tuple[int, int], proposed: tuple[int, int] | None):
    assert proposed_size(images, size) == proposed


def test_the_median_of_those_that_can_be_read(tmp_path: Path):
    for number, (height, width) in enumerate([(40, 31), (60, 33), (90, 35)]):
        write_image(tmp_path / f"{number}.jpg", height, width, number)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    records = [ImageRecord(path) for path in sorted(tmp_path.iterdir())]
    assert typical_size(records) == (60, 33)
    assert typical_size(records[-1:]) is None

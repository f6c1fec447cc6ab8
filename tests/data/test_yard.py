"""The yard as it is bundled: what its table promises, its masks keep."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dcal.data.fgvc.yard import YardModels
from dcal.data.reid.yard import SIZE, Yard
from dcal.data.yard_table import HOME, PARTS
from dcal.errors import ImageError
from tools.yard.twins import fleet

TRAIN, QUERY, GALLERY = (Yard(split=split) for split in ("train", "query", "gallery"))
ALL = TRAIN.records + QUERY.records


def test_it_is_whole_and_small():
    assert TRAIN.whole and QUERY.whole and GALLERY.whole and QUERY.records == GALLERY.records
    assert TRAIN.found() == {"identities": 80, "images": 640, "cameras": 8}
    assert QUERY.found() == {"identities": 40, "images": 320, "cameras": 8} and not QUERY.notes
    assert {(r.identity, r.camera) for r in ALL} == {(i, c) for i in range(1, 121) for c in range(1, 9)}
    images = [path for record in ALL for path in (record.path, record.mask)]
    assert len(set(images)) == 1920 and sum(path.stat().st_size for path in images) < 25e6


def test_it_is_what_the_generator_plans():
    vehicles = {vehicle.identity: vehicle for vehicle in fleet()}
    for record in ALL:
        vehicle = vehicles[record.identity]
        expected = (vehicle.kind.label, vehicle.differs, vehicle.present)
        assert (record.label, record.differs, record.present) == expected, record
        assert vehicles[record.twin].pair == vehicle.pair and record.twin != record.identity


def test_twins_share_a_half_and_a_class_and_one_of_them_has_the_part():
    by_identity = {record.identity: record for record in ALL}
    test = {record.identity for record in QUERY.records}
    for record in by_identity.values():
        twin = by_identity[record.twin]
        assert (twin.twin, twin.differs, twin.label) == (record.identity, record.differs, record.label)
        assert twin.present != record.present and (twin.identity in test) == (record.identity in test)


def test_masks_mark_what_the_table_counts():
    for record in ALL:
        with Image.open(record.path) as image:
            assert (image.height, image.width) == SIZE
        difference = record.difference()
        assert difference.shape == SIZE and int(difference.sum()) == record.visible, record
        assert record.parts().max() < len(PARTS) and 0.1 < (record.parts() > 0).mean() < 0.95, record


def test_every_pair_can_be_told_apart_by_two_cameras_at_least():
    """Two cameras see the part (or its place) on both twins: else no query could find the right one but by luck."""
    cameras = {record.identity: set[int]() for record in ALL}
    for record in ALL:
        if record.visible:
            cameras[record.identity].add(record.camera)
    few = {(r.identity, r.differs) for r in ALL if len(cameras[r.identity] & cameras[r.twin]) < 2}
    assert not few


def test_a_mask_that_is_none_is_refused(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"mask\.png"):
        dataclasses.replace(ALL[0], mask=tmp_path / "mask.png").difference()
    Image.fromarray(np.full((4, 4), 120, np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(ImageError, match=rf"below {len(PARTS)}"):
        dataclasses.replace(ALL[0], mask=tmp_path / "mask.png").parts()


def test_as_fine_grained_recognition_it_has_twenty_models():
    train, test = (YardModels(split=split) for split in ("train", "test"))
    assert train.whole and train.classes == test.classes and len(train.classes) == 20
    assert set(Counter(record.label for record in train.records).values()) == {32}  # four vehicles before eight cameras
    assert set(Counter(record.label for record in test.records).values()) == {16}
    assert (HOME / "yard.csv").is_file()

"""The CUB loader on a generated copy of the official layout, and the samples that it gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dcal.data.fgvc.cub import CUB, human
from dcal.data.samples import ImageSamples, random_box
from dcal.errors import DCALError, ImageError
from dcal.preprocess import Preprocess
from tests.fixtures.tiny_cub import write_cub

SMALL = Preprocess(size=(21, 28), crop_fraction=0.875)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cub(tmp_path)


def test_splits_labels_names_and_boxes(root: Path):
    train, test = CUB(root, "train"), CUB(root, "test")
    assert (len(train), len(test)) == (12, 9)
    assert train.classes == ("Black footed Albatross", "Red winged Blackbird", "Parakeet Auklet")
    assert [record.label for record in test.records] == [0, 0, 0, 1, 1, 1, 2, 2, 2]  # class 7 is label 2: no gaps
    first = test.records[0]
    assert first.path == root / "images" / "001.Black_footed_Albatross" / "image_4.jpg"
    assert first.box == (3.0, 5.0, 46.0, 40.0)
    assert not {record.path for record in train.records} & {record.path for record in test.records}
    assert str(train).startswith("CUB-200-2011, train split: 3 of the 200 classes, 12 images (a subset; ")


def test_parts_are_points_in_the_images_pixels(root: Path):
    record = CUB(root, "test").records[3]  # class 2, so 56 pixels wide
    beak, eye, tail = record.parts
    assert beak == ("beak", 46.0, 8.0, True) and eye == ("left eye", 45.0, 9.0, True)
    assert tail.name == "tail" and not tail.visible
    assert beak.x < record.open().width


def test_parts_may_be_absent_but_not_broken(root: Path):
    points = root / "parts" / "part_locs.txt"
    whole = points.read_text()
    points.write_text(whole.replace("21 1 ", "22 1 ").replace("21 2 ", "22 2 ").replace("21 3 ", "22 3 "))
    with pytest.raises(DCALError, match=r"part_locs.txt lacks 1 of the 9 images .*: 21\)"):
        CUB(root, "test")
    points.write_text(whole.replace("2 3 0.0", "2 4 0.0", 1))
    with pytest.raises(DCALError, match=r"part_locs.txt, line 6: .* got '2 4 0.0 0.0 0'"):
        CUB(root, "test")
    points.unlink()
    with pytest.raises(DCALError, match=r"has a folder parts/ but lacks parts/part_locs.txt"):
        CUB(root, "test")
    (root / "parts" / "parts.txt").unlink()
    (root / "parts").rmdir()
    assert CUB(root, "test").records[3].parts is None


def test_a_banner_is_cut_off_at_the_lower_edge(root: Path):
    record = CUB(root).records[0]
    whole, cut = np.asarray(record.open()), np.asarray(replace(record, banner=20).open())
    np.testing.assert_array_equal(cut, whole[:-20])


def test_an_image_that_cannot_be_read_is_named(root: Path):
    record = CUB(root).records[2]
    record.path.write_bytes(record.path.read_bytes()[:700])
    with pytest.raises(ImageError, match=r"Albatross/image_2\.jpg: The image is damaged or cut off"):
        record.open()


def test_the_parent_will_do(root: Path):
    assert CUB(root.parent, "test").records == CUB(root, "test").records


def test_human_names():
    assert human("001.Black_footed_Albatross") == "Black footed Albatross"
    assert human("099.St._Bernard") == "St. Bernard"


def test_a_wrong_root_names_the_files_it_looked_for(tmp_path: Path):
    with pytest.raises(DCALError, match=r"nowhere lacks images\.txt.*nowhere/CUB_200_2011 lacks images\.txt"):
        CUB(tmp_path / "nowhere")


def test_a_root_without_one_file_names_that_file(root: Path):
    (root / "classes.txt").unlink()
    with pytest.raises(DCALError, match=r"CUB_200_2011 lacks classes\.txt;"):
        CUB(root)


def test_missing_images_are_named_and_counted(root: Path):
    for index in range(4):
        (root / "images" / "002.Red_winged_Blackbird" / f"image_{index}.jpg").unlink()
    with pytest.raises(DCALError, match=r"4 of the 12 train images .*Blackbird/image_0\.jpg.* and others"):
        CUB(root, "train")
    assert len(CUB(root, "test")) == 9  # theirs are all there


def test_tables_that_contradict_each_other(root: Path):
    labels = root / "image_class_labels.txt"
    whole = labels.read_text()
    labels.write_text("".join(whole.splitlines(keepends=True)[:-2]))
    with pytest.raises(DCALError, match=r"image_class_labels.txt lacks 2 of the 21 images .*: 20\)"):
        CUB(root)
    labels.write_text(whole.replace("1 1\n", "1 9\n", 1))
    with pytest.raises(DCALError, match=r"1 class numbers that are not among the 3 .*: 9"):
        CUB(root)
    labels.write_text("1\n")
    with pytest.raises(DCALError, match="a number and a value"):
        CUB(root)


def test_unknown_and_empty_splits(root: Path):
    with pytest.raises(DCALError, match="unknown split 'val': choose one of 'train', 'test'"):
        CUB(root, "val")
    table = root / "train_test_split.txt"
    table.write_text(table.read_text().replace(" 0\n", " 1\n"))
    with pytest.raises(DCALError, match="no image belongs to the test split"):
        CUB(root, "test")


def test_a_test_sample_is_what_the_model_sees(root: Path):
    records = CUB(root, "test").records
    image, label = ImageSamples(records, SMALL)[4]
    with Image.open(records[4].path) as file:
        expected = SMALL.tensor(SMALL.render(file.convert("RGB")))
    assert label == 1
    assert image.shape == (3, 21, 28)
    assert torch.equal(image, expected)


@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_random_boxes_have_the_tests_size_and_reach_every_edge(fit: str):
    preprocess, height, width = Preprocess(size=(21, 28), fit=fit, crop_fraction=0.75), 90, 50
    random = np.random.default_rng(0)
    boxes = np.array([random_box(preprocess, height, width, random) for _ in range(2000)])
    box_height, box_width = preprocess.box_size(height, width)
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], box_width)
    np.testing.assert_allclose(boxes[:, 3] - boxes[:, 1], box_height)
    np.testing.assert_allclose(boxes.min(0), [0, 0, box_width, box_height], atol=0.5)
    np.testing.assert_allclose(boxes.max(0), [width - box_width, height - box_height, width, height], atol=0.5)
    assert boxes[:, :2].min() >= 0 and (boxes[:, 2:].max(0) <= (width, height)).all()


def test_augmentation_moves_and_mirrors(tmp_path: Path):
    """On a ramp from left to right, the mean tells the place and the slope's sign the mirroring."""
    ramp = np.broadcast_to(np.linspace(0, 255, 80, dtype=np.uint8)[None, :, None], (40, 80, 3))
    root = write_cub(tmp_path)
    records = CUB(root).records[:1]
    Image.fromarray(np.ascontiguousarray(ramp)).save(records[0].path, quality=100)
    images = ImageSamples(records, SMALL, augment=True)
    slopes, means = [], []
    for epoch in range(60):
        images.set_epoch(epoch)
        image = images[0][0][0]
        slopes.append((image[:, -1] - image[:, 0]).mean().item() > 0)
        means.append(image.mean().item())
    assert 15 <= sum(slopes) <= 45
    assert len(set(means)) > 50


def test_a_sample_depends_on_seed_epoch_and_index_alone(root: Path):
    records = CUB(root).records

    def sample(seed: int, epoch: int, index: int, before: tuple[int, ...] = ()) -> torch.Tensor:
        images = ImageSamples(records, SMALL, augment=True, seed=seed)
        images.set_epoch(epoch)
        for other in before:
            images[other]
        return images[index][0]

    reference = sample(1, 2, 3)
    assert torch.equal(reference, sample(1, 2, 3, before=(5, 3, 0)))
    assert not torch.equal(reference, sample(0, 2, 3))
    assert not torch.equal(reference, sample(1, 3, 3))
    twice = ImageSamples([records[3]] * 2, SMALL, augment=True)
    assert not torch.equal(twice[0][0], twice[1][0])


def test_workers_change_nothing(root: Path):
    images = ImageSamples(CUB(root).records, SMALL, augment=True, seed=4)
    images.set_epoch(7)
    alone, helped = (torch.cat([x for x, _ in DataLoader(images, 5, num_workers=n)]) for n in (0, 1))
    assert torch.equal(alone, helped)

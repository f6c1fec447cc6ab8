"""Re-ID samples: the test's view, and the flip, the pad and crop and the erasing of training, each alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dcal.data.reid.base import ReIDRecord
from dcal.data.samples import Augmentation, ReIDSamples
from dcal.errors import DCALError
from dcal.preprocess import Preprocess
from tests.fixtures.tiny_sets import write_image

WHOLE = Preprocess(size=(40, 24), crop_fraction=1.0, interpolation="bilinear")
STILL = Augmentation(flip=0.0, pad=0, erase=0.0)


@pytest.fixture
def records(tmp_path: Path) -> list[ReIDRecord]:
    for index in range(5):
        write_image(tmp_path / f"{index}.jpg", 40, 24, seed=index)
    return [ReIDRecord(tmp_path / f"{index}.jpg", identity=1501 - index, camera=2) for index in range(5)]


def drawn(records: list[ReIDRecord], augmentation: Augmentation, epochs: int) -> list[torch.Tensor]:
    """The first record's sample in each epoch."""
    images = ReIDSamples(records, WHOLE, augment=True, augmentation=augmentation)
    samples = []
    for epoch in range(epochs):
        images.set_epoch(epoch)
        samples.append(images[0][0])
    return samples


def test_a_test_sample_is_the_whole_image(records: list[ReIDRecord]):
    image, label = ReIDSamples(records, WHOLE)[3]
    with Image.open(records[3].path) as file:
        assert torch.equal(image, WHOLE.tensor(file.convert("RGB")))  # image and input are of one size
    assert label == 1498
    assert ReIDSamples(records, WHOLE, labels=(4, 3, 2, 1, 0))[3][1] == 1


def test_nothing_asked_nothing_done(records: list[ReIDRecord]):
    assert torch.equal(drawn(records, STILL, 1)[0], ReIDSamples(records, WHOLE)[0][0])


def test_flip(records: list[ReIDRecord]):
    plain = ReIDSamples(records, WHOLE)[0][0]
    samples = drawn(records, Augmentation(flip=0.5, pad=0, erase=0.0), 60)
    mirrored = [torch.equal(sample, plain.flip(2)) for sample in samples]
    assert all(flipped or torch.equal(sample, plain) for sample, flipped in zip(samples, mirrored, strict=True))
    assert 15 <= sum(mirrored) <= 45


def test_pad_and_crop(records: list[ReIDRecord]):
    """Each sample is the plain one in a frame of black, cut at some place: found by trying them all."""
    plain = ReIDSamples(records, WHOLE)[0][0]
    pad = 3
    black = ((0 - torch.tensor(WHOLE.mean)) / torch.tensor(WHOLE.std))[:, None, None]
    framed = black.expand(3, 40 + 2 * pad, 24 + 2 * pad).clone()
    framed[:, pad:-pad, pad:-pad] = plain
    places = {(top, left): framed[:, top : top + 40, left : left + 24] for top in range(7) for left in range(7)}
    found = []
    for sample in drawn(records, Augmentation(flip=0.0, pad=pad, erase=0.0), 300):
        own = [place for place, view in places.items() if torch.equal(sample, view)]
        assert len(own) == 1
        found += own
    assert {top for top, _ in found} == set(range(7)) and {left for _, left in found} == set(range(7))
    assert len(set(found)) > 40  # of 49: rows and columns are drawn apart


def test_erasing(records: list[ReIDRecord]):
    plain = ReIDSamples(records, WHOLE)[0][0]
    shares, aspects, values, untouched = [], [], [], 0
    for sample in drawn(records, Augmentation(flip=0.0, pad=0, erase=0.5), 400):
        changed = (sample != plain).any(0)
        if not changed.any():
            untouched += 1
            continue
        rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
        top, left = int(rows[0]), int(columns[0])
        height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
        assert changed[top : top + height, left : left + width].all()  # one full rectangle
        shares.append(height * width / (40 * 24))
        aspects.append(height / width)
        values.append(sample[:, top : top + height, left : left + width].flatten())
    assert 160 <= untouched <= 240
    assert 0.015 < min(shares) < 0.04 and 0.3 < max(shares) < 0.36  # whole pixels round the bounds
    assert 1 / 4.5 < min(aspects) < 0.5 and 2 < max(aspects) < 4.5
    noise = torch.cat(values)
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02


def test_a_sample_depends_on_seed_epoch_and_index_alone(records: list[ReIDRecord]):
    def sample(seed: int, epoch: int, index: int, before: tuple[int, ...] = ()) -> torch.Tensor:
        images = ReIDSamples(records, WHOLE, augment=True, seed=seed)
        images.set_epoch(epoch)
        for other in before:
            images[other]
        return images[index][0]

    assert torch.equal(sample(1, 2, 3), sample(1, 2, 3, before=(4, 3, 0)))
    assert not torch.equal(sample(1, 2, 3), sample(0, 2, 3))
    assert not torch.equal(sample(1, 2, 3), sample(1, 3, 3))
    twice = ReIDSamples([records[3]] * 2, WHOLE, augment=True)
    assert not torch.equal(twice[0][0], twice[1][0])


def test_workers_change_nothing(records: list[ReIDRecord]):
    images = ReIDSamples(records, WHOLE, augment=True, seed=4)
    images.set_epoch(7)
    alone, helped = (torch.cat([x for x, _ in DataLoader(images, 2, num_workers=n)]) for n in (0, 1))
    assert torch.equal(alone, helped)
    assert np.isfinite(alone.numpy()).all()


def test_mistakes(records: list[ReIDRecord]):
    with pytest.raises(DCALError, match="5 records need as many labels, got 2"):
        ReIDSamples(records, WHOLE, labels=(0, 1))
    with pytest.raises(DCALError, match=r"chances in \[0, 1\]"):
        Augmentation(flip=1.5)
    with pytest.raises(DCALError, match=r"pad is not negative, got 0.5, 0.5, -1"):
        Augmentation(pad=-1)
    with pytest.raises(DCALError, match=r"erase_area must lie in \(0, 1\)"):
        Augmentation(erase_area=(0.5, 0.2))

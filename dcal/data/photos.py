"""Labelled photos as a torch data set: what the model sees in a test, and the augmentation of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from dcal.data.record import Record
from dcal.preprocess import Box, Preprocess


class Photos(Dataset[tuple[Tensor, int]]):
    """(tensor (3, height, width), label) of each record, through `preprocess`.

    In a test the model sees `preprocess.box`. With `augment` it sees a box of the same size at a random place,
    mirrored half the time (the paper's "resize 550, random crop 448"), cut and scaled in one resampling.
    Every draw follows from (seed, epoch, index) alone: neither workers nor what was read before can change a sample.
    `set_epoch` must be called before the loader's iterator is made, since workers copy the data set there.
    """

    def __init__(self, records: Sequence[Record], preprocess: Preprocess, augment: bool = False, seed: int = 0) -> None:
        self.records, self.preprocess, self.augment, self.seed = tuple(records), preprocess, augment, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 height width"], int]:
        record = self.records[index]
        photo = record.open()
        if not self.augment:
            return self.preprocess.tensor(self.preprocess.render(photo)), record.label
        random = np.random.default_rng((self.seed, self.epoch, index))
        box = random_box(self.preprocess, photo.height, photo.width, random)
        view = self.preprocess.render(photo, box)
        if random.random() < 0.5:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return self.preprocess.tensor(view), record.label


def random_box(preprocess: Preprocess, height: int, width: int, random: np.random.Generator) -> Box:
    """(left, top, right, bottom): a box of the size that tests use, anywhere within the photo with equal chance."""
    box_height, box_width = preprocess.box_size(height, width)
    left, top = random.random() * (width - box_width), random.random() * (height - box_height)
    return left, top, min(left + box_width, width), min(top + box_height, height)

"""Labelled photos as a torch data set: what the model sees in a test, and the augmentation of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from dcal.data.records import Photo, Record
from dcal.preprocess import Box, Preprocess


class Samples(Dataset[tuple[Tensor, int]]):
    """(tensor (3, height, width), label) of each photo: what the model sees in a test, through `preprocess`.

    A subclass augments. Every draw follows from (seed, epoch, index) alone: neither workers nor what was read before
    can change a sample. `set_epoch` must be called before the loader's iterator is made, since workers copy the data
    set there.
    """

    def __init__(
        self, photos: Sequence[Photo], labels: Sequence[int], preprocess: Preprocess, augment: bool, seed: int
    ) -> None:
        self.photos, self.labels, self.preprocess = tuple(photos), tuple(labels), preprocess
        self.augment, self.seed, self.epoch = augment, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 height width"], int]:
        photo = self.photos[index].open()
        if self.augment:
            return self.augmented(photo, np.random.default_rng((self.seed, self.epoch, index))), self.labels[index]
        return self.preprocess.tensor(self.preprocess.render(photo)), self.labels[index]

    def augmented(self, photo: Image.Image, random: np.random.Generator) -> Float[Tensor, "3 height width"]:
        """The photo as a sample of training."""
        raise NotImplementedError


class Photos(Samples):
    """Photos of a class each. With `augment` the model sees a box of the test's size at a random place, mirrored half
    the time (the paper's "resize 550, random crop 448"), cut and scaled in one resampling."""

    def __init__(self, records: Sequence[Record], preprocess: Preprocess, augment: bool = False, seed: int = 0) -> None:
        super().__init__(records, [record.label for record in records], preprocess, augment, seed)

    def augmented(self, photo: Image.Image, random: np.random.Generator) -> Float[Tensor, "3 height width"]:
        view = self.preprocess.render(photo, random_box(self.preprocess, photo.height, photo.width, random))
        if random.random() < 0.5:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return self.preprocess.tensor(view)


def random_box(preprocess: Preprocess, height: int, width: int, random: np.random.Generator) -> Box:
    """(left, top, right, bottom): a box of the size that tests use, anywhere within the photo with equal chance."""
    box_height, box_width = preprocess.box_size(height, width)
    left, top = random.random() * (width - box_width), random.random() * (height - box_height)
    return left, top, min(left + box_width, width), min(top + box_height, height)

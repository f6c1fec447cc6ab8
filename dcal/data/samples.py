"""Labelled images as a torch data set: what the model sees in a test, and the augmentation of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from dcal.data.records import ImageRecord, Record
from dcal.data.reid.base import ReIDRecord
from dcal.errors import DCALError
from dcal.preprocess import Box, Preprocess


class Samples(Dataset[tuple[Tensor, int]]):
    """(tensor (3, height, width), label) of each image: what the model sees in a test, through `preprocess`.

    A subclass augments. Every draw follows from (seed, epoch, index) alone: neither workers nor what was read before
    can change a sample. `set_epoch` must be called before the loader's iterator is made, since workers copy the data
    set there.
    """

    def __init__(
        self, records: Sequence[ImageRecord], labels: Sequence[int], preprocess: Preprocess, augment: bool, seed: int
    ) -> None:
        self.records, self.labels, self.preprocess = tuple(records), tuple(labels), preprocess
        self.augment, self.seed, self.epoch = augment, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 height width"], int]:
        image = self.records[index].open()
        if self.augment:
            return self.augmented(image, np.random.default_rng((self.seed, self.epoch, index))), self.labels[index]
        return self.preprocess.tensor(self.preprocess.render(image)), self.labels[index]

    def augmented(self, image: Image.Image, random: np.random.Generator) -> Float[Tensor, "3 height width"]:
        """The image as a sample of training."""
        raise NotImplementedError


class ImageSamples(Samples):
    """Images of one class each. With `augment` the model sees a box of the test's size at a random place, mirrored half
    the time (the paper's "resize 550, random crop 448"), cut and scaled in one resampling."""

    def __init__(self, records: Sequence[Record], preprocess: Preprocess, augment: bool = False, seed: int = 0) -> None:
        super().__init__(records, [record.label for record in records], preprocess, augment, seed)

    def augmented(self, image: Image.Image, random: np.random.Generator) -> Float[Tensor, "3 height width"]:
        view = self.preprocess.render(image, random_box(self.preprocess, image.height, image.width, random))
        if random.random() < 0.5:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return self.preprocess.tensor(view)


def random_box(preprocess: Preprocess, height: int, width: int, random: np.random.Generator) -> Box:
    """(left, top, right, bottom): a box of the size that tests use, anywhere within the image with equal chance."""
    box_height, box_width = preprocess.box_size(height, width)
    left, top = random.random() * (width - box_width), random.random() * (height - box_height)
    return left, top, min(left + box_width, width), min(top + box_height, height)


@dataclass(frozen=True)
class Augmentation:
    """The paper's Re-ID augmentation: flip, pad and crop, erase. It names the steps; the numbers are TransReID's."""

    flip: float = 0.5  # chance to mirror
    pad: int = 10  # black pixels at every edge, before the crop back to the input's size
    erase: float = 0.5  # chance to erase a rectangle
    erase_area: tuple[float, float] = (0.02, 1 / 3)  # its share of the input
    erase_aspect: float = 3.3  # its height over its width, or the other way round, at most

    def __post_init__(self) -> None:
        low, high = self.erase_area
        if not (0 <= self.flip <= 1 and 0 <= self.erase <= 1 and self.pad >= 0):
            given = f"{self.flip}, {self.erase}, {self.pad}"
            raise DCALError(f"flip and erase are chances in [0, 1] and pad is not negative, got {given}")
        if not (0 < low <= high < 1 and self.erase_aspect >= 1):
            raise DCALError(
                f"erase_area must lie in (0, 1) and erase_aspect be at least 1, got {low}, {high}, {self.erase_aspect}"
            )


class ReIDSamples(Samples):
    """Images of identities. `labels` are the identities, or for training `training_labels`.

    With `augment` the whole view is mirrored half the time, moved by up to `pad` pixels each way with black where
    nothing is left, and half the time loses a rectangle to noise. Give it a `preprocess` that shows the whole image
    (`crop_fraction=1`), as Re-ID does; in a test nothing is cut.
    """

    def __init__(
        self,
        records: Sequence[ReIDRecord],
        preprocess: Preprocess,
        labels: Sequence[int] | None = None,
        augment: bool = False,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        labels = [record.identity for record in records] if labels is None else labels
        if len(labels) != len(records):
            raise DCALError(f"{len(records)} records need as many labels, got {len(labels)}")
        super().__init__(records, labels, preprocess, augment, seed)
        self.augmentation = Augmentation() if augmentation is None else augmentation

    def augmented(self, image: Image.Image, random: np.random.Generator) -> Float[Tensor, "3 height width"]:
        chosen, view = self.augmentation, self.preprocess.render(image)
        if random.random() < chosen.flip:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left, top = (int(move) for move in random.integers(-chosen.pad, chosen.pad + 1, 2))
        view = view.crop((left, top, left + view.width, top + view.height))  # pillow fills with black
        sample = self.preprocess.tensor(view)
        return erased(sample, chosen, random) if random.random() < chosen.erase else sample


def erased(
    sample: Float[Tensor, "3 height width"], chosen: Augmentation, random: np.random.Generator
) -> Float[Tensor, "3 height width"]:
    """The sample with one rectangle of standard normal noise (in normalised units), of random share and aspect.

    A rectangle that does not fit is drawn again, ten times at most: then nothing is erased (timm does the same).
    """
    _, height, width = sample.shape
    for _ in range(10):
        area = random.uniform(*chosen.erase_area) * height * width
        aspect = np.exp(random.uniform(-np.log(chosen.erase_aspect), np.log(chosen.erase_aspect)))
        tall, wide = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
        if 0 < tall < height and 0 < wide < width:
            top, left = int(random.integers(height - tall + 1)), int(random.integers(width - wide + 1))
            noise = random.standard_normal((3, tall, wide), dtype=np.float32)
            sample[:, top : top + tall, left : left + wide] = torch.from_numpy(noise)
            break
    return sample

"""Images by the batch, with every map of the model and the controls: what all measures start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dcal.analysis.maps import centre_map, model_maps, random_map
from dcal.data.records import Record
from dcal.data.workers import loaded
from dcal.model.dcal import DCAL
from dcal.preprocess import Preprocess


@dataclass(frozen=True)
class Batch:
    """Some images of a data set and their maps, on the model's device."""

    indices: list[int]  # in the data set
    sizes: list[tuple[int, int]]  # (height, width) of the images in pixels
    images: Float[Tensor, "b 3 img_h img_w"]
    targets: Int[Tensor, " b"]  # the predicted classes
    certainty: Float[Tensor, " b"]  # their probabilities
    maps: dict[str, Float[Tensor, "b p"]]


class SizedImages(Dataset[tuple[int, Tensor, tuple[int, int]]]):
    """(index, what the model sees of that image, its (height, width)) for each of `indices`."""

    def __init__(self, records: Sequence[Record], indices: Sequence[int], preprocess: Preprocess) -> None:
        self.records, self.indices, self.preprocess = records, indices, preprocess

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> tuple[int, Float[Tensor, "3 img_h img_w"], tuple[int, int]]:
        index = self.indices[place]
        image = self.records[index].open()
        return index, self.preprocess.tensor(self.preprocess.render(image)), (image.height, image.width)


def map_batches(
    model: DCAL, records: Sequence[Record], indices: Sequence[int], seed: int, batch_size: int, workers: int
) -> Iterator[Batch]:
    """The images of `indices` in their order. Maps with gradients speak for the class that the model answers."""
    device, layout = next(model.parameters()).device, model.layout
    samples = SizedImages(records, indices, model.config.preprocess)
    loader = DataLoader(samples, batch_size=batch_size, num_workers=workers)
    for numbers, pixels, (heights, widths) in loaded(loader):
        images, chosen = pixels.to(device), numbers.tolist()
        with torch.inference_mode():
            certainty, targets = model(images).probabilities.max(dim=1)
        noise = np.stack([random_map(layout.patches, seed, index) for index in chosen])
        centre = np.tile(centre_map(layout), (len(chosen), 1))
        controls = {"random": noise, "centre": centre}
        maps = model_maps(model, images, targets) | {
            name: torch.from_numpy(values).to(images) for name, values in controls.items()
        }
        sizes = list(zip(heights.tolist(), widths.tolist(), strict=True))
        yield Batch(chosen, sizes, images, targets, certainty, maps)


def draw(total: int, count: int, seed: int) -> list[int]:
    """`count` of `total` indices, in order, drawn by `seed`; 0 means all. Smaller draws are part of larger ones."""
    return sorted(np.random.default_rng(seed).permutation(total)[: count or total].tolist())

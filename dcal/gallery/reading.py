"""Images as batches for the model, those that cannot be read set aside with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dcal.errors import ImageError
from dcal.image import read_image
from dcal.preprocess import Preprocess

Sample = tuple[int, Tensor | str]


@dataclass(frozen=True, eq=False)
class Batch:
    """The pictures that could be read, None if there is none, their numbers, and why others could not."""

    pictures: Float[Tensor, "b 3 img_h img_w"] | None
    numbers: list[int]
    failed: dict[int, str]


class Reader(Dataset[Sample]):
    """(number, what the model sees of the picture at that path, or why it cannot be read)."""

    def __init__(self, paths: Sequence[Path], preprocess: Preprocess) -> None:
        self.paths, self.preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Sample:
        try:
            picture = read_image(self.paths[number]).image
        except ImageError as error:
            return number, str(error)
        return number, self.preprocess.tensor(self.preprocess.render(picture))


def gathered(samples: Sequence[Sample]) -> Batch:
    """A loader's samples as a batch."""
    read = {number: sample for number, sample in samples if isinstance(sample, Tensor)}
    failed = {number: sample for number, sample in samples if isinstance(sample, str)}
    return Batch(torch.stack(list(read.values())) if read else None, list(read), failed)


def reader(
    paths: Sequence[Path], preprocess: Preprocess, batches: Sequence[list[int]], workers: int
) -> Iterable[Batch]:
    """The batches, each a list of numbers of `paths`, in that order."""
    return DataLoader(Reader(paths, preprocess), batch_sampler=batches, num_workers=workers, collate_fn=gathered)

"""The images of a build, through the model once: part by part, finished parts are skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dcal.data.workers import loaded
from dcal.errors import DCALError, ImageError
from dcal.gallery.item import Origin
from dcal.gallery.shards import Part, Parts, Plan
from dcal.gallery.sources import Images
from dcal.image import read_image
from dcal.model.checkpoint import fingerprint
from dcal.model.embeddings import embed
from dcal.model.exported import ExportedModel, Model, device_of
from dcal.preprocess import Preprocess
from dcal.progress import OnProgress

Sample = tuple[int, Tensor | str]
BATCHES = 4  # in a part: what a kill costs at most


def origin_of(model: Model, checkpoint: str) -> Origin:
    """The weights and layout of the embeddings; `checkpoint` is the name to display."""
    if isinstance(model, ExportedModel):
        branches = [branch for branch in model.config.branches if branch != "pwca"]
        width = model.width // len(branches)
    else:
        branches, width = list(model.predicting), model.backbone.num_features
    return Origin(fingerprint(model), checkpoint, dict.fromkeys(branches, width))


def begun(model: Model, images: Images, folder: Path, batch_size: int) -> Parts:
    """The parts of a build in `folder`, those that an interrupted one left included.

    Raises DCALError if that was begun with other weights, other images or another batch size.
    """
    if batch_size < 1:
        raise DCALError(f"batch_size must be at least 1, got {batch_size}")
    listed = hashlib.sha256()
    for item in images.items:
        path = images.root / item.path
        size = path.stat().st_size if path.is_file() else None
        listed.update(repr((item.path, item.identity, item.camera, size)).encode())
    device = device_of(model).type
    return Parts(folder, Plan(fingerprint(model), listed.hexdigest(), len(images.items), batch_size, BATCHES, device))


def embed_missing(model: Model, images: Images, parts: Parts, workers: int, on_progress: OnProgress) -> None:
    """Make the parts that are missing."""
    step, numbers = parts.plan.batch_size, {part: parts.images(part) for part in parts.missing()}
    batches = {
        part: [list(own[start : start + step]) for start in range(0, len(own), step)] for part, own in numbers.items()
    }
    paths = [images.root / item.path for item in images.items]
    loader = reader(paths, model.config.preprocess, list(chain(*batches.values())), workers)
    reported = reporting(loader, len(paths) - sum(map(len, numbers.values())), len(paths), on_progress)
    for part, own in batches.items():
        parts.write(part, embed_part(model, islice(reported, len(own))))
    next(reported, None)  # progress of the last batch is reported when another is requested


def reporting(batches: Iterable[Batch], done: int, total: int, on_progress: OnProgress) -> Iterator[Batch]:
    """The batches; `on_progress` gets the number of images done before the first, and after each."""
    on_progress("images", done, total)
    for batch in batches:
        yield batch
        done += len(batch.numbers) + len(batch.failed)
        on_progress("images", done, total)


def embed_part(model: Model, batches: Iterable[Batch]) -> Part:
    """The embeddings of the batches of one part, none if no image of it can be read."""
    kept: list[int] = []
    failed: dict[int, str] = {}

    def tensors() -> Iterator[Tensor]:
        for batch in batches:
            kept.extend(batch.numbers)
            failed.update(batch.failed)
            if batch.images is not None:
                yield batch.images

    stream = tensors()
    first = next(stream, None)
    if first is None:
        rows = np.empty((0, origin_of(model, "").width), dtype=np.float32)
    else:
        rows = embed(model, chain([first], stream)).joined
    return Part(rows, np.array(kept, dtype=np.int64), failed)


@dataclass(frozen=True, eq=False)
class Batch:
    """The images that could be read, None if there is none, their numbers, and why others could not."""

    images: Float[Tensor, "b 3 img_h img_w"] | None
    numbers: list[int]
    failed: dict[int, str]


class Reader(Dataset[Sample]):
    """(number, what the model sees of the image at that path, or why it cannot be read)."""

    def __init__(self, paths: Sequence[Path], preprocess: Preprocess) -> None:
        self.paths, self.preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Sample:
        try:
            image = read_image(self.paths[number]).image
        except ImageError as error:
            return number, str(error).removeprefix(f"{self.paths[number].name}: ")
        return number, self.preprocess.tensor(self.preprocess.render(image))


def gathered(samples: Sequence[Sample]) -> Batch:
    """A loader's samples as a batch."""
    read = {number: sample for number, sample in samples if isinstance(sample, Tensor)}
    failed = {number: sample for number, sample in samples if isinstance(sample, str)}
    return Batch(torch.stack(list(read.values())) if read else None, list(read), failed)


def reader(
    paths: Sequence[Path], preprocess: Preprocess, batches: Sequence[list[int]], workers: int
) -> Iterable[Batch]:
    """The batches, each a list of numbers of `paths`, in that order."""
    loader = DataLoader(Reader(paths, preprocess), batch_sampler=batches, num_workers=workers, collate_fn=gathered)
    return loaded(loader)

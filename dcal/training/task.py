"""What differs between the tasks while training: the samples, their batches, and what an evaluation says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from dcal.data import DATASETS, REID_DATASETS
from dcal.data.pk_sampler import PKSampler
from dcal.data.records import ImageRecord
from dcal.data.reid.base import ReIDRecord, training_labels
from dcal.data.samples import ImageSamples, ReIDSamples, Samples
from dcal.data.splits import hold_out, hold_out_identities, hold_out_later
from dcal.data.workers import loaded
from dcal.errors import DCALError
from dcal.evaluation.classification import Evaluation, evaluate
from dcal.evaluation.reid import QueryGallery, joined_embeddings
from dcal.model.dcal import DCAL
from dcal.model.embeddings import embed
from dcal.preprocess import Preprocess
from dcal.progress import OnProgress, reported, silent
from dcal.training.config import TrainConfig
from dcal.training.contents import Row, row
from dcal.training.distributed import Processes
from dcal.training.interrupts import ignore_signals
from dcal.training.seeds import draw_seed

BATCH = 32  # images of an evaluation's forward pass; its figures do not depend on it


class Task(ABC):
    """One run's data. `samples`: those to train on; `goal`: the figure that chooses an epoch; `about`: for the card."""

    goal: str
    config: TrainConfig
    samples: Samples
    classes: tuple[str, ...]  # names in the order of the logits, or none
    num_classes: int
    steps: int  # of the optimizer, every epoch
    held_out: bool
    about: str

    @abstractmethod
    def batches(self, epoch: int, shards: int) -> Int[Tensor, "steps shards images"]:
        """The indices of `samples` that every step of this epoch takes, shard by shard."""

    @abstractmethod
    def evaluate(
        self, ranks: Processes, model: DCAL, split: str, on_progress: OnProgress = silent
    ) -> dict[str, float | int]:
        """Figures on the "test" split or on what was held out, "val": each process its share, all in every process."""

    @abstractmethod
    def contents(self) -> list[Row]:
        """Every image of every split: what must be the same in every process, and whenever the run goes on."""

    @abstractmethod
    def images(self) -> list[ImageRecord]:
        """Every image of every split, once."""

    def loader(
        self, samples: Subset[tuple[Tensor, int]], split: str, on_progress: OnProgress
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of (images, labels) for an evaluation; `on_progress` counts them."""
        workers = self.config.workers
        batches = DataLoader(samples, batch_size=BATCH, num_workers=workers, worker_init_fn=ignore_signals)
        return reported(loaded(batches), len(batches), f"evaluation ({split}), batches", on_progress)


def open_task(config: TrainConfig) -> Task:
    """The data of a run. Raises DCALError if they do not fill one batch."""
    return ReIdentification(config) if config.task == "reid" else ClassificationTask(config)


class ClassificationTask(Task):
    """Labelled images, each once an epoch in random order."""

    goal = "top1"

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        data, test = (DATASETS[config.dataset](config.root, split) for split in ("train", "test"))
        kept, held = hold_out(data.records, config.val_fraction, config.seed)
        self.steps, self.held_out = len(kept) // config.batch_size, bool(held)
        if self.steps == 0:
            raise DCALError(
                f"{len(kept)} training images do not fill one batch of {config.batch_size}: lower batch_size"
            )
        preprocess = preprocess_for(config)
        self.samples = ImageSamples(kept, preprocess, augment=True, seed=config.seed)
        self.judged = {"val": ImageSamples(held, preprocess), "test": ImageSamples(test.records, preprocess)}
        self.classes, self.num_classes = data.classes, len(data.classes)
        self.about = f"{data}. {test}. {data.terms}"

    def batches(self, epoch: int, shards: int) -> Int[Tensor, "steps shards images"]:
        order = torch.Generator().manual_seed(draw_seed(self.config.seed, epoch))
        chosen = torch.randperm(len(self.samples), generator=order)[: self.steps * self.config.batch_size]
        return chosen.view(self.steps, shards, -1)

    def evaluate(
        self, ranks: Processes, model: DCAL, split: str, on_progress: OnProgress = silent
    ) -> dict[str, float | int]:
        own = share(ranks, self.judged[split])
        loaded = self.loader(own, split, on_progress)
        found = evaluate(model, loaded) if len(own) else None
        return Evaluation.interleaved(present(ranks.gather(found))).summary()

    def images(self) -> list[ImageRecord]:
        every = [*self.samples.records, *(record for own in self.judged.values() for record in own.records)]
        return list({record.path: record for record in every}.values())

    def contents(self) -> list[Row]:
        every = {"train": self.samples, **self.judged}
        return [
            row(split, record.path, self.config.root, label)
            for split, own in every.items()
            for record, label in zip(own.records, own.labels, strict=True)
        ]


class ReIdentification(Task):
    """Images of identities in PK batches. With `also`, both data sets' identities are learned together.

    Every epoch has as many steps as the shortest one of the run (how many PK batches an epoch has depends on its
    draws), so that the learning rate follows from the step alone. Held out are identities of the first data set.
    """

    goal = "mAP"

    def __init__(self, config: TrainConfig) -> None:
        self.config, preprocess = config, preprocess_for(config)
        kept: list[ReIDRecord] = []
        labels: list[int] = []
        about: list[str] = []
        self.sides: dict[str, dict[str, QueryGallery]] = {"test": {}, "val": {}}
        for index, (name, root) in enumerate(config.sources):
            train, query, gallery = (REID_DATASETS[name](root, split) for split in ("train", "query", "gallery"))
            own, held = (train.records, ()) if index else held_out(train.records, config)
            labels += [max(labels, default=-1) + 1 + label for label in training_labels(own)]
            kept += own
            one_camera = config.one_camera or not train.cameras_known
            self.sides["test"][f"{name}_" if index else ""] = QueryGallery(query.records, gallery.records, one_camera)
            if held:
                self.sides["val"][""] = QueryGallery(held, held, one_camera)
            about += [f"{train}.", f"{query}.", f"{gallery}.", train.terms]
        self.held_out = bool(self.sides["val"])
        for sides in (*self.sides["test"].values(), *self.sides["val"].values()):
            sides.check()  # now, not after hours of training
        self.samples = ReIDSamples(kept, preprocess, labels, augment=True, seed=config.seed)
        self.sampler = PKSampler(labels, config.batch_size // config.instances, config.instances, config.seed)
        self.steps = min(len(self.sampler.epoch(epoch).batches) for epoch in range(config.epochs))
        self.classes, self.num_classes, self.about = (), max(labels) + 1, " ".join(about)

    def batches(self, epoch: int, shards: int) -> Int[Tensor, "steps shards images"]:
        size = self.config.batch_size // shards
        if size % self.config.instances or size == self.config.instances:
            raise DCALError(
                f"a shard of {size} images cannot hold two identities or more of {self.config.instances} images each, "
                f"which the triplet loss compares: {shards} shards need a batch_size that is a multiple of "
                f"{shards * self.config.instances}, and twice that at least"
            )
        own = self.sampler.epoch(epoch).batches
        # An epoch of an extended run may be shorter than the run's: it begins anew.
        chosen = [own[step % len(own)] for step in range(self.steps)]
        return torch.tensor(chosen).view(self.steps, shards, size)

    def evaluate(
        self, ranks: Processes, model: DCAL, split: str, on_progress: OnProgress = silent
    ) -> dict[str, float | int]:
        found: dict[str, float | int] = {}
        for prefix, sides in self.sides[split].items():
            samples = ReIDSamples(sides.images, self.samples.preprocess)
            own, training = share(ranks, samples), model.training
            model.eval()
            loaded = self.loader(own, split, on_progress)
            part = embed(model, (images for images, _ in loaded)) if len(own) else None
            model.train(training)
            judged = sides.judge(joined_embeddings(present(ranks.gather(part))))
            found |= {prefix + name: value for name, value in judged.summary().items()}
        return found

    def images(self) -> list[ImageRecord]:
        judged = (image for own in self.sides.values() for sides in own.values() for image in sides.images)
        return list({record.path: record for record in (*self.samples.records, *judged)}.values())

    def root_of(self, image: Path) -> Path:
        """The folder of the data set that the image is of."""
        return next((root for _, root in self.config.sources if image.is_relative_to(root)), self.config.root)

    def contents(self) -> list[Row]:
        rows = [
            row("train", record.path, self.root_of(record.path), label)
            for record, label in zip(self.samples.records, self.samples.labels, strict=True)
        ]
        for split, own in self.sides.items():
            for prefix, sides in own.items():
                name, images = f"{prefix}{split}", sides.images
                rows += [row(name, each.path, self.root_of(each.path), each.identity) for each in images]
        return rows


def held_out(
    records: tuple[ReIDRecord, ...], config: TrainConfig
) -> tuple[tuple[ReIDRecord, ...], tuple[ReIDRecord, ...]]:
    """(trained on, held out): later images of dated ones with `val_by_date`, else whole identities."""
    if config.val_by_date:
        return hold_out_later(records, config.val_fraction)
    return hold_out_identities(records, config.val_fraction, config.seed)


def share(ranks: Processes, samples: Samples) -> Subset[tuple[Tensor, int]]:
    """This process's part of the images: every `world`-th one."""
    return Subset(samples, range(ranks.rank, len(samples), ranks.world))


def present(parts: Sequence[Any]) -> list[Any]:
    """Those of the processes' parts that there are: a process without images has none."""
    return [part for part in parts if part is not None]


def preprocess_for(config: TrainConfig) -> Preprocess:
    """The whole image squashed, then `crop_fraction` of it cut out: the paper's "resize 550, crop 448"; 1 for Re-ID.

    Mean, standard deviation and interpolation are those that the backbone was trained with.
    """
    size = config.size
    cfg = timm.get_pretrained_cfg(config.backbone) if timm.is_model(config.backbone) else None
    if cfg is None:  # create_model says what is wrong with the name
        return Preprocess(size=size, crop_fraction=config.crop_fraction)
    return Preprocess(
        size=size,
        crop_fraction=config.crop_fraction,
        mean=cfg.mean,
        std=cfg.std,
        interpolation=cfg.interpolation,
    )

"""The evaluation step: what a checkpoint answers on every image of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

import dcal
from dcal.data import DATASETS
from dcal.data.records import Record
from dcal.data.samples import ImageSamples
from dcal.evaluation.classification import Evaluation, evaluate
from tools.study.results import BRANCHES, Predictions

BATCH = 32


def predict(checkpoint: Path, root: Path, workers: int = 0) -> Predictions:
    """The checkpoint's answers on the test split of the CUB folder `root`."""
    model = dcal.load(checkpoint)
    data = DATASETS["cub"](root, "test")
    images = ImageSamples(data.records, model.config.preprocess)
    found = evaluate(model, DataLoader(images, batch_size=BATCH, num_workers=workers))
    return as_predictions(found, digest(data.records))


def as_predictions(found: Evaluation, images: str) -> Predictions:
    """The most probable class, its probability and the label's, from a branch's probabilities of all classes."""
    everyone = np.arange(found.n)
    by_branch = {branch: getattr(found, branch) for branch in BRANCHES if getattr(found, branch) is not None}
    predicted = {branch: values.argmax(axis=1) for branch, values in by_branch.items()}
    confidence = {branch: values.max(axis=1) for branch, values in by_branch.items()}
    own = {branch: values[everyone, found.labels] for branch, values in by_branch.items()}
    return Predictions(images, found.labels, predicted, confidence, own)


def digest(records: Sequence[Record]) -> str:
    """SHA-256 of the images' file names and labels in order: two equal ones mean the same split."""
    lines = "".join(f"{record.path.name} {record.label}\n" for record in records)
    return hashlib.sha256(lines.encode()).hexdigest()

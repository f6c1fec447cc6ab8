"""The evaluation step: what a checkpoint answers on every image of a split."""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import DataLoader

import dcal
from dcal.data import DATASETS
from dcal.data.samples import ImageSamples
from dcal.data.workers import loaded
from dcal.evaluation.classification import evaluate
from dcal.evaluation.predictions import Predictions, as_predictions, digest

BATCH = 32


def predict(checkpoint: Path, root: Path, workers: int = 0) -> Predictions:
    """The checkpoint's answers on the test split of the CUB folder `root`."""
    model = dcal.load(checkpoint)
    data = DATASETS["cub"](root, "test")
    images = ImageSamples(data.records, model.config.preprocess)
    found = evaluate(model, loaded(DataLoader(images, batch_size=BATCH, num_workers=workers)))
    return as_predictions(found, digest(data.records))

"""What a checkpoint's similarities say: their calibration fitted on training identities, and measured on the test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from torch.utils.data import DataLoader

from dcal.data import REID_DATASETS, place_of
from dcal.data.samples import ReIDSamples
from dcal.data.workers import loaded
from dcal.device import find_device
from dcal.errors import CheckpointError
from dcal.evaluation.reid import QueryGallery
from dcal.model.checkpoint import fingerprint, load_checkpoint
from dcal.model.embeddings import embed
from dcal.progress import OnProgress, reported, silent
from dcal.retrieval.calibrate import fit_calibration, grouping_figures, similarity_figures
from dcal.retrieval.calibration import Calibration, read_calibration, write_calibration


def calibrate(
    checkpoint: Path,
    dataset: str = "yard",
    root: Path | None = None,
    *,
    batch_size: int = 32,
    workers: int = 2,
    device: str = "auto",
    on_progress: OnProgress = silent,
) -> Calibration:
    """Fit a checkpoint's calibration on a data set's training split and write calibration.json beside its weights.

    Where the checkpoint was trained on these identities, its similarities may be too sure of themselves: `dcal eval`
    measures that on the test split, which is never fitted. Raises DCALError for a checkpoint that is no directory or
    of another task, and where the split has no two images of one identity from different cameras.
    """
    if not checkpoint.is_dir():
        raise CheckpointError(f"{checkpoint} is not a directory: the calibration is written beside the weights")
    model = load_checkpoint(checkpoint).to(find_device(device))
    if model.config.task != "reid":
        raise CheckpointError(f"{checkpoint} was trained for task {model.config.task!r}: only 'reid' compares images")
    data = REID_DATASETS[dataset](place_of("reid", dataset, root), "train")
    samples = ReIDSamples(data.records, model.config.preprocess)
    loader = DataLoader(samples, batch_size=batch_size, num_workers=workers)
    found = embed(
        model, (images for images, _ in reported(loaded(loader), len(loader), "batches of images", on_progress))
    )
    identities, cameras = (np.array([getattr(r, name) for r in data.records]) for name in ("identity", "camera"))
    calibration = fit_calibration(found.joined, identities, cameras, fingerprint(model), str(data))
    write_calibration(checkpoint, calibration)
    return calibration


def calibration_of(checkpoint: str, weights: str) -> Calibration | None:
    """The calibration beside a checkpoint's weights (of this fingerprint); None without one, and where it is remote."""
    return read_calibration(Path(checkpoint), weights) if Path(checkpoint).is_dir() else None


def similarity_record(
    embeddings: Float32[np.ndarray, "n d"], sides: QueryGallery, calibration: Calibration | None
) -> dict[str, Any]:
    """`similarity_figures` of one evaluation's images, `fitted_on`, and `grouping_figures` of the gallery's."""
    query, gallery = sides.rows()
    identities = np.array([record.identity for record in sides.images])
    own, others = ((identities[rows], sides.cameras[rows]) for rows in (query, gallery))
    found = similarity_figures(embeddings[query], embeddings[gallery], own, others, calibration)
    if calibration is None:
        return found
    grouping = grouping_figures(embeddings[gallery], identities[gallery], calibration)
    return {**found, "fitted_on": calibration.fitted_on, "grouping": grouping}

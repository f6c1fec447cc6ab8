"""Small re-identification checkpoints with galleries of a small yard: two pairs of twins before three cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import dcal
from dcal.gallery.build import build_folder
from dcal.gallery.images import dataset_images
from tests.tiny_reid import write_yard

ROWS, COLS = 3, 5
SIZE = (16 * ROWS, 16 * COLS)
NAMES = {"reid-sa_only": "sa_only", "reid-full": "full"}


def write_checkpoints(folder: Path) -> Path:
    """`folder`/yard and, untrained but each with weights of its own, `folder`/checkpoints/NAME/gallery; the latter."""
    images = dataset_images("yard", write_yard(folder / "yard"))
    for seed, (name, ablation) in enumerate(NAMES.items()):
        torch.manual_seed(seed)
        preprocess = dcal.Preprocess(size=SIZE, crop_fraction=1.0)
        model = dcal.create_model(
            "test_vit", 7, task="reid", ablation=ablation, img_size=SIZE, preprocess=preprocess, top_ratio=0.25
        )
        place = dcal.save(model.eval(), folder / "checkpoints" / name, {"mAP": 0.25 + seed / 10, "rank1": 0.5})
        build_folder(dcal.load(place), images, place / "gallery", name, workers=0)
    return folder / "checkpoints"


def cosines(checkpoint: Path, path: str) -> dict[str, float]:
    """The cosine of one of the gallery's pictures with each other one, in loops."""
    gallery = dcal.open_gallery(checkpoint / "gallery")
    rows = {item.path: gallery.rows(np.array([i]))[0] for i, item in enumerate(gallery.items)}
    return {
        name: sum(float(a) * float(b) for a, b in zip(rows[path], row, strict=True))
        for name, row in rows.items()
        if name != path
    }

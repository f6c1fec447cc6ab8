"""Small re-identification checkpoints with galleries of a small yard: two pairs of twins before three cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import dcal
from dcal.data.yard import Yard
from dcal.embedding import embed
from dcal.gallery import Item, Origin
from dcal.gallery.folder import Stored, relative, write_folder
from tests.tiny_reid import write_yard

ROWS, COLS = 3, 5
SIZE = (16 * ROWS, 16 * COLS)
NAMES = {"reid-sa_only": "sa_only", "reid-full": "full"}


def write_checkpoints(folder: Path) -> Path:
    """`folder`/yard and, untrained but each with weights of its own, `folder`/checkpoints/NAME/gallery; the latter."""
    yard = Yard(write_yard(folder / "yard"), "gallery")
    for seed, (name, ablation) in enumerate(NAMES.items()):
        torch.manual_seed(seed)
        preprocess = dcal.Preprocess(size=SIZE, crop_fraction=1.0)
        model = dcal.create_model(
            "test_vit", 7, task="reid", ablation=ablation, img_size=SIZE, preprocess=preprocess, top_ratio=0.25
        )
        place = dcal.save(model.eval(), folder / "checkpoints" / name, {"mAP": 0.25 + seed / 10, "rank1": 0.5})
        write_gallery(place, yard)
    return folder / "checkpoints"


def write_gallery(checkpoint: Path, yard: Yard) -> None:
    """Embed the yard's pictures into `checkpoint`/gallery."""
    model = dcal.load(checkpoint)
    preprocess = model.config.preprocess
    batch = torch.stack([preprocess.tensor(preprocess.render(record.open())) for record in yard.records])
    found = embed(model, [batch])
    layout = {name: values.shape[1] for name, values in found.branches().items() if name != "joined"}
    items = tuple(
        Item(str(record.path.relative_to(yard.root)), str(record.identity), str(record.camera))
        for record in yard.records
    )
    folder = checkpoint / "gallery"
    folder.mkdir()
    origin = Origin(dcal.fingerprint(model), checkpoint.name, layout)
    write_folder(folder, Stored(items, found.joined, origin, relative(yard.root, folder)), {})


def cosines(checkpoint: Path, path: str) -> dict[str, float]:
    """The cosine of one of the gallery's pictures with each other one, in loops."""
    gallery = dcal.open_gallery(checkpoint / "gallery")
    rows = {item.path: gallery.rows(np.array([i]))[0] for i, item in enumerate(gallery.items)}
    return {
        name: sum(float(a) * float(b) for a, b in zip(rows[path], row, strict=True))
        for name, row in rows.items()
        if name != path
    }

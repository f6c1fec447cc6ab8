"""Four small checkpoints, one for each ablation, under names that say nothing."""

from __future__ import annotations

from pathlib import Path

import torch

import dcal

NAMES = {"oak": "sa_only", "elm": "sa_glca", "yew": "sa_pwca", "ash": "full"}  # in the order in which they are compared
CLASSES = ("001.Owl", "002.Kiwi", "003.Emu")
LAYERS, PATCHES = 6, (4, 3)


def write_ablations(folder: Path) -> Path:
    """Write them to `folder`, untrained but each with weights of its own, and return it."""
    for seed, (name, ablation) in enumerate(NAMES.items()):
        torch.manual_seed(seed)
        size = (16 * PATCHES[0], 16 * PATCHES[1])
        model = dcal.create_model("test_vit", 3, ablation=ablation, img_size=size, top_ratio=0.25, classes=CLASSES)
        dcal.save(model, folder / name, metrics={"top1": 0.5 + seed / 100})
    return folder

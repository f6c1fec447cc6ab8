"""What is compared: one image through one model, in four ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import dcal
from benchmarks.usual import usual_rollouts

MODELS = ("deit_tiny_patch16_224", "deit_small_patch16_224", "vit_base_patch16_224")
SIZES = (224, 448)


def variants(name: str, size: int) -> dict[str, Callable[[], Any]]:
    """Calls without arguments, for inference mode, on random weights and one random image of `size` × `size` px.

    `plain`: timm's own forward, attention fused. `rollouts`: ours, of every layer. `usual`: the same by hooks and N×N
    products. `inspect`: the whole record, from an array of pixels.
    """
    torch.manual_seed(0)
    model = dcal.create_model(name, num_classes=50, ablation="sa_only", img_size=size).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    images = torch.randn(1, 3, size, size)
    return {
        "plain": lambda: model.backbone(images),
        "rollouts": lambda: model.rollouts(images),
        "usual": lambda: usual_rollouts(model.backbone, images),
        "inspect": lambda: dcal.inspect(model, pixels),
    }

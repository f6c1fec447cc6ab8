"""Small DCAL models on timm's own blocks, for tests: odd, distinct sizes, so that a swapped axis cannot pass."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import Attention
from timm.models import VisionTransformer
from torch import Tensor

import dcal
from tests.oracles import randomise

ROWS, COLS, PATCH = 2, 3, 16
SIZE = (ROWS * PATCH, COLS * PATCH)
WIDTH, HEADS, DEPTH, CLASSES = 24, 3, 4, 5

# What timm's vision transformers differ in, at a size at which loops are fast.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "registers": {"reg_tokens": 2, "no_embed_class": True, "init_values": 1e-5},
    "qk_norm": {"qk_norm": True, "qkv_bias": False},
    "scale_norm": {"scale_attn_norm": True, "scale_mlp_norm": True},
    "gated": {},
    "pre_norm": {"pre_norm": True},
    "average": {"global_pool": "avg"},
}


def small_backbone(variant: str = "plain", **options: Any) -> VisionTransformer:
    """A timm VisionTransformer of 4 layers, 3 heads and width 24 for pictures of 2 × 3 patches."""
    sizes = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "num_heads": HEADS, "depth": DEPTH}
    backbone = VisionTransformer(**{**sizes, "num_classes": CLASSES, **VARIANTS[variant], **options})
    if variant == "gated":  # timm's attention knows gates, but no registered model of a size to test with has them
        for block in backbone.blocks:
            block.attn = Attention(WIDTH, HEADS, qkv_bias=True, gated=True)
    return backbone


def small_model(
    variant: str = "plain",
    ablation: str = "full",
    task: str = "fgvc",
    top_ratio: float = 0.5,
    readout: str = "mean",
    selection: str = "rollout",
    distractor_stream: str = "own",
    **options: Any,
) -> dcal.DCAL:
    """A DCAL model on `small_backbone`, float64, in evaluation mode, every parameter with values that matter."""
    size = options.get("img_size", SIZE)
    config = dcal.ModelConfig(
        backbone=f"small {variant}",
        num_classes=CLASSES,
        ablation=ablation,
        task=task,
        img_size=size,
        top_ratio=top_ratio,
        readout=readout,
        selection=selection,
        distractor_stream=distractor_stream,
        preprocess=dcal.Preprocess(size=size),
    )
    if task == "reid":
        options["num_classes"] = 0
    model = dcal.DCAL(config, small_backbone(variant, **options)).double().eval()
    randomise(model)
    return model


def pictures(count: int, size: tuple[int, int] = SIZE, seed: int = 3) -> Tensor:
    """`count` pictures of noise in float64."""
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

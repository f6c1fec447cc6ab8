"""Attention the slow and obvious way, in float64: what the fast way is held against."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from timm.models import VisionTransformer
from torch import Tensor


def attention_maps(model: VisionTransformer, images: Tensor) -> Tensor:
    """(l, b, h, n, n): every attention map of timm's own forward, softmax written out, in float64."""
    kept: list[Tensor] = []
    model = copy.deepcopy(model).double()
    for block in model.blocks:
        block.attn.forward = written_out(block.attn, kept)
    with torch.no_grad():
        model(images.double())
    return torch.stack(kept)


def written_out(attn: Any, kept: list[Tensor]) -> Callable[..., Tensor]:
    """timm's attention without the fused kernel, leaving each map in `kept` (with its gradient, where there is one)."""

    def forward(x: Tensor, attn_mask: None = None, is_causal: bool = False) -> Tensor:
        b, n, _ = x.shape
        q, k, v = attn.qkv(x).reshape(b, n, 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
        q, k = attn.q_norm(q), attn.k_norm(k)
        scores = (q @ k.transpose(-2, -1) * attn.scale).softmax(dim=-1)
        if scores.requires_grad:
            scores.retain_grad()
        kept.append(scores)
        return attn.proj((scores @ v).transpose(1, 2).reshape(b, n, -1))

    return forward


def rollout_by_products(attention: Tensor) -> Tensor:
    """(l, n, n) head-fused attention → (l, n, n): Ŝ_i = S̄_i S̄_{i-1} … S̄_1 with S̄ = ½ S + ½ E, matrix by matrix."""
    identity = torch.eye(attention.shape[-1], dtype=attention.dtype)
    products = [identity]
    for layer in attention:
        products.append((0.5 * layer + 0.5 * identity) @ products[-1])
    return torch.stack(products[1:])

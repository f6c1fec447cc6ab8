"""The usual way to a rollout, to measure ours against: hooks, all heads' maps, N×N products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from timm.models import VisionTransformer
from torch import Tensor


def usual_rollouts(backbone: VisionTransformer, images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b l n"]:
    """The class row of the rollout after each layer, over all tokens; the logits are computed too and thrown away.

    Attention runs explicitly, a forward hook on each block keeps its maps (b h n n) until the forward is over, and then
    Ŝ_i = (½ mean_h S_i + ½ E) Ŝ_{i-1} is multiplied out: Abnar and Zuidema (2020), the way jacobgil/vit-explain does it
    (its discarding left out).
    """
    with hooked_maps(backbone) as maps:
        backbone(images)
    identity = torch.eye(maps[0].shape[-1], dtype=maps[0].dtype)
    rolled, rows = identity, []
    for layer in maps:
        mixed = (layer.mean(dim=1) + identity) / 2
        rolled = torch.matmul(mixed / mixed.sum(dim=-1, keepdim=True), rolled)
        rows.append(rolled[..., 0, :])
    return torch.stack(rows, dim=1)


@contextmanager
def hooked_maps(backbone: VisionTransformer) -> Iterator[list[Float[Tensor, "b h n n"]]]:
    """A list that each block's attention maps are appended to during a forward; attention is fused again afterwards."""
    maps: list[Tensor] = []
    attentions = [block.attn for block in backbone.blocks]
    fused = [attention.fused_attn for attention in attentions]
    hooks = [a.attn_drop.register_forward_hook(lambda _, __, output: maps.append(output)) for a in attentions]
    for attention in attentions:
        attention.fused_attn = False
    try:
        yield maps
    finally:
        for attention, was in zip(attentions, fused, strict=True):
            attention.fused_attn = was
        for hook in hooks:
            hook.remove()

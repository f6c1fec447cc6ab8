"""Evidence for a chosen class: gradient-weighted rollout, and the relevance of Chefer, Gur and Wolf (ICCV 2021).

Both weigh attention A with its gradient. Attention runs fused, so A is not in the graph; but the output is O = A V,
hence ∇A = ∇O Vᵀ: one backward pass to the outputs O gives everything, and no layer's heads are ever all in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from timm.layers import Attention
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.attention import Attended, attend, attention_rows, project, run_blocks
from dcal.model.dcal import DCAL
from dcal.model.rollout import HeadMean, normalise_rows, rollout_step
from dcal.model.shapes import describe


@dataclass(frozen=True, repr=False)
class Relevance:
    """Class row over all tokens. `gradient_rollout` sums to 1; `relevance` is non-negative and has no fixed sum."""

    gradient_rollout: Float[Tensor, "b n"]
    relevance: Float[Tensor, "b n"]
    __repr__ = describe


@dataclass(frozen=True, repr=False)
class Traced:
    """A layer's queries, keys, values and attention output, the last with a gradient to come.

    In the backbone all n tokens are queries; in GLCA's block only m are.
    """

    q: Float[Tensor, "b h m d"]
    k: Float[Tensor, "b h n d"]
    v: Float[Tensor, "b h n d"]
    output: Float[Tensor, "b h m d"]
    __repr__ = describe


def class_relevance(
    model: DCAL, images: Float[Tensor, "b 3 img_h img_w"], target: int | Int[Tensor, " b"]
) -> Relevance:
    """Both maps for SA's logit of class `target` (an index, or one for each image), in the model's current mode.

    Gradient-weighted rollout: rollout over M = normalise_rows(max(0, mean_h(A ∘ ∇A))), r ← ½ r + ½ r M. Relevance: r ←
    r + r Ā with Ā = mean_h max(0, A ∘ ∇A). Both as a vector, from the last layer down. Raises DCALError for an unknown
    class.
    """
    classes = model.config.num_classes
    targets = torch.as_tensor(target, device=images.device).expand(len(images))
    if unknown := [index for index in targets.tolist() if not 0 <= index < classes]:
        raise DCALError(f"there is no class {unknown[0]}: the model has {classes}, counted from 0")
    with with_gradients():
        traced, tokens = trace(model, model.embed(images.clone()))  # a copy has gradients even if made without
        logits = model.read_sa(tokens).sa_logits.take_along_dim(targets[:, None], dim=1)
        gradients = torch.autograd.grad(logits.sum(), [layer.output for layer in traced])
    rolled = relevant = torch.zeros_like(tokens[:, :1, 0:1]).expand(-1, 1, tokens.shape[1]).clone()
    rolled[..., 0] = 1
    with torch.no_grad():
        for layer, gradient in zip(reversed(traced), reversed(gradients), strict=True):
            signed, positive = weighted_attention(layer, gradient)
            rolled = rollout_step(rolled, HeadMean(normalise_rows(signed)))
            relevant = relevant + HeadMean(positive).apply(relevant)
    return Relevance(rolled[:, 0], relevant[:, 0])


@contextmanager
def with_gradients() -> Iterator[None]:
    """Gradients are recorded inside, whatever the caller's mode, `torch.inference_mode` included."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def trace(model: DCAL, x: Float[Tensor, "b n width"]) -> tuple[list[Traced], Float[Tensor, "b n width"]]:
    """Every layer's `Traced` and the last block's tokens, with gradients."""
    traced: list[Traced] = []

    def self_attention(attention: Attention, normed: Float[Tensor, "b n width"]) -> Attended:
        q, k, v = project(attention, normed)
        output = attend(q, k, v)
        traced.append(Traced(q.detach(), k.detach(), v.detach(), output))
        return output

    tokens = run_blocks(model.backbone.blocks, x.requires_grad_() if x.is_leaf else x, self_attention)
    return traced, tokens


def weighted_attention(
    layer: Traced, gradient: Float[Tensor, "b h n d"]
) -> tuple[Float[Tensor, "b n n"], Float[Tensor, "b n n"]]:
    """(max(0, mean_h(A ∘ ∇A)), mean_h max(0, A ∘ ∇A)), a block of rows at a time."""
    b, _, n, _ = layer.q.shape
    signed, positive = layer.q.new_empty((b, n, n)), layer.q.new_empty((b, n, n))
    values = layer.v.transpose(-2, -1)
    for rows, block in attention_rows(layer.q, layer.k):
        product = block.mul_(gradient[:, :, rows] @ values)
        signed[:, rows] = product.mean(dim=1).clamp_(min=0)
        positive[:, rows] = product.clamp_(min=0).mean(dim=1)
    return signed, positive

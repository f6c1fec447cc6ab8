"""Evidence for a chosen class: gradient-weighted rollout, and the relevance of Chefer, Gur and Wolf (ICCV 2021).

Both weigh attention A with its gradient. Attention runs fused, so A is not in the graph; but the output is O = A V,
hence ∇A = ∇O Vᵀ: one backward pass to the outputs O gives everything, and no layer's heads are ever all in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.attention import Attended, attend, attention_rows, project, run_blocks
from dcal.model.dcal import DCAL
from dcal.model.output import Output
from dcal.model.pooling import attention_pool, finish_pool, pool_heads, pooled_prefix, readout_weights
from dcal.model.positions import Bias, PlacedBlock, placed_blocks
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

    In the backbone all n tokens are queries; in GLCA's block only m are, in an attention pooling one that is no token.
    """

    q: Float[Tensor, "b h m d"]
    k: Float[Tensor, "b h n d"]
    v: Float[Tensor, "b h n d"]
    output: Float[Tensor, "b h m d"]
    bias: Bias | None = None
    __repr__ = describe

    def maps(self) -> Iterator[tuple[slice, Float[Tensor, "b h r n"]]]:
        """A, a block of rows at a time (`attention_rows`)."""
        return attention_rows(self.q, self.k, self.bias)


def class_relevance(
    model: DCAL, images: Float[Tensor, "b 3 img_h img_w"], target: int | Int[Tensor, " b"], start: int = 0
) -> Relevance:
    """Both maps for SA's logit of class `target` (an index, or one for each image), in the model's current mode.

    Gradient-weighted rollout: rollout over M = normalise_rows(max(0, mean_h(A ∘ ∇A))), r ← ½ r + ½ r M. Relevance: r ←
    r + r Ā with Ā = mean_h max(0, A ∘ ∇A). Both as a vector, from the last layer down to layer `start` (0 is the first;
    a later one leaves out the early layers, whose attention is broad). Raises DCALError for an unknown class or layer.
    """
    targets = _classes(model, target, images)
    return score_relevance(model, images, lambda logits: logits.take_along_dim(targets[:, None], dim=1)[:, 0], start)


def contrast_relevance(
    model: DCAL,
    images: Float[Tensor, "b 3 img_h img_w"],
    target: int | Int[Tensor, " b"],
    rivals: Int[Tensor, "b r"],
    gamma: float = 1.0,
    start: int = 0,
) -> Relevance:
    """Both maps for z_target − γ · mean(z_rivals), SA's logits: "this class rather than those" (Finer-CAM, CVPR 2025).

    With γ = 1 and one rival that is the log of how many times more probable the target is; γ = 0 is `class_relevance`.
    Raises DCALError for an unknown class or layer, a γ below 0, and a rival that is the target itself.
    """
    targets, rivals = _classes(model, target, images), _classes(model, rivals, images)
    if not (math.isfinite(gamma) and gamma >= 0):
        raise DCALError(f"gamma weighs the rivals against the target: it must be at least 0, got {gamma}")
    if bool((rivals == targets[:, None]).any()):
        raise DCALError(f"a class cannot be contrasted with itself: targets {targets.tolist()}, {rivals.tolist()}")

    def margin(logits: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
        own = logits.take_along_dim(targets[:, None], dim=1)[:, 0]
        return own - gamma * logits.take_along_dim(rivals, dim=1).mean(dim=1)

    return score_relevance(model, images, margin, start)


def score_relevance(
    model: DCAL,
    images: Float[Tensor, "b 3 img_h img_w"],
    score: Callable[[Float[Tensor, "b c"]], Float[Tensor, " b"]],
    start: int = 0,
) -> Relevance:
    """Both maps for any score of SA's logits, one per image. See `class_relevance`."""
    depth = len(model.backbone.blocks)
    if not 0 <= start < depth:
        raise DCALError(f"there is no layer {start} to start from: the model has {depth}, counted from 0")
    with with_gradients():
        traced, tokens = trace(model, model.embed(images.clone()))  # a copy has gradients even if made without
        pool, output = read_traced(model, tokens)
        counted = [*traced[start:], *([] if pool is None else [pool])]
        scores = score(output.sa_logits)
        gradients = list(torch.autograd.grad(scores.sum(), [layer.output for layer in counted]))
    rolled = relevant = readout_weights(model.backbone, tokens.detach())[:, None]
    with torch.no_grad():
        if pool is not None:  # a learned query attends to the tokens: that is where either map starts
            signed, positive = (over_all(model, row) for row in weighted_attention(pool, gradients.pop()))
            pooled = model.pooled(tokens)
            assert pooled is not None  # where a query attends, tokens are pooled
            relevant, sums = positive, signed.sum(dim=-1, keepdim=True)
            rolled = torch.where(sums > 0, signed / sums, pooled[:, None])  # else as if by no gradient
        for layer, gradient in zip(reversed(traced[start:]), reversed(gradients), strict=True):
            signed, positive = weighted_attention(layer, gradient)
            rolled = rollout_step(rolled, HeadMean(normalise_rows(signed)))
            relevant = relevant + HeadMean(positive).apply(relevant)
    return Relevance(rolled[:, 0], relevant[:, 0])


def _classes(model: DCAL, given: int | Int[Tensor, "*shape"], images: Tensor) -> Int[Tensor, "*shape"]:
    """Class indices on the images' device, a single one repeated for every image."""
    classes, count = torch.as_tensor(given, device=images.device), model.config.num_classes
    if unknown := [index for index in classes.flatten().tolist() if not 0 <= index < count]:
        raise DCALError(f"there is no class {unknown[0]}: the model has {count}, counted from 0")
    return classes.expand(len(images)) if classes.ndim < 2 else classes


@contextmanager
def with_gradients() -> Iterator[None]:
    """Gradients are recorded inside, whatever the caller's mode, `torch.inference_mode` included."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def trace(model: DCAL, x: Float[Tensor, "b n width"]) -> tuple[list[Traced], Float[Tensor, "b n width"]]:
    """Every layer's `Traced` and the last block's tokens, with gradients."""
    traced: list[Traced] = []

    def self_attention(placed: PlacedBlock, normed: Float[Tensor, "b n width"]) -> Attended:
        bias = placed.positions.bias
        q, k, v = project(placed.block.attn, normed, placed.positions)
        output = attend(q, k, v, bias=bias)
        traced.append(Traced(q.detach(), k.detach(), v.detach(), output, bias and bias.detach()))
        return output

    tokens = run_blocks(placed_blocks(model.backbone), x.requires_grad_() if x.is_leaf else x, self_attention)
    return traced, tokens


def read_traced(model: DCAL, tokens: Float[Tensor, "b n width"]) -> tuple[Traced | None, Output]:
    """(the attention of the backbone's pooling, if it has one, over the tokens that it pools; SA's output)."""
    pool = attention_pool(model.backbone)
    if pool is None:
        return None, model.read_sa(tokens)
    q, k, v = pool_heads(pool, model.backbone.norm(tokens)[:, pooled_prefix(model.backbone) :])
    output = attend(q, k, v)
    return Traced(q.detach(), k.detach(), v.detach(), output), model.read_pooled(finish_pool(pool, output))


def over_all(model: DCAL, rows: Float[Tensor, "*b m"]) -> Float[Tensor, "*b n"]:
    """Rows over the tokens that the backbone's attention pooling takes, over all: prefix tokens left out have 0."""
    return torch.nn.functional.pad(rows, [model.layout.prefix + model.layout.patches - rows.shape[-1], 0])


def weighted_attention(
    layer: Traced, gradient: Float[Tensor, "b h m d"]
) -> tuple[Float[Tensor, "b m n"], Float[Tensor, "b m n"]]:
    """(max(0, mean_h(A ∘ ∇A)), mean_h max(0, A ∘ ∇A)), a block of rows at a time."""
    b, _, m, _ = layer.q.shape
    n = layer.k.shape[2]
    signed, positive = layer.q.new_empty((b, m, n)), layer.q.new_empty((b, m, n))
    values = layer.v.transpose(-2, -1)
    for rows, block in layer.maps():
        product = block.mul_(gradient[:, :, rows] @ values)
        signed[:, rows] = product.mean(dim=1).clamp_(min=0)
        positive[:, rows] = product.clamp_(min=0).mean(dim=1)
    return signed, positive

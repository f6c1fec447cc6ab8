"""Forward and backward of one batch, a branch at a time, so that three branches need little more memory than one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError, LossError
from dcal.model.dcal import DCAL
from dcal.model.loss import DCALLoss
from dcal.model.output import Output


@dataclass(frozen=True)
class Step:
    """What a step leaves besides gradients, all detached: the joint loss, each branch's own, the model's output."""

    total: Float[Tensor, ""]
    losses: dict[str, Float[Tensor, ""]]
    output: Output


def forward_backward(
    model: DCAL,
    loss_function: DCALLoss,
    images: Float[Tensor, "b 3 img_h img_w"],
    targets: Int[Tensor, " b"],
    distractor: Int[Tensor, " b"] | None = None,
    *,
    scale: float = 1.0,
    precision: torch.dtype = torch.float32,
) -> Step:
    """Add to every `.grad` what `(scale * loss_function(model(images, distractor), targets)[0]).backward()` would.

    The embedding is computed once and detached. SA and GLCA go forward and backward from there; only then does PWCA, so
    that the two never hold their activations together; the gradients of both add up at its output, and goes
    back through it last. The gradients are the same sum in another order, and random draws (stochastic depth) come in
    the same order as in `forward`. So do the updates of Re-ID's batch-norm neck: SA and PWCA each normalise by their
    own batch, and the running averages, which inference uses for SA alone, are over both. Where SA's stream distracts
    (an ablation), PWCA's loss reaches into SA's activations, so all branches go back together, with their memory.

    `scale` is for gradient accumulation: 1 / the number of batches that share an optimizer step (the losses that come
    back are not scaled). `precision` other than float32 is autocast's for the forward; backward runs outside of it.

    Raises LossError before the backward that a loss which is not finite would enter; gradients of the stage before it
    are there by then, so call `zero_grad` if you go on. The model is the bare one: a wrapper that reduces gradients
    when they are ready (DistributedDataParallel) would do so more than once; reduce them afterwards instead.
    """
    pairs = "pwca" in loss_function.branches
    if pairs and distractor is None:
        raise DCALError("the loss has a PWCA branch, so every image needs a distractor (random_matching)")
    autocast = torch.autocast(images.device.type, precision, enabled=precision != torch.float32)
    with autocast:
        x = model.embed(images)
    embedded = x.detach().requires_grad_()

    stream = model.shared_stream() if pairs else None
    with autocast:
        output = model.forward_alone(embedded, stream=stream)
        losses = {b: loss_function.branch_loss(output, b, targets) for b in loss_function.branches if b != "pwca"}
    total, waiting = images.new_zeros(()), dict(losses)
    if stream is None and waiting:
        total, waiting = _backward(loss_function, waiting, scale), {}
        output = output.detach()  # lets go of the graph before the next one is built

    if pairs and distractor is not None:
        with autocast:
            logits, feature = model.forward_pairs(embedded, distractor, stream)
            output = replace(output, pwca_logits=logits, pwca_feature=feature)
            waiting["pwca"] = losses["pwca"] = loss_function.branch_loss(output, "pwca", targets)
        total = total + _backward(loss_function, waiting, scale)

    if x.requires_grad:  # not when the embedding is frozen
        x.backward(embedded.grad)
    return Step(total, {branch: loss.detach() for branch, loss in losses.items()}, output.detach())


def _backward(loss_function: DCALLoss, losses: Mapping[str, Float[Tensor, ""]], scale: float) -> Float[Tensor, ""]:
    """Backward of the joint loss's terms for these branches; their sum, detached."""
    joint = loss_function.joint(losses)
    if not torch.isfinite(joint):
        raise LossError({branch: loss.item() for branch, loss in losses.items()})
    (joint * scale).backward()
    return joint.detach()

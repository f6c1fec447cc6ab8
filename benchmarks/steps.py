"""What is compared: one training step of one backbone, plain, of every ablation, and in the naive way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import dcal
from dcal.model.attention import finish_block, project
from dcal.model.glca import select_patches
from dcal.model.output import Output
from dcal.training.step import forward_backward
from dcal.training.train import compile_branches

CLASSES = 50
WAYS = ("plain", *dcal.ABLATIONS, "joint", "naive")


def steps(
    name: str,
    size: int,
    batch: int,
    precision: torch.dtype,
    device: torch.device,
    ways: Sequence[str] = WAYS,
    channels_last: bool = False,
    compiled: bool = False,
) -> dict[str, Callable[[], float]]:
    """Calls that do one optimizer step each and return its loss, on random weights and images.

    `plain`: timm's own model, fused attention. The ablations: `dcal.training.step`. `joint`: `full`, one backward for
    all branches. `naive`: `full` as it is usually written, a forward for each branch, every N×N map made and kept.
    `plain` and the ablations can be `compiled` (torch.compile, the ablations as `dcal train --compile` does it).
    """
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.preserve_format
    images = torch.randn(batch, 3, size, size, device=device).to(memory_format=layout)
    targets = torch.randint(0, CLASSES, (batch,), device=device)
    autocast = torch.autocast(device.type, precision, enabled=precision != torch.float32)

    def made(ablation: str) -> tuple[dcal.DCAL, dcal.DCALLoss, torch.optim.AdamW]:
        model = dcal.create_model(name, CLASSES, ablation=ablation, img_size=size, drop_path=0.1).train().to(device)
        loss = dcal.DCALLoss(model.config.branches).to(device)
        parameters = [*model.to(memory_format=layout).parameters(), *loss.parameters()]
        return model, loss, torch.optim.AdamW(parameters, lr=1e-5, fused=True)

    def plain() -> Callable[[], float]:
        model, _, optimizer = made("sa_only")
        forward = torch.compile(model.backbone) if compiled else model.backbone
        return lambda: stepped(optimizer, lambda: F.cross_entropy(forward(images), targets))

    def ours(ablation: str) -> Callable[[], float]:
        model, loss, optimizer = made(ablation)
        pairs = "pwca" in model.config.branches
        if compiled:
            compile_branches(model)

        def step() -> float:
            optimizer.zero_grad()
            partner = dcal.random_matching(batch).to(device) if pairs else None
            taken = forward_backward(model, loss, images, targets, partner, precision=precision)
            optimizer.step()
            return taken.total.item()

        return step

    def together(forward: Callable[[dcal.DCAL, Tensor, Tensor], Output]) -> Callable[[], float]:
        model, loss, optimizer = made("full")

        def joint_loss() -> Tensor:
            return loss(forward(model, images, dcal.random_matching(batch).to(device)), targets)[0]

        return lambda: stepped(optimizer, joint_loss)

    def stepped(optimizer: torch.optim.AdamW, loss_of: Callable[[], Tensor]) -> float:
        optimizer.zero_grad()
        with autocast:
            loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    makers: dict[str, Callable[[], Callable[[], float]]] = {
        **{"plain": plain, **{ablation: partial(ours, ablation) for ablation in dcal.ABLATIONS}},
        **{
            "joint": lambda: together(lambda model, x, d: model(x, distractor=d)),
            "naive": lambda: together(naive_forward),
        },
    }
    return {way: makers[way]() for way in ways}


def naive_forward(model: dcal.DCAL, images: Tensor, distractor: Tensor) -> Output:
    """The three branches of `full`, each with a forward of its own, explicit attention and no shared work."""
    sa = model.read_sa(explicit(model, images)[0])
    tokens, maps = explicit(model, images)
    rollout = torch.eye(tokens.shape[1], device=tokens.device)
    for attention in maps:  # N×N products, heads fused by their mean
        identity = torch.eye(attention.shape[-1], device=attention.device)
        rollout = (0.5 * attention.detach().float().mean(dim=1) + 0.5 * identity) @ rollout
    scores = rollout[:, 0, model.layout.prefix :]
    logits, feature = model.read_glca(tokens, select_patches(scores, model.config.top_ratio))
    pwca = model.read_sa(explicit(model, images, distractor)[0])
    return Output(sa.sa_logits, sa.sa_feature, logits, feature, pwca.sa_logits, pwca.sa_feature)


def explicit(model: dcal.DCAL, images: Tensor, distractor: Tensor | None = None) -> tuple[Tensor, Sequence[Tensor]]:
    """(the last block's tokens, every layer's attention) by softmax(Q Kᵀ / √d) V as written, keys joined in pairs."""
    x, maps = model.embed(images), []
    for block in model.backbone.blocks:
        normed = block.norm1(x)
        q, k, v = project(block.attn, normed)
        if distractor is not None:
            k, v = (torch.cat([own, own[distractor]], dim=2) for own in (k, v))
        maps.append((q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(dim=-1))
        x = finish_block(block, x, normed, maps[-1] @ v)
    return x, maps


def same_losses(model: dcal.DCAL, images: Tensor, distractor: Tensor) -> dict[str, Any]:
    """The largest difference between the naive way's logits and ours, per branch: the two must be one computation."""
    with torch.no_grad():
        ours, naive = model(images, distractor=distractor), naive_forward(model, images, distractor)
    names = ("sa_logits", "glca_logits", "pwca_logits")
    return {name: float((getattr(ours, name) - getattr(naive, name)).abs().max()) for name in names}

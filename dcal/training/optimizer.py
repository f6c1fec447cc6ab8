"""The optimizer: parameter groups, their rates, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from dcal.model.dcal import DCAL
from dcal.training.config import TrainConfig


def parameter_groups(model: DCAL, loss: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Every parameter of the model and of the loss that learns, once, in groups of one weight decay and one "rate".

    "rate" multiplies the learning rate, see `rate_of`. Without weight decay: biases, norms and layer scales (vectors),
    what timm names in `no_weight_decay` (position embeddings, class and register tokens), biases of the attention by
    relative position, and the loss weights.
    """
    backbone: Any = model.backbone
    exempt = {f"backbone.{name}" for name in backbone.no_weight_decay()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # the shift of Re-ID's necks
            continue
        place = name.endswith(("relative_position_bias_table", ".pos_embed_x", ".pos_embed_y"))  # of GLCA's block, too
        decay = 0.0 if parameter.ndim < 2 or name in exempt or place else config.weight_decay
        groups.setdefault((rate_of(name, len(backbone.blocks), config), decay), []).append(parameter)
    groups.setdefault((config.loss_weight_rate, 0.0), []).extend(loss.parameters())
    return [
        {"params": parameters, "rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
        if parameters
    ]


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of `config` over the groups of `parameter_groups`."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.peak_rate, momentum=config.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=config.peak_rate, fused=True)


def rate_of(name: str, blocks: int, config: TrainConfig) -> float:
    """What multiplies the learning rate of the model's parameter `name`, in a backbone of so many blocks.

    Classifiers: head_rate. Block i: layer_decay^(blocks - 1 - i); what stands before the first: layer_decay^blocks.
    The final norm, an attention pooling, GLCA's block and further branches, above the last: 1.
    """
    if name.startswith(("backbone.head", "sa_classifier.", "glca_classifier.", "more_classifiers.")):
        return config.head_rate
    if name.startswith(("backbone.norm.", "backbone.fc_norm.", "backbone.attn_pool.", "glca.", "more.")):
        return 1.0
    depth = int(name.split(".")[2]) + 1 if name.startswith("backbone.blocks.") else 0
    return config.layer_decay ** (blocks - depth)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """The rate of step 0, 1, … of the run: linear over the warm-up, then half a cosine.

    Step k of a warm-up of K steps learns at (k + 1) / K of the peak, its last one at the peak. The cosine is 0 one step
    after the run's last, which therefore still learns.
    """
    warmup, total = config.warmup * steps_per_epoch, config.epochs * steps_per_epoch
    if step + 1 < warmup:
        return config.peak_rate * (step + 1) / warmup
    return config.peak_rate * 0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / (total + 1 - warmup)))

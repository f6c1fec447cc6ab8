"""The recipe: the numbers that follow from what a training run is told."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import timm
import torch
from timm.models import VisionTransformer
from torch import nn

from dcal.data.records import Record
from dcal.data.reid.base import ReIDRecord
from dcal.errors import DCALError, check_choice
from dcal.model.dcal import DCAL
from dcal.preprocess import Preprocess
from dcal.training.presets import TrainConfig


def find_device(name: str) -> torch.device:
    """A device by name; "auto" is the GPU if there is one. Raises DCALError for one that this machine does not have."""
    cuda = torch.cuda.is_available()
    check_choice("device", name.partition(":")[0], ("auto", "cpu", "cuda"))
    if name.startswith("cuda") and not cuda:
        raise DCALError("device is 'cuda', but torch finds no GPU here: use 'cpu' or 'auto'")
    return torch.device(("cuda" if cuda else "cpu") if name == "auto" else name)


def precision(config: TrainConfig, device: torch.device) -> torch.dtype:
    """What the forward pass computes in: bfloat16 under autocast, or float32."""
    half = config.amp == "bf16" or (config.amp == "auto" and device.type == "cuda")
    return torch.bfloat16 if half else torch.float32


def preprocess_for(config: TrainConfig) -> Preprocess:
    """The whole photo squashed, then `crop_fraction` of it cut out: the paper's "resize 550, crop 448"; 1 for Re-ID.

    Mean, standard deviation and interpolation are those that the backbone was trained with.
    """
    size = config.size
    cfg = timm.get_pretrained_cfg(config.backbone) if timm.is_model(config.backbone) else None
    if cfg is None:  # create_model says what is wrong with the name
        return Preprocess(size=size, crop_fraction=config.crop_fraction)
    return Preprocess(
        size=size,
        crop_fraction=config.crop_fraction,
        mean=cfg.mean,
        std=cfg.std,
        interpolation=cfg.interpolation,
    )


def parameter_groups(model: DCAL, loss: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Every parameter of the model and of the loss that learns, once, in groups of one weight decay and one "rate".

    "rate" multiplies the learning rate, see `rate_of`. Without weight decay: biases, norms and layer scales (vectors),
    what timm names in `no_weight_decay` (position embeddings, class and register tokens), and the loss weights.
    """
    backbone = cast(VisionTransformer, model.backbone)
    exempt = {f"backbone.{name}" for name in backbone.no_weight_decay()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # the shift of Re-ID's necks
            continue
        decay = 0.0 if parameter.ndim < 2 or name in exempt else config.weight_decay
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
    The final norm and GLCA's block, fresh and above the last: 1.
    """
    if name.startswith(("backbone.head", "sa_classifier.", "glca_classifier.")):
        return config.head_rate
    if name.startswith(("backbone.norm.", "backbone.fc_norm.", "glca.")):
        return 1.0
    depth = int(name.split(".")[2]) + 1 if name.startswith("backbone.blocks.") else 0
    return config.layer_decay ** (blocks - depth)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Linear from 0 to the peak over the warm-up, then half a cosine down to 0 at the last step."""
    warmup, total = config.warmup_epochs * steps_per_epoch, config.epochs * steps_per_epoch
    if step + 1 < warmup:
        return config.peak_rate * (step + 1) / warmup
    return config.peak_rate * 0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / (total + 1 - warmup)))


def draw_seed(seed: int, epoch: int, step: int = -1, shard: int = 0) -> int:
    """One number from the four, unrelated between neighbours.

    Epoch -1 stands for the model's initial values, step -1 for an epoch's order. As every step has its own, a run can
    be continued in the middle of an epoch without the generators' states.
    """
    return int(np.random.SeedSequence((seed, epoch + 1, step + 1, shard)).generate_state(1)[0])


def hold_out(records: tuple[Record, ...], fraction: float, seed: int) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """(kept, held out): of every class, round(fraction × its photos) drawn by `seed` are held out."""
    random = np.random.default_rng((seed, 0))
    members: dict[int, list[int]] = {}
    for index, record in enumerate(records):
        members.setdefault(record.label, []).append(index)
    held = {int(i) for own in members.values() for i in random.permutation(own)[: round(fraction * len(own))]}
    return (
        tuple(record for index, record in enumerate(records) if index not in held),
        tuple(record for index, record in enumerate(records) if index in held),
    )


def hold_out_identities(
    records: tuple[ReIDRecord, ...], fraction: float, seed: int
) -> tuple[tuple[ReIDRecord, ...], tuple[ReIDRecord, ...]]:
    """(kept, held out): all photos of round(fraction × the identities), drawn by `seed`, are held out.

    In re-identification those that are asked for are strangers, so whole identities must be.
    """
    identities = sorted({record.identity for record in records})
    order = np.random.default_rng((seed, 0)).permutation(len(identities))
    held = {identities[place] for place in order[: round(fraction * len(identities))]}
    return (
        tuple(record for record in records if record.identity not in held),
        tuple(record for record in records if record.identity in held),
    )

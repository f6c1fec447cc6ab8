"""The recipe: what a training run is told, and the numbers that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import timm
import torch
from timm.models import VisionTransformer
from torch import nn

from dcal.config import branches
from dcal.data import DATASETS
from dcal.data.record import Record
from dcal.errors import DCALError, known
from dcal.model import DCAL
from dcal.preprocess import Preprocess


@dataclass(frozen=True)
class TrainConfig:
    """One training run. "Paper" marks its FGVC recipe; the rest says where the number is from."""

    data_root: Path  # the folder that holds the data set in its official layout
    out: Path  # log.jsonl, last.pt (to resume) and checkpoint/ (to use) go here
    task: Literal["fgvc"] = "fgvc"
    dataset: str = "cub"
    backbone: str = "deit_tiny_patch16_224"  # the smallest of the paper's
    pretrained: str = "true"  # "true": timm's weights from the hub; "false": random; or a .safetensors file
    ablation: str = "full"  # full | sa_glca | sa_pwca | sa_only
    img_size: int = 224  # pixels; the paper trains at 448
    top_ratio: float = 0.10  # R; paper, FGVC
    readout: str = "mean"  # what GLCA's embedding is read from; see dcal.glca
    selection: str = "rollout"  # GLCA's queries; "random" is the paper's control
    distractor_stream: str = "own"  # whose keys and values distract in PWCA; "sa" is an ablation
    epochs: int = 100  # paper
    batch_size: int = 16  # paper; the last, smaller batch of an epoch is dropped, so that every step weighs the same
    learning_rate: float | None = None  # peak; None: the paper's 5e-4 / 512 per photo of the batch
    weight_decay: float = 0.05  # paper; not on biases, norms, position embeddings, class token, loss weights
    head_rate: float = 1.0  # × learning_rate, for the fresh classifiers (SA's and GLCA's); paper silent
    layer_decay: float = 1.0  # block i of L learns at layer_decay^(L-1-i) × learning_rate, the embedding at ^L (BEiT)
    loss_weight_rate: float = 1.0  # × learning_rate, for the loss weights w; paper silent
    warmup_epochs: float = 1.0  # paper silent; linear. DeiT warms up for 5 of 300
    drop_path: float = 0.1  # stochastic depth is the paper's, the rate DeiT's
    label_smoothing: float = 0.0  # paper: plain cross-entropy
    val_fraction: float = 0.0  # part of the training photos held out to choose the best epoch; 0: the last one counts
    eval_every: int = 0  # epochs between evaluations on the way; 0: after the last one only
    log_every: int = 10  # steps between lines of log.jsonl
    save_every: int = 500  # steps between states to resume from, besides each epoch's end; 0: there only
    seed: int = 0
    workers: int = 2  # loader processes; they cannot change a number
    device: str = "auto"  # auto: cuda when there is one, else cpu
    amp: Literal["auto", "bf16", "off"] = "auto"  # auto: bfloat16 autocast on cuda, float32 on a CPU
    resume: bool = False  # continue from out/last.pt; from the start if there is none yet

    def __post_init__(self) -> None:
        known("dataset", self.dataset, DATASETS)
        branches(self.ablation)
        for name in ("epochs", "batch_size", "img_size", "log_every"):
            if getattr(self, name) < 1:
                raise DCALError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise DCALError(f"warmup_epochs must lie in [0, epochs = {self.epochs}), got {self.warmup_epochs}")
        for name in ("head_rate", "layer_decay", "loss_weight_rate"):
            if not getattr(self, name) > 0:
                raise DCALError(f"{name} must be greater than 0, got {getattr(self, name)}")
        for name in ("eval_every", "save_every", "workers", "weight_decay", "drop_path", "label_smoothing", "seed"):
            if getattr(self, name) < 0:
                raise DCALError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.val_fraction < 1:
            raise DCALError(f"val_fraction must lie in [0, 1), got {self.val_fraction}")

    @property
    def peak_rate(self) -> float:
        return 5e-4 / 512 * self.batch_size if self.learning_rate is None else self.learning_rate


def device_of(config: TrainConfig) -> torch.device:
    """Where to train: `find_device` of its name."""
    return find_device(config.device)


def find_device(name: str) -> torch.device:
    """A device by name; "auto" is the GPU if there is one. Raises DCALError for one that this machine does not have."""
    cuda = torch.cuda.is_available()
    known("device", name.partition(":")[0], ("auto", "cpu", "cuda"))
    if name.startswith("cuda") and not cuda:
        raise DCALError("device is 'cuda', but torch finds no GPU here: use 'cpu' or 'auto'")
    return torch.device(("cuda" if cuda else "cpu") if name == "auto" else name)


def fgvc_preprocess(config: TrainConfig) -> Preprocess:
    """The whole photo squashed, then 7/8 of it cut out: the paper's "resize 550, crop 448", at the ratio 256 : 224.

    Mean, standard deviation and interpolation are those that the backbone was trained with.
    """
    size = (config.img_size, config.img_size)
    cfg = timm.get_pretrained_cfg(config.backbone) if timm.is_model(config.backbone) else None
    if cfg is None:  # create_model says what is wrong with the name
        return Preprocess(size=size)
    return Preprocess(size=size, mean=cfg.mean, std=cfg.std, interpolation=cfg.interpolation)


def parameter_groups(model: DCAL, loss: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Every parameter of the model and of the loss, once, in groups of one weight decay and one "rate".

    "rate" multiplies the learning rate, see `rate_of`. Without weight decay: biases, norms and layer scales (vectors),
    what timm names in `no_weight_decay` (position embeddings, class and register tokens), and the loss weights.
    """
    backbone = cast(VisionTransformer, model.backbone)
    exempt = {f"backbone.{name}" for name in backbone.no_weight_decay()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay = 0.0 if parameter.ndim < 2 or name in exempt else config.weight_decay
        groups.setdefault((rate_of(name, len(backbone.blocks), config), decay), []).append(parameter)
    groups.setdefault((config.loss_weight_rate, 0.0), []).extend(loss.parameters())
    return [
        {"params": parameters, "rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
        if parameters
    ]


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


def draw_seed(seed: int, epoch: int, step: int = -1) -> int:
    """One number from the three, unrelated between neighbours.

    Epoch -1 stands for the model's initial values, step -1 for an epoch's order. As every step has its own, a run can
    be continued in the middle of an epoch without the generators' states.
    """
    return int(np.random.SeedSequence((seed, epoch + 1, step + 1)).generate_state(1)[0])


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

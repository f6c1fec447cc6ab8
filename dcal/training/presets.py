"""Presets: `config = CUBConfig(); config.batch_size = 32`, or `CUBConfig(batch_size=32, learning_rate=1e-3)`.

TrainConfig's defaults are the paper's recipe for fine-grained data sets, ReIDConfig's the one for re-identification,
each number with its source; a preset says what differs. On the command line the data set chooses its preset
(`--dataset cars`), `--preset` another, and every field is an option that overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dcal.data import data_sets
from dcal.errors import check_choice
from dcal.training.config import TrainConfig

# --- the paper's data sets: its recipe as it is. Top-1 % in the paper, plain -> with DCAL -----------------------------
#             DeiT-T         DeiT-S         DeiT-B         ViT-B          R50-ViT-B (not a backbone here)
# CUB         82.1 -> 84.6   85.8 -> 87.6   88.0 -> 88.8   90.8 -> 91.4   91.3 -> 92.0
# Cars        87.2 -> 89.4   90.7 -> 92.3   92.9 -> 93.8   92.5 -> 93.4   94.0 -> 95.3
# Aircraft    84.7 -> 87.4   88.1 -> 90.0   90.3 -> 92.6   90.0 -> 91.5   92.4 -> 93.3
# Backbones by timm's names: deit_{tiny,small,base}_patch16_224 (ImageNet-1k), vit_base_patch16_224.augreg_in21k.


@dataclass
class CUBConfig(TrainConfig):
    """`dcal train --dataset cub --data-root CUB_200_2011`: 200 birds, 5,994 images to train and 5,794 to test."""

    preset = "cub"
    dataset: str = "cub"


@dataclass
class CarsConfig(TrainConfig):
    """`dcal train --dataset cars --data-root cars`: 196 cars, 8,144 images to train and 8,041 to test."""

    preset = "cars"
    dataset: str = "cars"


@dataclass
class AircraftConfig(TrainConfig):
    """`dcal train --dataset aircraft --data-root fgvc-aircraft-2013b`: 100 aeroplanes, 6,667 and 3,333 images."""

    preset = "aircraft"
    dataset: str = "aircraft"


@dataclass
class FGVCConfig(TrainConfig):
    """`dcal train --preset fgvc --dataset folder --data-root images`: any data set of labelled images."""

    preset = "fgvc"


# --- smaller budgets --------------------------------------------------------------------------------------------------


@dataclass
class CUB50Config(TrainConfig):
    """`dcal train --preset cub50 --data-root CUB_200_2011`: CUB's first fifty classes, in an hour or so on a CPU.

    What the bundled checkpoints were trained with; README.md says what came out.
    """

    preset = "cub50"
    dataset: str = "cub"
    img_size: int | tuple[int, int] = 224  # a quarter of the tokens; the backbone's own size
    crop_fraction: float = 224 / 256  # the usual ratio at this size
    epochs: int = 10
    # In a tenth of the paper's epochs its 1.6e-5 arrives nowhere. On held-out training images, after ten epochs of
    # SA alone: 1e-4 for all parameters 75.6 %; with the two lines below it, 2e-4 gave 79.3 % and 4e-4 79.3 %.
    learning_rate: float | None = 2e-4
    head_rate: float = 5.0
    layer_decay: float = 0.75
    loss_weight_rate: float = 20.0  # at the others' rate the loss weights moved by 0.04 in all
    label_smoothing: float = 0.1


@dataclass
class SmallConfig(CUB50Config):
    """`dcal train --preset small --dataset folder --data-root images`: a few hundred to a few thousand images.

    The rates of `cub50`, which fit ten to some dozens of images a class; minutes to an hour on a CPU. Chosen by itself
    for a data set of the user's own with less than 5,000 images to train on.
    """

    preset = "small"
    dataset: str = "folder"
    epochs: int = 20


# --- re-identification: the paper's recipe. mAP / rank-1 % in the paper, plain -> with DCAL ---------------------------
#               DeiT-T                   DeiT-S                   DeiT-B                   ViT-B
# Market-1501  77.9/90.3 -> 79.8/91.8   84.3/93.7 -> 85.3/94.0   86.6/94.4 -> 87.2/94.5   87.1/94.3 -> 87.5/94.7
# DukeMTMC     69.5/82.9 -> 71.7/84.9   75.7/87.6 -> 77.4/87.9   79.1/88.7 -> 80.2/89.6   78.9/89.4 -> 80.1/89.0
# MSMT17       42.1/63.9 -> 44.9/68.2   53.3/75.0 -> 55.1/77.3   60.5/81.6 -> 62.3/83.1   61.6/81.4 -> 64.0/83.1
# VeRi-776     71.3/94.3 -> 74.1/94.7   76.7/95.5 -> 78.1/95.9   78.3/95.9 -> 80.0/96.5   78.1/96.0 -> 80.2/96.9


@dataclass
class ReIDConfig(TrainConfig):
    """`dcal train --task reid --dataset reid-csv --data-root images.csv`: any Re-ID data set, 256 × 128 pixels."""

    preset = "reid"
    task: Literal["fgvc", "reid"] = "reid"
    dataset: str = "market1501"
    img_size: int | tuple[int, int] = (256, 128)  # paper
    crop_fraction: float = 1.0  # the whole image; training pads it and crops back (dcal.data.samples)
    top_ratio: float = 0.30  # R; paper, Re-ID
    epochs: int = 120  # paper
    batch_size: int = 64  # paper: 16 identities × 4
    optimizer: Literal["adamw", "sgd"] = "sgd"  # paper
    learning_rate: float | None = 0.008  # paper
    weight_decay: float = 1e-4  # paper
    warmup_epochs: float = 5.0  # paper silent; TransReID, whose recipe it is
    triplet: float = 1.0  # paper: cross-entropy + triplet; weighed alike by TransReID


@dataclass
class MarketConfig(ReIDConfig):
    """`dcal train --dataset market1501 --data-root Market-1501-v15.09.15`: 751 persons, 12,936 images to train."""

    preset = "market1501"


@dataclass
class DukeConfig(ReIDConfig):
    """`dcal train --dataset dukemtmc --data-root DukeMTMC-reID`: 702 persons, 16,522 images to train."""

    preset = "dukemtmc"
    dataset: str = "dukemtmc"


@dataclass
class MSMTConfig(ReIDConfig):
    """`dcal train --dataset msmt17 --data-root MSMT17_V1`: 1,041 persons, 32,621 images to train."""

    preset = "msmt17"
    dataset: str = "msmt17"


@dataclass
class VeRiConfig(ReIDConfig):
    """`dcal train --dataset veri776 --data-root VeRi`: 576 vehicles, 37,778 images to train."""

    preset = "veri776"
    dataset: str = "veri776"
    img_size: int | tuple[int, int] = 256  # paper: vehicles are square


@dataclass
class Vehicle2CamConfig(ReIDConfig):
    """`dcal train --dataset vehicle2cam --data-root vehicle2cam`: 507 vehicles, 1,014 images to train."""

    preset = "vehicle2cam"
    dataset: str = "vehicle2cam"
    img_size: int | tuple[int, int] = 256  # paper: vehicles are square
    instances: int = 2  # there are two images of a vehicle; with four, each would be there twice


@dataclass
class YardConfig(ReIDConfig):
    """`dcal train --dataset yard`: the 80 vehicles that come with this package, in half an hour or so on a CPU.

    What the bundled Re-ID checkpoints were trained with, together with vehicle2cam (`--also vehicle2cam --also-root
    vehicle2cam`, `--amp bf16`); README.md says what came out. The rates are `cub50`'s, but the learning rate: on 16
    held-out vehicles of the yard, after four epochs of SA alone at 224 pixels, 5e-4 gave a mAP of 0.428 and a training
    loss of 3.2, 1.5e-3 gave 0.437 and 1.2; and 5e-4 with a layer decay of 0.9 gave 0.432 and 3.0.
    """

    preset = "yard"
    dataset: str = "yard"
    img_size: int | tuple[int, int] = 256  # paper: vehicles are square
    epochs: int = 6
    optimizer: Literal["adamw", "sgd"] = "adamw"  # the paper's SGD at its rate needs its 120 epochs
    learning_rate: float | None = 1.5e-3
    weight_decay: float = 0.05  # the paper's for AdamW, FGVC
    head_rate: float = 5.0
    layer_decay: float = 0.75
    loss_weight_rate: float = 20.0
    warmup_epochs: float = 1.0
    batch_size: int = 32  # twice the steps of 64
    instances: int = 2  # vehicle2cam has two images of a vehicle


@dataclass
class SmallReIDConfig(YardConfig):
    """`dcal train --preset small-reid --dataset reid-csv --data-root images.csv`: some hundred to thousand images.

    The rates of `yard`, with twice its epochs; the image shape is the paper's for persons (`--img-size 256` for
    vehicles). Chosen by itself for a data set of the user's own with less than 5,000 images to train on.
    """

    preset = "small-reid"
    dataset: str = "reid-csv"
    img_size: int | tuple[int, int] = (256, 128)
    epochs: int = 12


PRESETS: dict[str, type[TrainConfig]] = {
    **{"fgvc": FGVCConfig, "cub": CUBConfig, "cars": CarsConfig, "aircraft": AircraftConfig},
    **{"cub50": CUB50Config, "small": SmallConfig, "small-reid": SmallReIDConfig},
    **{"reid": ReIDConfig, "market1501": MarketConfig, "dukemtmc": DukeConfig, "msmt17": MSMTConfig},
    **{"veri776": VeRiConfig, "vehicle2cam": Vehicle2CamConfig, "yard": YardConfig},
}


FEW = 5000  # images to train on, below which the paper's rates and epochs learn too little


def preset_for(
    preset: str | None = None,
    task: str | None = None,
    dataset: str | None = None,
    images: int | None = None,
    identities: int | None = None,
) -> TrainConfig:
    """The preset by its name, else the data set's; for a data set without one, the paper's recipe of the task.

    `images`, how many there are to train on, if known: for few of them, a data set without a preset of its own gets
    `small` or `small-reid`, with a smaller batch where they or, in re-identification, their `identities` do not fill
    one. Without a task, the preset's own counts, then the one that the data set belongs to (the
    yard to both: "reid").
    """
    if preset is not None:
        return PRESETS[check_choice("preset", preset, PRESETS)]()
    own = PRESETS.get(dataset or "cub")
    if own is not None and task in (None, own().task):
        return own()
    reid = task == "reid" if task is not None else dataset in data_sets("reid")
    few = images is not None and images < FEW
    if not few:
        return ReIDConfig() if reid else FGVCConfig()
    if not reid:
        return SmallConfig(batch_size=min(SmallConfig.batch_size, images or 1))
    config = SmallReIDConfig()
    if identities:
        config.batch_size = min(config.batch_size, identities * config.instances)
    return config

"""What a training run is told, and presets: `CUBConfig(batch_size=32, learning_rate=1e-3, top_ratio=0.15)`.

TrainConfig's defaults are the paper's recipe for fine-grained data sets, ReIDConfig's the one for re-identification,
each number with its source; a preset says what differs. On the command line the data set chooses its preset
(`--dataset cars`), `--preset` another, and every field is an option that overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from dcal.data import data_sets, place_of
from dcal.errors import DCALError, check_choice
from dcal.model.config import branches

POSITIVE = ("learning_rate", "head_rate", "layer_decay", "loss_weight_rate", "img_width")
AT_LEAST_ONE = ("epochs", "batch_size", "accumulate", "img_size", "instances", "log_every")
AT_LEAST_ZERO = (
    *("eval_every", "save_every", "workers", "weight_decay", "seed"),
    *("triplet", "momentum"),
)
FOLDERS = ("data_root", "out", "also_root")


@dataclass(frozen=True)
class TrainConfig:
    """One training run. "Paper" marks its FGVC recipe, unless "Re-ID" is said; the rest says where a number is from."""

    preset: ClassVar[str | None] = None  # its name in PRESETS

    data_root: Path | None = None  # the folder that holds the data set in its official layout; the yard needs none
    out: Path | None = None  # log.jsonl, last.pt and checkpoint/ go here; None: runs/<preset or data set>-<ablation>
    task: Literal["fgvc", "reid"] = "fgvc"
    dataset: str = "cub"
    also: str | None = None  # reid: a second data set, trained on together with the first and evaluated apart
    also_root: Path | None = None  # the folder that holds it
    backbone: str = "deit_tiny_patch16_224"  # the smallest of the paper's
    pretrained: str = "true"  # "true": timm's weights from the hub; "false": random; or a .safetensors file
    ablation: str = "full"  # full | sa_glca | sa_pwca | sa_only
    img_size: int = 448  # pixels; paper. The height, where img_width is given
    img_width: int | None = None  # pixels; None: as the height
    crop_fraction: float = 448 / 550  # side of the crop over the resized photo's; paper: resize 550, crop 448
    top_ratio: float = 0.10  # R; paper, FGVC
    readout: str = "mean"  # what GLCA's embedding is read from; see dcal.model.glca
    selection: str = "rollout"  # GLCA's queries; "random" is the paper's control
    distractor_stream: str = "own"  # whose keys and values distract in PWCA; "sa" is an ablation
    epochs: int = 100  # paper
    batch_size: int = 16  # paper; the last, smaller batch of an epoch is dropped, so that every step weighs the same
    instances: int = 4  # reid: photos of each identity in a batch, which has batch_size / instances identities; paper
    accumulate: int = (
        1  # parts that a process takes its share of the batch in, one after another; photos are compared within one
    )
    optimizer: Literal["adamw", "sgd"] = "adamw"  # paper: "Adam"; weight decay apart from the gradient as DeiT has it
    momentum: float = 0.9  # of sgd; paper, Re-ID
    learning_rate: float | None = None  # peak; None: the paper's 5e-4 / 512 per photo of the batch
    weight_decay: float = 0.05  # paper; not on biases, norms, position embeddings, class token, loss weights
    head_rate: float = 1.0  # × learning_rate, for the fresh classifiers (SA's and GLCA's); paper silent
    layer_decay: float = 1.0  # block i of L learns at layer_decay^(L-1-i) × learning_rate, the embedding at ^L (BEiT)
    loss_weight_rate: float = 1.0  # × learning_rate, for the loss weights w; paper silent
    warmup_epochs: float = 1.0  # paper silent; linear. DeiT warms up for 5 of 300
    drop_path: float = 0.1  # stochastic depth is the paper's, the rate DeiT's
    label_smoothing: float = 0.0  # paper: plain cross-entropy
    triplet: float = 0.0  # × the soft-margin batch-hard triplet loss, added to the cross-entropy of every branch; reid
    one_camera: bool = False  # reid: photos are of one camera, or of nobody knows which; a match by the same one counts
    ema: float = 0.0  # decay of the weights' moving average, then evaluated and exported; 0: off. Paper silent
    val_fraction: float = (
        0.0  # part of the training photos (reid: identities) held out to choose the best epoch; 0: none
    )
    eval_every: int = 0  # epochs between evaluations on the way; 0: after the last one only
    log_every: int = 10  # steps between lines of log.jsonl
    save_every: int = 500  # steps between states to resume from, besides each epoch's end; 0: there only
    seed: int = 0
    workers: int = 2  # loader processes; they cannot change a number
    device: str = "auto"  # auto: cuda when there is one, else cpu
    amp: Literal["auto", "bf16", "off"] = "auto"  # auto: bfloat16 autocast on cuda, float32 on a CPU
    compile: bool = False  # torch.compile of the branches' forward passes
    channels_last: bool = False  # memory layout of pictures and of the patch embedding
    wandb: str | None = None  # a project of Weights & Biases, besides log.jsonl and TensorBoard; needs wandb installed
    resume: bool = False  # continue from out/last.pt; from the start if there is none yet

    def __post_init__(self) -> None:
        for name in FOLDERS:
            if isinstance(value := getattr(self, name), str):  # as Python code often has them
                object.__setattr__(self, name, Path(value))
        check_choice("dataset", self.dataset, data_sets(self.task))
        branches(self.ablation)
        for names, least in ((AT_LEAST_ONE, 1), (AT_LEAST_ZERO, 0)):
            for name in names:
                if getattr(self, name) < least:
                    raise DCALError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in POSITIVE:
            if (value := getattr(self, name)) is not None and not value > 0:
                raise DCALError(f"{name} must be greater than 0, got {value}")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise DCALError(f"warmup_epochs must lie in [0, epochs = {self.epochs}), got {self.warmup_epochs}")
        for name in ("val_fraction", "ema", "drop_path", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise DCALError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        self._check_task()

    def _check_task(self) -> None:
        if self.task == "fgvc" and (self.triplet or self.also or self.one_camera):
            raise DCALError(
                "triplet, also and one_camera belong to --task reid: labelled photos have no identities to compare"
            )
        if self.also is not None and check_choice("also", self.also, data_sets(self.task)) == self.dataset:
            raise DCALError(f"also names {self.also!r} again, the data set itself: leave it away")
        if self.task == "reid" and self.batch_size % self.instances:
            raise DCALError(
                f"a batch of {self.batch_size} cannot hold identities of {self.instances} photos each: make batch_size "
                "a multiple of instances"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the model's input in pixels."""
        return self.img_size, self.img_size if self.img_width is None else self.img_width

    @property
    def peak_rate(self) -> float:
        return 5e-4 / 512 * self.batch_size if self.learning_rate is None else self.learning_rate

    @property
    def folder(self) -> Path:
        """Where the run is written: `out`, or its default."""
        return Path("runs") / f"{self.preset or self.dataset}-{self.ablation}" if self.out is None else self.out

    @property
    def root(self) -> Path:
        """`data_root`, or the yard's own place. Raises DCALError where none was given and one is needed."""
        return place_of(self.task, self.dataset, self.data_root)

    @property
    def sources(self) -> list[tuple[str, Path]]:
        """(data set, its root) of `dataset` and, where there is one, of `also`."""
        also = [] if self.also is None else [(self.also, place_of(self.task, self.also, self.also_root))]
        return [(self.dataset, self.root), *also]


# --- the paper's data sets: its recipe as it is. Top-1 % in the paper, plain -> with DCAL -----------------------------
#             DeiT-T         DeiT-S         DeiT-B         ViT-B          R50-ViT-B (not a backbone here)
# CUB         82.1 -> 84.6   85.8 -> 87.6   88.0 -> 88.8   90.8 -> 91.4   91.3 -> 92.0
# Cars        87.2 -> 89.4   90.7 -> 92.3   92.9 -> 93.8   92.5 -> 93.4   94.0 -> 95.3
# Aircraft    84.7 -> 87.4   88.1 -> 90.0   90.3 -> 92.6   90.0 -> 91.5   92.4 -> 93.3
# Backbones by timm's names: deit_{tiny,small,base}_patch16_224 (ImageNet-1k), vit_base_patch16_224.augreg_in21k.


@dataclass(frozen=True)
class CUBConfig(TrainConfig):
    """`dcal train --dataset cub --data-root CUB_200_2011`: 200 birds, 5,994 photos to train and 5,794 to test."""

    preset = "cub"
    dataset: str = "cub"


@dataclass(frozen=True)
class CarsConfig(TrainConfig):
    """`dcal train --dataset cars --data-root cars`: 196 cars, 8,144 photos to train and 8,041 to test."""

    preset = "cars"
    dataset: str = "cars"


@dataclass(frozen=True)
class AircraftConfig(TrainConfig):
    """`dcal train --dataset aircraft --data-root fgvc-aircraft-2013b`: 100 aeroplanes, 6,667 and 3,333 photos."""

    preset = "aircraft"
    dataset: str = "aircraft"


# --- smaller budgets --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CUB50Config(TrainConfig):
    """`dcal train --preset cub50 --data-root CUB_200_2011`: CUB's first fifty classes, in an hour or so on a CPU.

    What the bundled checkpoints were trained with; README.md says what came out.
    """

    preset = "cub50"
    dataset: str = "cub"
    img_size: int = 224  # a quarter of the tokens; the backbone's own size
    crop_fraction: float = 224 / 256  # the usual ratio at this size
    epochs: int = 10
    # In a tenth of the paper's epochs its 1.6e-5 arrives nowhere. On held-out training photos, after ten epochs of
    # SA alone: 1e-4 for all parameters 75.6 %; with the two lines below it, 2e-4 gave 79.3 % and 4e-4 79.3 %.
    learning_rate: float | None = 2e-4
    head_rate: float = 5.0
    layer_decay: float = 0.75
    loss_weight_rate: float = 20.0  # at the others' rate the loss weights moved by 0.04 in all
    label_smoothing: float = 0.1


# --- re-identification: the paper's recipe. mAP / rank-1 % in the paper, plain -> with DCAL ---------------------------
#               DeiT-T                   DeiT-S                   DeiT-B                   ViT-B
# Market-1501  77.9/90.3 -> 79.8/91.8   84.3/93.7 -> 85.3/94.0   86.6/94.4 -> 87.2/94.5   87.1/94.3 -> 87.5/94.7
# DukeMTMC     69.5/82.9 -> 71.7/84.9   75.7/87.6 -> 77.4/87.9   79.1/88.7 -> 80.2/89.6   78.9/89.4 -> 80.1/89.0
# MSMT17       42.1/63.9 -> 44.9/68.2   53.3/75.0 -> 55.1/77.3   60.5/81.6 -> 62.3/83.1   61.6/81.4 -> 64.0/83.1
# VeRi-776     71.3/94.3 -> 74.1/94.7   76.7/95.5 -> 78.1/95.9   78.3/95.9 -> 80.0/96.5   78.1/96.0 -> 80.2/96.9


@dataclass(frozen=True)
class ReIDConfig(TrainConfig):
    """`dcal train --task reid --dataset reid-csv --data-root photos.csv`: any Re-ID data set, 256 × 128 pixels."""

    preset = "reid"
    task: Literal["fgvc", "reid"] = "reid"
    dataset: str = "market1501"
    img_size: int = 256  # paper
    img_width: int | None = 128  # paper
    crop_fraction: float = 1.0  # the whole photo; training pads it and crops back (dcal.data.reid.samples)
    top_ratio: float = 0.30  # R; paper, Re-ID
    epochs: int = 120  # paper
    batch_size: int = 64  # paper: 16 identities × 4
    optimizer: Literal["adamw", "sgd"] = "sgd"  # paper
    learning_rate: float | None = 0.008  # paper
    weight_decay: float = 1e-4  # paper
    warmup_epochs: float = 5.0  # paper silent; TransReID, whose recipe it is
    triplet: float = 1.0  # paper: cross-entropy + triplet; weighed alike by TransReID


@dataclass(frozen=True)
class MarketConfig(ReIDConfig):
    """`dcal train --dataset market1501 --data-root Market-1501-v15.09.15`: 751 persons, 12,936 photos to train."""

    preset = "market1501"


@dataclass(frozen=True)
class DukeConfig(ReIDConfig):
    """`dcal train --dataset dukemtmc --data-root DukeMTMC-reID`: 702 persons, 16,522 photos to train."""

    preset = "dukemtmc"
    dataset: str = "dukemtmc"


@dataclass(frozen=True)
class MSMTConfig(ReIDConfig):
    """`dcal train --dataset msmt17 --data-root MSMT17_V1`: 1,041 persons, 32,621 photos to train."""

    preset = "msmt17"
    dataset: str = "msmt17"


@dataclass(frozen=True)
class VeRiConfig(ReIDConfig):
    """`dcal train --dataset veri776 --data-root VeRi`: 576 vehicles, 37,778 photos to train."""

    preset = "veri776"
    dataset: str = "veri776"
    img_width: int | None = 256  # paper: vehicles are 256 × 256


@dataclass(frozen=True)
class Vehicle2CamConfig(ReIDConfig):
    """`dcal train --dataset vehicle2cam --data-root vehicle2cam`: 507 vehicles, 1,014 photos to train."""

    preset = "vehicle2cam"
    dataset: str = "vehicle2cam"
    img_width: int | None = 256  # paper: vehicles are 256 × 256
    instances: int = 2  # there are two photos of a vehicle; with four, each would be there twice


@dataclass(frozen=True)
class YardConfig(ReIDConfig):
    """`dcal train --dataset yard`: the 80 vehicles that come with this package, in half an hour or so on a CPU.

    What the bundled Re-ID checkpoints were trained with, together with vehicle2cam (`--also vehicle2cam --also-root
    vehicle2cam`, `--amp bf16`); README.md says what came out. The rates are `cub50`'s, but the learning rate: on 16
    held-out vehicles of the yard, after four epochs of SA alone at 224 pixels, 5e-4 gave a mAP of 0.428 and a training
    loss of 3.2, 1.5e-3 gave 0.437 and 1.2; and 5e-4 with a layer decay of 0.9 gave 0.432 and 3.0.
    """

    preset = "yard"
    dataset: str = "yard"
    img_width: int | None = 256  # paper: vehicles are 256 × 256
    epochs: int = 6
    optimizer: Literal["adamw", "sgd"] = "adamw"  # the paper's SGD at its rate needs its 120 epochs
    learning_rate: float | None = 1.5e-3
    weight_decay: float = 0.05  # the paper's for AdamW, FGVC
    head_rate: float = 5.0
    layer_decay: float = 0.75
    loss_weight_rate: float = 20.0
    warmup_epochs: float = 1.0
    batch_size: int = 32  # twice the steps of 64
    instances: int = 2  # vehicle2cam has two photos of a vehicle


PRESETS: dict[str, type[TrainConfig]] = {
    **{"cub": CUBConfig, "cars": CarsConfig, "aircraft": AircraftConfig},
    **{"cub50": CUB50Config},
    **{"reid": ReIDConfig, "market1501": MarketConfig, "dukemtmc": DukeConfig, "msmt17": MSMTConfig},
    **{"veri776": VeRiConfig, "vehicle2cam": Vehicle2CamConfig, "yard": YardConfig},
}


def preset_for(preset: str | None = None, task: str | None = None, dataset: str | None = None) -> TrainConfig:
    """The preset by its name, else the data set's; the paper's recipe of the task for a data set that has none.

    Without a task, the preset's own counts, then the one that the data set belongs to (the yard to both: "reid").
    """
    if preset is not None:
        return PRESETS[check_choice("preset", preset, PRESETS)]()
    own = PRESETS.get(dataset or "cub")
    if own is not None and task in (None, own().task):
        return own()
    reid = task == "reid" if task is not None else dataset in data_sets("reid")
    return ReIDConfig() if reid else TrainConfig()

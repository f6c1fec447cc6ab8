"""Training configuration. The defaults are the paper's recipe for fine-grained data sets, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from dcal.data import data_sets, place_of
from dcal.errors import DCALError, check_choice
from dcal.model.ablation import branches
from dcal.training.editable import Editable

POSITIVE = ("learning_rate", "head_rate", "layer_decay", "loss_weight_rate", "img_width", "triplet_margin")
AT_LEAST_ONE = (
    *("epochs", "batch_size", "accumulate", "instances", "log_every"),
    *("num_sa_layers", "num_glca_layers", "num_pwca_layers"),
)
AT_LEAST_ZERO = (
    *("eval_every", "save_every", "workers", "weight_decay", "seed"),
    *("triplet", "momentum", "warmup_epochs"),
)
FOLDERS = ("data_root", "out", "also_root")


@dataclass
class TrainConfig(Editable):
    """One training run. "Paper" marks its FGVC recipe, unless "Re-ID" stands there; the rest states its source.

    Fields can be set until a run is started with the configuration: `config = CUBConfig(); config.batch_size = 32`.
    """

    preset: ClassVar[str | None] = None  # its name in PRESETS
    other_names: ClassVar[Mapping[str, str]] = {
        "num_epochs": "epochs",
        "top_k_ratio": "top_ratio",
        "lr": "learning_rate",
    }

    data_root: Path | None = (
        None  # the folder that holds the data set; None: its archive's, here or in data/, or the yard's
    )
    out: Path | None = None  # the run's folder; None: runs/<preset or data set>-<ablation>-s<seed>
    task: Literal["fgvc", "reid"] = "fgvc"
    dataset: str = "cub"
    also: str | None = None  # reid: a second data set, trained on together with the first and evaluated apart
    also_root: Path | None = None  # the folder that holds it
    backbone: str = "deit_tiny_patch16_224"  # the smallest of the paper's
    pretrained: str | bool | Path = "true"  # true: timm's weights from the hub; false: random; or a weights file
    ablation: str = "full"  # full | sa_glca | sa_pwca | sa_only
    img_size: int | tuple[int, int] = 448  # pixels; paper. One number: square; two: height, width
    img_width: int | None = None  # pixels; another width
    crop_fraction: float = 448 / 550  # side of the crop over the resized image's; paper: resize 550, crop 448
    top_ratio: float = 0.10  # R; paper, FGVC
    readout: str = "mean"  # what GLCA's embedding is read from; see dcal.model.glca
    selection: str = "rollout"  # GLCA's queries; "random" is the paper's control
    distractor_stream: str = "own"  # whose keys and values distract in PWCA; "sa" is an ablation
    num_sa_layers: int | None = None  # the paper's L: the backbone's first layers, which are kept; None: all of them
    num_glca_layers: int = 1  # the paper's M: GLCA blocks, one after the other; paper: 1
    num_pwca_layers: int | None = None  # the paper's T: the last layers, which are pair-wise in PWCA; None: all; paper
    epochs: int = 100  # paper
    batch_size: int = 16  # paper; the last, smaller batch of an epoch is dropped, so that every step weighs the same
    instances: int = 4  # reid: images of each identity in a batch, which has batch_size / instances identities; paper
    accumulate: int = 1  # gradient-accumulation steps per process; images are compared within one of them
    optimizer: Literal["adamw", "sgd"] = "adamw"  # paper: "Adam"; weight decay apart from the gradient as DeiT has it
    momentum: float = 0.9  # of sgd; paper, Re-ID
    learning_rate: float | None = None  # peak; None: the paper's 5e-4 / 512 per image of the batch
    weight_decay: float = 0.05  # paper; not on biases, norms, position embeddings, class token, loss weights
    head_rate: float = 1.0  # × learning_rate, for the fresh classifiers (SA's and GLCA's); paper silent
    layer_decay: float = 1.0  # block i of L learns at layer_decay^(L-1-i) × learning_rate, the embedding at ^L (BEiT)
    loss_weight_rate: float = 1.0  # × learning_rate, for the loss weights w; paper silent
    warmup_epochs: float = 1.0  # paper silent; linear, at most half of the run. DeiT warms up for 5 of 300
    drop_path: float = 0.1  # stochastic depth is the paper's, the rate DeiT's
    label_smoothing: float = 0.0  # paper: plain cross-entropy
    use_uncertainty_weighting: bool = True  # paper: the losses' weights are learned; off: all branches weigh the same
    triplet: float = 0.0  # × the batch-hard triplet loss, added to the cross-entropy of every branch; reid
    triplet_margin: float | None = None  # of the triplet loss; None: the soft margin of TransReID, whose recipe it is
    one_camera: bool = False  # reid: one camera, or cameras are unknown; a match by the same one counts
    ema: float = 0.0  # decay of the weights' moving average, then evaluated and exported; 0: off. Paper silent
    val_fraction: float = 0.0  # share of the training images (reid: identities) held out to choose the epoch; 0: none
    val_by_date: bool = False  # reid: hold out the later images, not identities drawn by the seed; all need dates
    eval_every: int = 0  # epochs between evaluations during the run; 0: after the last one only
    log_every: int = 10  # steps between lines of log.jsonl
    save_every: int = 500  # steps between states to resume from, besides each epoch's end; 0: there only
    seed: int = 0
    workers: int = 2  # loader processes; they cannot change a number
    device: str = "auto"  # auto: cuda when there is one, else cpu
    amp: Literal["auto", "bf16", "off"] = "auto"  # auto: bfloat16 autocast on cuda, float32 on a CPU
    compile: bool = False  # torch.compile of the branches' forward passes
    channels_last: bool = False  # memory layout of images and of the patch embedding
    wandb: str | None = None  # a project of Weights & Biases, besides log.jsonl and TensorBoard; needs wandb installed
    trackio: str | None = None  # a project of trackio, which keeps runs on this machine; needs trackio installed
    check_images: bool = True  # decode every image of every split before a new run begins
    resume: bool = False  # continue a run in its folder, with more epochs a finished one; begin one if there is none

    def __post_init__(self) -> None:
        self.check()

    def normalised(self, name: str, value: Any) -> Any:
        """Folders as paths, as Python code often has strings; `pretrained` in its one form."""
        if name in FOLDERS and isinstance(value, str):
            return Path(value)
        return pretrained_word(value) if name == "pretrained" else value

    def check(self) -> None:
        """Raises DCALError, with the numbers, for values that cannot work."""
        check_choice("dataset", self.dataset, data_sets(self.task))
        branches(self.ablation)
        for names, least in ((AT_LEAST_ONE, 1), (AT_LEAST_ZERO, 0)):
            for name in names:
                if (value := getattr(self, name)) is not None and value < least:
                    raise DCALError(f"{name} must be at least {least}, got {value}")
        for name in POSITIVE:
            if (value := getattr(self, name)) is not None and not value > 0:
                raise DCALError(f"{name} must be greater than 0, got {value}")
        if min(self.size) < 1:
            raise DCALError(f"img_size must be at least 1 pixel, got {self.img_size}")
        for name in ("val_fraction", "ema", "drop_path", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise DCALError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        self._check_task()

    def _check_task(self) -> None:
        if self.task == "fgvc" and (self.triplet or self.also or self.one_camera):
            raise DCALError(
                "triplet, also and one_camera belong to --task reid: classified images have no identities to compare"
            )
        if self.val_by_date and not (self.task == "reid" and self.val_fraction):
            raise DCALError("val_by_date belongs to --task reid and needs val_fraction, the share of images held out")
        if self.triplet_margin is not None and not self.triplet:
            raise DCALError(f"triplet_margin {self.triplet_margin} has no effect: set triplet, which weighs that loss")
        if self.also_root is not None and self.also is None:
            raise DCALError(f"also_root {self.also_root} has no effect: name its data set with also (--also)")
        if self.also is not None and check_choice("also", self.also, data_sets(self.task)) == self.dataset:
            raise DCALError(f"also names {self.also!r} again, the data set itself: leave it away")
        if self.task == "reid" and self.batch_size % self.instances:
            raise DCALError(
                f"a batch of {self.batch_size} cannot hold identities of {self.instances} images each: make batch_size "
                "a multiple of instances"
            )

    @property
    def num_epochs(self) -> int:
        """Another name for `epochs`."""
        return self.epochs

    @num_epochs.setter
    def num_epochs(self, value: int) -> None:
        self.epochs = value

    @property
    def top_k_ratio(self) -> float:
        """Another name for `top_ratio`."""
        return self.top_ratio

    @top_k_ratio.setter
    def top_k_ratio(self, value: float) -> None:
        self.top_ratio = value

    @property
    def lr(self) -> float | None:
        """Another name for `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: float | None) -> None:
        self.learning_rate = value

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the model's input in pixels."""
        height, width = self.img_size if isinstance(self.img_size, tuple) else (self.img_size, self.img_size)
        return height, width if self.img_width is None else self.img_width

    @property
    def warmup(self) -> float:
        """Epochs of the warm-up: `warmup_epochs`, but at most half of the run."""
        return min(self.warmup_epochs, self.epochs / 2)

    @property
    def weights(self) -> bool | str:
        """`pretrained` as `create_model` takes it."""
        word = str(self.pretrained)
        return {"true": True, "false": False}.get(word, word)

    @property
    def peak_rate(self) -> float:
        return 5e-4 / 512 * self.batch_size if self.learning_rate is None else self.learning_rate

    @property
    def folder(self) -> Path:
        """Where the run is written: `out`, or its default."""
        own = self.preset or self.dataset
        named = own if self.dataset == type(self).dataset or self.preset is None else f"{own}-{self.dataset}"
        return Path("runs") / f"{named}-{self.ablation}-s{self.seed}" if self.out is None else self.out

    @property
    def root(self) -> Path:
        """`data_root`, or the data set's usual place (`place_of`). Raises DCALError if it is nowhere."""
        return place_of(self.task, self.dataset, self.data_root)

    @property
    def sources(self) -> list[tuple[str, Path]]:
        """(data set, its root) of `dataset` and, where there is one, of `also`."""
        also = [] if self.also is None else [(self.also, place_of(self.task, self.also, self.also_root))]
        return [(self.dataset, self.root), *also]


def pretrained_word(value: str | bool | Path) -> str:
    """`pretrained` in the one form that settings, logs and command lines have: "true", "false" or a file's path."""
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text

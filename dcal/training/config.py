"""Training configuration. The defaults are the paper's recipe for fine-grained data sets, each with its source."""

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

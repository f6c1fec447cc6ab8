"""The configuration of a model: stored inside its checkpoint, so that loading needs nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from dcal.errors import DCALError, check_choice
from dcal.preprocess import Preprocess

# Which attentions a model is trained with (PAPER: SA always; GLCA adds a branch; PWCA regularises the shared blocks).
ABLATIONS: dict[str, tuple[str, ...]] = {
    "sa_only": ("sa",),
    "sa_glca": ("sa", "glca"),
    "sa_pwca": ("sa", "pwca"),
    "full": ("sa", "glca", "pwca"),
}
TASKS = ("fgvc", "reid")
READOUTS = ("mean", "class")
SELECTIONS = ("rollout", "random")
STREAMS = ("own", "sa")


def branches(ablation: str) -> tuple[str, ...]:
    """The branches that `ablation` trains, in the paper's order of loss weights w1, w2, w3.

    Raises DCALError for an unknown name; the message lists the known ones.
    """
    return ABLATIONS[check_choice("ablation", ablation, ABLATIONS)]


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a model again. Written as `config.json` beside its weights.

    `classes` are the class names in the order of the logits; empty, or `num_classes` of them.
    """

    backbone: str
    num_classes: int
    ablation: str = "full"
    task: str = "fgvc"
    img_size: tuple[int, int] = (224, 224)  # (height, width), pixels
    top_ratio: float = 0.10  # R: PAPER takes 10 % for FGVC, 30 % for Re-ID
    readout: str = "mean"
    selection: str = "rollout"  # how GLCA's queries are chosen; "random" is the paper's control
    distractor_stream: str = "own"  # whose keys and values distract in PWCA at layer i: PWCA's own, or SA's
    preprocess: Preprocess = field(default_factory=Preprocess)
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("ablation", self.ablation, ABLATIONS)
        check_choice("task", self.task, TASKS)
        check_choice("readout", self.readout, READOUTS)
        check_choice("selection", self.selection, SELECTIONS)
        check_choice("distractor_stream", self.distractor_stream, STREAMS)
        check_ratio(self.top_ratio)
        if self.num_classes < 1:
            raise DCALError(f"num_classes must be at least 1, got {self.num_classes}")
        if self.classes and len(self.classes) != self.num_classes:
            raise DCALError(f"{len(self.classes)} class names were given for num_classes={self.num_classes}")
        if self.preprocess.size != self.img_size:
            raise DCALError(f"preprocess.size {self.preprocess.size} differs from img_size {self.img_size}")

    @property
    def branches(self) -> tuple[str, ...]:
        return branches(self.ablation)

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`. Raises DCALError on unknown or missing fields, naming them."""
        preprocess = _from_dict(Preprocess, values.get("preprocess", {}))
        return _from_dict(cls, {**values, "preprocess": preprocess})


def check_ratio(ratio: float) -> float:
    """`ratio` itself if it lies in (0, 1], else a DCALError."""
    if not 0 < ratio <= 1:
        raise DCALError(f"top_ratio is the share of patches that GLCA selects: it must lie in (0, 1], got {ratio}")
    return ratio


def _from_dict(cls: type, values: Any) -> Any:
    if not isinstance(values, dict):
        raise DCALError(f"{cls.__name__} must be a JSON object, got {type(values).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    required = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    missing = sorted(required - set(values))
    if unknown or missing:
        raise DCALError(f"{cls.__name__} has unknown fields {unknown} and lacks {missing}; it knows {sorted(fields)}")
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

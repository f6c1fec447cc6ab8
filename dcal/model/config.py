"""The configuration of a model: stored inside its checkpoint, so that loading needs nothing else."""

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from dcal.errors import DCALError, check_choice
from dcal.model.ablation import ABLATIONS, branches
from dcal.preprocess import Preprocess

TASKS = ("fgvc", "reid")
READOUTS = ("mean", "class")
SELECTIONS = ("rollout", "random")
STREAMS = ("own", "sa")
LARGEST = 2**31 - 1  # of any number in a stored configuration; more would overflow a tensor's size


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
    num_sa_layers: int | None = None  # L: the backbone's first layers, which are kept; None: all of them
    num_glca_layers: int = 1  # M, the blocks of GLCA
    num_pwca_layers: int | None = None  # T: the last layers, which are pair-wise in PWCA; None: all of them
    preprocess: Preprocess = field(default_factory=Preprocess)
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("ablation", self.ablation, ABLATIONS)
        check_choice("task", self.task, TASKS)
        check_choice("readout", self.readout, READOUTS)
        check_choice("selection", self.selection, SELECTIONS)
        check_choice("distractor_stream", self.distractor_stream, STREAMS)
        check_ratio(self.top_ratio)
        for name in ("num_classes", "num_sa_layers", "num_glca_layers", "num_pwca_layers"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise DCALError(f"{name} must be at least 1, got {value}")
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
    def from_dict(cls, values: Any) -> ModelConfig:
        """The inverse of `to_dict`. Raises DCALError for unknown, missing and malformed fields, naming them."""
        if not isinstance(values, dict):
            return from_plain(cls, values)
        preprocess = from_plain(Preprocess, values.get("preprocess", {}))
        return from_plain(cls, {**values, "preprocess": preprocess})


def check_ratio(ratio: float) -> float:
    """`ratio` itself if it lies in (0, 1], else a DCALError."""
    if not 0 < ratio <= 1:
        raise DCALError(f"top_ratio is the share of patches that GLCA selects: it must lie in (0, 1], got {ratio}")
    return ratio


def from_plain(cls: type, values: Any) -> Any:
    """The dataclass `cls` with the JSON values `values`, lists as tuples.

    Raises DCALError for unknown or missing fields and for values of another type than the field's, naming the field.
    """
    if not isinstance(values, dict):
        raise DCALError(f"{cls.__name__} must be a JSON object, got {type(values).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    required = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    missing = sorted(required - set(values))
    if unknown or missing:
        raise DCALError(f"{cls.__name__} has unknown fields {unknown} and lacks {missing}; it knows {sorted(fields)}")
    hints = get_type_hints(cls)
    return cls(**{name: checked(f"{cls.__name__}.{name}", value, hints[name]) for name, value in values.items()})


def checked(name: str, value: Any, hint: Any) -> Any:
    """`value` as the type `hint`: a number, a string, a tuple or dict of these, or a dataclass already made; None where
    that is allowed.

    Raises DCALError, naming the field, for any other value, for numbers that are not finite or larger than `LARGEST`,
    and for text that cannot be written.
    """
    if get_origin(hint) is UnionType:
        if value is None:
            return None
        hint = next(own for own in get_args(hint) if own is not NoneType)
    if get_origin(hint) is tuple:
        return checked_tuple(name, value, get_args(hint))
    if get_origin(hint) is dict and isinstance(value, dict):
        return {
            checked(f"{name}'s key", k, str): checked(f"{name}[{k!r}]", v, get_args(hint)[1]) for k, v in value.items()
        }
    if hint is float and type(value) in (int, float) and abs(value) <= LARGEST:
        return float(value)
    if hint is int and type(value) is int and abs(value) <= LARGEST:
        return value
    if hint is str and isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value):
        return value
    if dataclasses.is_dataclass(hint) and type(value) is hint:
        return value
    kind = {int: "a whole number", float: "a finite number", str: "a string"}.get(hint, "a JSON object")
    limit = f" of at most {LARGEST}" if hint in (int, float) else ""
    raise DCALError(f"{name} must be {kind}{limit}, got {reprlib.repr(value)}")


def checked_tuple(name: str, value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise DCALError(f"{name} must be a list, got {reprlib.repr(value)}")
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(value) != len(hints):
        raise DCALError(f"{name} must be a list of {len(hints)} values, got {reprlib.repr(value)}")
    return tuple(checked(f"{name}[{i}]", own, hint) for i, (own, hint) in enumerate(zip(value, hints, strict=True)))

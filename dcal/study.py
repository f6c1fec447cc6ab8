"""What an evaluation is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dcal.data import data_sets, place_of
from dcal.errors import DCALError, known

Fill = Literal["mean", "blur"]


@dataclass(frozen=True)
class Study:
    """How much is measured. Of photos, 0 means all; the photos of a smaller number are among those of a larger one.

    What a photo costs, in forward passes: localisation 4, erasure 2 · maps · (steps − 1), randomised weights 3 for
    every block of the backbone and some more.
    """

    photos: int = 0  # for localisation: the pointing game, energy, parts. Re-ID: all of the yard's pairs of twins
    photos_erased: int = 100  # for deletion and insertion
    photos_randomised: int = 50  # for the sanity check
    steps: int = 10  # of deletion and insertion, from no patch to all
    fill: Fill = "mean"  # what stands in for a patch that is taken out
    seed: int = 0  # draws the photos, the random control, the randomised weights and the bootstrap's photos

    def __post_init__(self) -> None:
        for name in ("photos", "photos_erased", "photos_randomised", "seed"):
            if getattr(self, name) < 0:
                raise DCALError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.steps < 1:
            raise DCALError(f"steps must be at least 1, got {self.steps}")


@dataclass(frozen=True)
class EvalConfig:
    """One evaluation."""

    checkpoint: str  # a checkpoint directory, or a Hugging Face repository id
    data_root: Path | None = None  # the folder that holds the data set in its official layout; the yard needs none
    task: Literal["fgvc", "reid"] = "fgvc"  # what the checkpoint was trained for
    dataset: str = "cub"  # which data set
    batch_size: int = 32  # photos per forward pass
    workers: int = 2  # loader processes
    device: str = "auto"  # auto: cuda when there is one, else cpu
    out: Path | None = None  # folder for evaluation.json and analysis.json; default: the checkpoint's
    json: bool = False  # print one JSON object instead of tables
    rerank: bool = False  # reid: also the figures after k-reciprocal re-ranking
    analysis: bool = False  # also measure what the attention is worth (minutes to hours; see the next options)
    study: Study = field(default_factory=Study)

    def __post_init__(self) -> None:
        known("dataset", self.dataset, data_sets(self.task))
        if self.rerank and self.task != "reid":
            raise DCALError("rerank belongs to --task reid: only a ranking can be ranked again")
        if self.analysis and self.task == "reid" and self.dataset != "yard":
            raise DCALError(
                "the analysis of Re-ID asks whether a model looks at the part in which two twins differ, and only the "
                "yard says where that is: use --dataset yard, or leave --analysis away"
            )
        if self.batch_size < 1 or self.workers < 0:
            raise DCALError(f"batch_size {self.batch_size} must be at least 1, workers {self.workers} at least 0")

    @property
    def root(self) -> Path:
        """`data_root`, or the yard's own place. Raises DCALError where none was given and one is needed."""
        return place_of(self.task, self.dataset, self.data_root)

"""The configuration of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from dcal.analysis.config import AnalysisConfig
from dcal.data import DATASETS, REID_DATASETS, data_sets, place_of
from dcal.errors import DCALError, check_choice

Task = Literal["fgvc", "reid"]
TASKS: tuple[Task, ...] = ("fgvc", "reid")

# Options of the analysis that belong to one task alone.
ANALYSED = {
    **dict.fromkeys(("images", "images_erased", "images_randomised", "fill"), "fgvc"),
    **dict.fromkeys(("pairs", "pairs_occluded"), "reid"),
}


@dataclass(frozen=True)
class EvalConfig:
    """One evaluation."""

    checkpoint: str  # a checkpoint directory, or a Hugging Face repository id
    data_root: Path | None = None  # the folder that holds the data set; by itself, where the run read it from
    task: Task | None = None  # by itself, what the checkpoint was trained for
    dataset: str | None = None  # which data set; by itself, what the checkpoint was trained on
    batch_size: int = 32  # images per forward pass
    workers: int = 2  # loader processes
    device: str = "auto"  # auto: cuda when there is one, else cpu
    out: Path | None = None  # folder for evaluation.json and analysis.json; default: the checkpoint's
    json: bool = False  # print one JSON object instead of tables
    rerank: bool = False  # reid: also the figures after k-reciprocal re-ranking
    one_camera: bool = False  # reid: one camera, or cameras are unknown; a match by the same one counts
    analysis: bool = False  # also measure the attention maps (minutes to hours; see the next options)
    study: AnalysisConfig = field(default_factory=AnalysisConfig)

    def __post_init__(self) -> None:
        if self.dataset is not None:
            check_choice(
                "dataset", self.dataset, DATASETS | REID_DATASETS if self.task is None else data_sets(self.task)
            )
        if (self.rerank or self.one_camera) and self.task == "fgvc":
            raise DCALError("rerank and one_camera belong to --task reid: they are about rankings")
        self._check_study()
        if self.batch_size < 1 or self.workers < 0:
            raise DCALError(f"batch_size {self.batch_size} must be at least 1, workers {self.workers} at least 0")

    def _check_study(self) -> None:
        """Raises DCALError for options of the analysis where they change nothing."""
        names = [field.name for field in fields(self.study) if field.name != "seed"]  # that draws the intervals, too
        given = [name for name in names if getattr(self.study, name) != getattr(AnalysisConfig(), name)]
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        if given and not self.analysis:
            raise DCALError(f"{options} belong to the analysis: ask for it with --analysis")
        other = "reid" if self.task == "fgvc" else "fgvc"
        if wrong := [name for name in given if self.task is not None and ANALYSED.get(name, self.task) != self.task]:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
            raise DCALError(f"{options} belong to the analysis of --task {other}")

    def completed(self, trained: str, dataset: str | None = None, root: Path | None = None) -> EvalConfig:
        """With the task, the data set and its folder that were left open, for a checkpoint `trained` for that task.

        `dataset` and its `root` are those that it was trained on, if they are known. Raises DCALError if it was trained
        for another task than the one requested, or than the data set's.
        """
        serves = [task for task in TASKS if self.dataset in (None, *data_sets(task))]
        task = self.task or next((task for task in serves if task == trained), serves[0])
        if task != trained:
            how = f"use --task {trained}" if self.task else f"and {self.dataset!r} is a data set of the other"
            raise DCALError(f"{self.checkpoint} was trained for task {trained!r}, not {task!r}: {how}")
        chosen = self.dataset or dataset or ("yard" if task == "reid" else "cub")
        if self.data_root is None and root is not None and root.exists() and chosen == dataset:
            return replace(self, task=task, dataset=chosen, data_root=root)
        return replace(self, task=task, dataset=chosen)

    @property
    def root(self) -> Path:
        """`data_root`, or the data set's usual place (`place_of`). Raises DCALError if it is nowhere."""
        assert self.task is not None and self.dataset is not None, "completed() says which"
        return place_of(self.task, self.dataset, self.data_root)

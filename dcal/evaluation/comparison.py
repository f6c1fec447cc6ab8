"""Two evaluations of one data set side by side: which classes one checkpoint gains and which it loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcal.errors import DCALError
from dcal.model.checkpoint import WEIGHTS, file_hash, read_config, read_json


@dataclass(frozen=True)
class Change:
    """A class, or a camera: how many test images or queries it has, and its figure in both evaluations."""

    name: str
    n: int
    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.before


# list in evaluation.json → (names, counts, figure)
GROUPS = {"per_class": ("class", "n", "accuracy"), "per_camera": ("camera", "queries", "mAP")}


def changes(before: Mapping[str, Any], after: Mapping[str, Any], group: str = "per_class") -> list[Change]:
    """Every class ("per_class") or camera ("per_camera") of two evaluation.json files, largest gain first.

    Raises DCALError if they are not of the same test images.
    """
    name, count, figure = GROUPS[group]
    rows = [{str(row[name]): row for row in found.get(group, ())} for found in (before, after)]
    if not rows[0] or not rows[1]:
        raise DCALError("both checkpoints need an evaluation.json: run dcal eval for each")
    sizes = [{key: int(row[count]) for key, row in own.items()} for own in rows]
    if before.get("dataset") != after.get("dataset") or sizes[0] != sizes[1]:
        raise DCALError("the two checkpoints were evaluated on different images: run dcal eval on the same data set")
    found = [
        Change(key, sizes[0][key], float(row[figure]), float(rows[1][key][figure])) for key, row in rows[0].items()
    ]
    return sorted(found, key=lambda change: -change.gain)


MAIN = {"fgvc": ("top1", "top5", "sa_top1", "glca_top1"), "reid": ("mAP", "rank1", "sa_mAP", "glca_mAP")}


@dataclass(frozen=True)
class Evaluated:
    """One checkpoint's kept evaluation: its main figures as fractions, and their 95 % intervals if there are any."""

    checkpoint: str
    ablation: str
    dataset: str
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def overlaps(self, other: Evaluated, figure: str) -> bool | None:
        """Whether both intervals of a figure have values in common; None where one has no interval."""
        if figure not in self.intervals or figure not in other.intervals:
            return None
        (low, high), (other_low, other_high) = self.intervals[figure], other.intervals[figure]
        return low <= other_high and other_low <= high


def evaluated(checkpoints: Sequence[str | Path]) -> list[Evaluated]:
    """The evaluations beside the weights of several checkpoints of one task, in order; figures as MAIN lists them.

    Raises DCALError for checkpoints of two tasks, and for one without an evaluation or with that of other weights.
    """
    found, tasks = [], set()
    for name in map(Path, checkpoints):
        config = read_config(name)
        tasks.add(config.task)
        if not (name / "evaluation.json").is_file():
            raise DCALError(f"{name} has no evaluation.json: run dcal eval --checkpoint {name}")
        record = read_json(name / "evaluation.json")
        if record.get("fingerprint") != file_hash(name / WEIGHTS):
            raise DCALError(f"{name / 'evaluation.json'} is of other weights: run dcal eval --checkpoint {name} again")
        figures = {key: float(record[key]) for key in MAIN[config.task] if key in record}
        intervals = {key: tuple(record["intervals"][key]) for key in figures if key in record.get("intervals", {})}
        found.append(Evaluated(str(name), config.ablation, str(record["dataset"]), figures, intervals))
    if len(tasks) > 1:
        raise DCALError("classifiers and re-identification checkpoints have no figure in common: compare one task's")
    return found

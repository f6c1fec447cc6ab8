"""The results of the study on disk: `<results>/<run>/` holds run.json, curve.csv and one CSV of predictions a split.

The median seed of each ablation's base recipe also keeps its slim log.jsonl, which the dashboard shows until there are
runs of one's own.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcal.errors import DCALError
from dcal.evaluation.predictions import BRANCHES, Predictions
from tools.study.plan import BASE

RUN, CURVE, LOG = "run.json", "curve.csv", "log.jsonl"


@dataclass(frozen=True)
class Result:
    """One run: `about` is its run.json, `curve` its epochs, `splits` its predictions, none before it is finished."""

    about: dict[str, Any]
    curve: list[dict[str, float]]
    splits: dict[str, Predictions]

    @property
    def name(self) -> str:
        return str(self.about["name"])

    @property
    def finished(self) -> bool:
        return bool(self.about["finished"])


def write_predictions(found: Predictions, path: Path) -> None:
    """One row an image: its label, then of each branch `_class`, `_confidence` and `_own` to three significant digits.

    "fused" is left out where it is "sa".
    """
    branches = [branch for branch in found.predicted if branch != "fused" or "glca" in found.predicted]
    header = ["label", *(f"{branch}_{what}" for branch in branches for what in ("class", "confidence", "own"))]
    columns: list[Iterable[Any]] = [found.labels.tolist()]
    for branch in branches:
        columns.append(found.predicted[branch].tolist())
        columns += [[f"{value:.3g}" for value in part[branch]] for part in (found.confidence, found.own)]
    write_rows([header, *zip(*columns, strict=True)], path)


def read_predictions(path: Path, images: str) -> Predictions:
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    table = dict(zip(header, np.array(lines, dtype=np.float64).T, strict=True))
    branches = {branch: "sa" if f"{branch}_own" not in table else branch for branch in BRANCHES}
    branches = {b: source for b, source in branches.items() if b != "glca" or source == "glca"}
    return Predictions(
        images,
        table["label"].astype(int),
        {branch: table[f"{source}_class"].astype(int) for branch, source in branches.items()},
        {branch: table[f"{source}_confidence"] for branch, source in branches.items()},
        {branch: table[f"{source}_own"] for branch, source in branches.items()},
    )


def write_curve(lines: Sequence[Mapping[str, float]], path: Path) -> None:
    """One row an epoch; a column is empty where the epoch has no such figure."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    write_rows([names, *([f"{line[name]:.5g}" if name in line else "" for name in names] for line in lines)], path)


def read_curve(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def write_rows(rows: Iterable[Iterable[Any]], path: Path) -> None:
    replace_text(path, "".join(",".join(map(str, row)) + "\n" for row in rows))


def replace_text(path: Path, text: str) -> None:
    """Make `text` the file's content at once: killed at any moment, the old or the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def write_about(about: Mapping[str, Any], folder: Path) -> None:
    replace_text(folder / RUN, json.dumps(about, indent=1) + "\n")


def read_about(folder: Path) -> dict[str, Any] | None:
    """The run's run.json; None if there is none yet."""
    path = folder / RUN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def medians(results: Mapping[str, Result]) -> list[str]:
    """The run of the median seed, by top-1 on the test images, of each ablation with the base recipe.

    Of each tier in which the ablation's runs are finished; the lower of two in the middle.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results.values():
        if one.finished and one.about["recipe"] == BASE:
            groups.setdefault((one.about["tier"], one.about["ablation"]), []).append(one)
    ordered = (
        sorted(own, key=lambda one: float(one.splits["test"].correct("fused").mean())) for own in groups.values()
    )
    return sorted(own[(len(own) - 1) // 2].name for own in ordered)


def read_results(results: Path) -> dict[str, Result]:
    """{name: result} of every run in the folder. Raises DCALError if there is none."""
    found = {}
    for path in sorted(results.glob(f"*/{RUN}")):
        about = json.loads(path.read_text(encoding="utf-8"))
        splits = {
            split: read_predictions(path.parent / f"{split}.csv", images) for split, images in about["images"].items()
        }
        found[about["name"]] = Result(about, read_curve(path.parent / CURVE), splits)
    if not found:
        raise DCALError(f"{results} holds no results of a run: let `python -m tools.study.queue` write them")
    return found

"""A run's log.jsonl, a line every few steps, made slim: one row an epoch, or its lines with fewer digits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

SHORT = {"losses": "loss", "accuracies": "accuracy", "loss_weights": "weight"}  # in the log: in the curve


def slim(log: Path) -> list[dict[str, float]]:
    """Of every epoch in the log: `epoch` (from 1), `step`, means over its steps, and what was evaluated after it.

    Losses and training accuracies are `loss_<branch>` and `accuracy_<branch>`, PWCA's with its distractors; loss
    weights (`weight_<branch>`) and `images_per_second` are the epoch's last. `eval_*` are the evaluation's figures, on
    the test split of the run's data folder. A last line that was cut off in writing is left out.
    """
    lines = list(complete_lines(log))
    return [epoch_row(epoch, lines) for epoch in sorted({line["epoch"] for line in lines})]


def slim_log(log: Path) -> str:
    """The log's lines, all numbers to four significant digits, without what tells of the machine's memory."""
    lines = ({key: value for key, value in line.items() if key != "memory_mib"} for line in complete_lines(log))
    return "".join(json.dumps(short(line), separators=(",", ":")) + "\n" for line in lines)


def short(value: Any) -> Any:
    """The same with all floats to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: short(each) for name, each in value.items()}
    return [short(each) for each in value] if isinstance(value, list) else value


def complete_lines(log: Path) -> Iterator[dict[str, Any]]:
    for text in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            return  # the process was killed while it wrote this one


def epoch_row(epoch: int, lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    steps = [line for line in lines if line["epoch"] == epoch and "split" not in line]
    before = max((line["step"] for line in lines if line["epoch"] < epoch), default=0)
    row: dict[str, float] = {"epoch": epoch + 1, **(training_figures(steps, before) if steps else {})}
    for line in lines:
        if line["epoch"] == epoch and "split" in line:  # the last one counts: the exported weights' figures
            row |= {f"eval_{name}": value for name, value in line.items() if name.endswith("top1")}
    return row


def training_figures(lines: Sequence[Mapping[str, Any]], before: int) -> dict[str, float]:
    """An epoch's lines as one; each is for the steps since the line above it, the first for those since `before`."""
    last, ends = lines[-1], [before, *(line["step"] for line in lines)]
    counts = [end - start for start, end in pairwise(ends)]
    row: dict[str, float] = {"step": last["step"]}
    for name in ("losses", "accuracies"):
        for branch in last[name]:
            total = sum(count * line[name][branch] for count, line in zip(counts, lines, strict=True))
            row[f"{SHORT[name]}_{branch}"] = total / sum(counts)
    row |= {f"{SHORT['loss_weights']}_{branch}": value for branch, value in last["loss_weights"].items()}
    return row | {"images_per_second": last["images_per_second"]}

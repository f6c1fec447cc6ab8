"""What stands beside the bundled checkpoints, and numbers as the documents write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / "checkpoints"
ABLATIONS = ("sa_only", "sa_glca", "sa_pwca", "full")
NONE = "–"


def read(checkpoint: str, name: str) -> dict[str, Any]:
    """`evaluation`, `analysis` or `metrics` of a bundled checkpoint."""
    found: dict[str, Any] = json.loads((CHECKPOINTS / checkpoint / f"{name}.json").read_text(encoding="utf-8"))
    return found


def read_result(folder: str, name: str) -> dict[str, Any]:
    """A file of docs/results, of what is not bundled."""
    found: dict[str, Any] = json.loads(
        (ROOT / "docs" / "results" / folder / f"{name}.json").read_text(encoding="utf-8")
    )
    return found


def read_lines(folder: str, name: str) -> list[dict[str, Any]]:
    """The same of a .jsonl file, line by line."""
    text = (ROOT / "docs" / "results" / folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def number(value: float, digits: int) -> str:
    """With a minus sign where it is negative; −0.00 keeps its sign, which says that it was not exactly 0."""
    return f"{value:.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def interval(found: Mapping[str, float] | None, digits: int, scale: float = 1.0) -> str:
    """`mean (low–high)`; the mean alone where no interval was found, a dash for nothing."""
    if found is None or found.get("mean") is None:
        return NONE
    mean = number(scale * found["mean"], digits)
    if found.get("low") is None:
        return mean
    return f"{mean} ({number(scale * found['low'], digits)}–{number(scale * found['high'], digits)})"


def share(record: Mapping[str, Any], name: str, unit: str = "") -> str:
    """A share in per cent with its interval from `record["intervals"]`."""
    low, high = record["intervals"][name]
    return f"{percent(record[name])}{unit} ({percent(low)}–{percent(high)})"


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"

"""A run's log.jsonl as series: what a page or a figure draws, also while the run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcal.errors import DCALError

LOG = "log.jsonl"
AHEAD = 60.0  # seconds that another machine's clock may be ahead
Line = Mapping[str, Any]


@dataclass(frozen=True)
class RunLog:
    """`steps`: the lines of training; `evaluations`: those of measurements on a split. `note`: what was left out."""

    steps: tuple[Line, ...]
    evaluations: tuple[Line, ...]
    note: str = ""

    def names(self) -> list[str]:
        """The series of the training lines: "loss", "losses/sa", "distractor_shares/03", …"""
        return list(dict.fromkeys(name for line in self.steps for name in numbers(line)))

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """(step, value) of every training line that has the series."""
        found = [(int(line["step"]), values[name]) for line in self.steps if name in (values := numbers(line))]
        return [step for step, _ in found], [value for _, value in found]


def read_run_log(folder: Path) -> RunLog:
    """The log of a run folder. A last line that is not complete yet is left out; any other damage is in `note`.

    Raises DCALError, naming the folder by its name, if there is no log.
    """
    try:
        text = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DCALError(f"{folder.name}/{LOG} cannot be read ({error.strerror})") from error
    lines, damaged = [], 0
    rows = text.splitlines()
    for number, row in enumerate(rows, 1):
        line = parsed(row)
        if line is not None:
            lines.append(line)
        elif number < len(rows) or text.endswith("\n"):
            damaged += 1
    note = f"{damaged} of {len(rows)} lines of {folder.name}/{LOG} cannot be read and are left out." if damaged else ""
    return RunLog(
        tuple(line for line in lines if "split" not in line), tuple(line for line in lines if "split" in line), note
    )


def parsed(row: str) -> Line | None:
    """One line of the log; None if it is no object with a step."""
    try:
        line = json.loads(row)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None


def numbers(line: Line, above: str = "") -> dict[str, float]:
    """A line's numbers under names like "losses/sa" or "distractor_shares/03", without epoch and step."""
    found: dict[str, float] = {}
    for name, value in line.items():
        if not above and name in ("epoch", "step"):
            continue
        if isinstance(value, Mapping):
            found |= numbers(value, f"{above}{name}/")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found |= numbers({f"{index:02d}": item for index, item in enumerate(value)}, f"{above}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{above}{name}"] = float(value)
    return found


def run_folders(root: Path) -> list[str]:
    """The names of the run folders directly below `root`, the one written last first.

    Logs that are dated in the future, as after a clock was set back, come last: when they were written is not known.
    """
    found = [path for path in root.glob(f"*/{LOG}") if not path.parent.name.startswith(".")]
    return [path.parent.name for path in sorted(found, key=lambda path: (-_written(path), path))]


def _written(path: Path) -> float:
    """When a file was written, in seconds since 1970; 0 if that is not known, or the file is gone."""
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    return changed if changed <= time.time() + AHEAD else 0.0

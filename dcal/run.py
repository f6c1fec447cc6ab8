"""A run's folder: its log, and its account of itself."""

from __future__ import annotations

import dataclasses
import json
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dcal.recipe import TrainConfig


class Log:
    """Lines of JSON. A resumed run drops what an earlier process wrote of the steps that are done again."""

    def __init__(self, path: Path, after_step: int):
        self.path = path
        beside = path.with_suffix(".tmp")
        beside.write_text("".join(f"{json.dumps(line)}\n" for line in kept_lines(path, after_step)), encoding="utf-8")
        beside.replace(path)

    def write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def kept_lines(path: Path, after_step: int) -> Iterator[dict[str, Any]]:
    """The lines of a log up to that step, without the export's, which is measured again."""
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            return  # the process was killed while it wrote this, its last line
        if line["step"] <= after_step and not line.get("exported"):
            yield line


def progress_bar(epoch: int, epochs: int, steps: int) -> Progress:
    bar = Progress(
        TextColumn(f"epoch {epoch + 1}/{epochs}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
        transient=True,
        disable=not sys.stdout.isatty(),
    )
    bar.add_task("", total=steps, numbers="")
    return bar


def describe(line: dict[str, Any]) -> str:
    """The losses and the loss weights of a log line, for people."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in line["losses"].items())
    weights = " ".join(f"{value:+.3f}" for value in line["loss_weights"].values())
    return f"{losses}{'  w ' if weights else ''}{weights}  {line['images_per_second']:.1f} photos/s"


def percent(found: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:.1%}" for name, value in found.items() if name != "n") + f"  (n = {found['n']})"


def comparable(config: TrainConfig) -> dict[str, Any]:
    """The fields that decide a run's numbers, as plain values; a resumed run must have the same."""
    free = {"data_root", "out", "workers", "device", "resume", "log_every", "save_every", "eval_every"}
    values = {**dataclasses.asdict(config), "pretrained": Path(config.pretrained).name}
    return {name: value for name, value in values.items() if name not in free}


def command(config: Any, verb: str = "train") -> str:
    """The command that repeats this run: `dcal verb` and what differs from the defaults of its settings, a dataclass.

    Folders are shortened to their last name, so that it can be published.
    """
    return shlex.join(["dcal", verb, *options(config)])


def options(config: Any) -> Iterator[str]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from options(value)
        elif field.name not in ("resume", "json") and value != field.default:
            yield "--" + field.name.replace("_", "-")
            if value is not True:
                folder = isinstance(value, Path) or field.name == "pretrained" or str(value).startswith("/")
                yield Path(value).name if folder else str(value)


def hardware(device: torch.device) -> str:
    """The processor that did the work, by the name its maker gave it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name"))
    return f"{next(names, platform.machine())}, {torch.get_num_threads()} threads"


def cpu_lines() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ())

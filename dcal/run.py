"""A run's folder: its log, the state to continue from, and its account of itself."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dcal.errors import DCALError
from dcal.recipe import TrainConfig


class Log:
    """Lines of JSON. A resumed run drops what a killed one wrote of the epoch that is done again."""

    def __init__(self, path: Path, before_epoch: int):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["epoch"] < before_epoch]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


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


def prepare_out(config: TrainConfig) -> None:
    """Make `out`, or refuse: it must not hold another run unless that run is resumed."""
    if (config.out / "last.pt").exists() and not config.resume:
        raise DCALError(f"{config.out} holds a run already: continue it with --resume, or choose another --out")
    config.out.mkdir(parents=True, exist_ok=True)


def comparable(config: TrainConfig) -> dict[str, Any]:
    """The fields that decide a run's numbers, as plain values; a resumed run must have the same."""
    free = {"data_root", "out", "workers", "device", "resume", "log_every", "eval_every"}
    values = {**dataclasses.asdict(config), "pretrained": Path(config.pretrained).name}
    return {name: value for name, value in values.items() if name not in free}


def save_state(state: dict[str, Any], path: Path) -> None:
    """Whole or not at all: written beside, synced, then renamed over the old one."""
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load_state(path: Path, config: TrainConfig, device: torch.device) -> dict[str, Any]:
    """What `save_state` wrote. Raises DCALError if the run there had other settings, naming those that differ."""
    state = torch.load(path, map_location=device, weights_only=True)
    wanted = comparable(config)
    differing = [
        f"{name} was {state['config'].get(name)!r}, now {value!r}"
        for name, value in wanted.items()
        if state["config"].get(name) != value
    ]
    if differing:
        raise DCALError(f"{path} belongs to another run: {'; '.join(differing)}. Use its settings, or another --out")
    return state


def command(config: TrainConfig) -> str:
    """The command that repeats this run. Folders are shortened to their last name, so that it can be published."""
    words = ["dcal", "train"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "resume" or value == field.default:
            continue
        value = Path(value).name if field.name in ("data_root", "out", "pretrained") else value
        words += ["--" + field.name.replace("_", "-"), str(value)]
    return shlex.join(words)


def hardware(device: torch.device) -> str:
    """The processor that did the work, by the name its maker gave it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name"))
    return f"{next(names, platform.machine())}, {torch.get_num_threads()} threads"


def cpu_lines() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ())

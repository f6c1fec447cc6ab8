"""A run's account of itself: what it says on the way, its settings, its command, its hardware."""

from __future__ import annotations

import dataclasses
import platform
import resource
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dcal.training.presets import TrainConfig, preset_for

# Fields that a resumed run may have otherwise: they change no number, or (accumulate) are judged as shards.
FREE = {
    *("data_root", "also_root", "out", "workers", "device", "accumulate", "resume"),
    *("log_every", "save_every", "eval_every", "wandb"),
}


def progress_bar(epoch: int, epochs: int, steps: int, shown: bool = True) -> Progress:
    bar = Progress(
        TextColumn(f"epoch {epoch + 1}/{epochs}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
        transient=True,
        disable=not (shown and sys.stdout.isatty()),
    )
    bar.add_task("", total=steps, numbers="")
    return bar


def describe(line: dict[str, Any]) -> str:
    """The losses and the loss weights of a log line, for people."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in line["losses"].items())
    weights = " ".join(f"{value:+.3f}" for value in line["loss_weights"].values())
    return f"{losses}{'  w ' if weights else ''}{weights}  {line['images_per_second']:.1f} photos/s"


def percent(found: dict[str, Any]) -> str:
    shares = "  ".join(f"{name} {value:.1%}" for name, value in found.items() if isinstance(value, float))
    return f"{shares}  ({', '.join(f'{name} = {count}' for name, count in found.items() if isinstance(count, int))})"


def comparable(config: TrainConfig, shards: int) -> dict[str, Any]:
    """What decides a run's numbers, as plain values; a resumed run must have the same.

    The number of shards counts, not how many processes share them.
    """
    values = {**dataclasses.asdict(config), "pretrained": Path(config.pretrained).name, "shards": shards}
    return {name: value for name, value in values.items() if name not in FREE}


def train_command(config: TrainConfig, processes: int = 1) -> str:
    """The command that repeats this run: its preset, by name or by its data set, and what differs from it."""
    start = ["dcal", "train"]
    if processes > 1:
        start = ["torchrun", "--nproc-per-node", str(processes), "-m", "dcal.train"]
    if config.preset not in (None, config.dataset):
        return shlex.join([*start, "--preset", str(config.preset), *options(config)])
    if preset_for(dataset=config.dataset).task != config.task:  # the yard serves both
        start += ["--task", config.task]
    return shlex.join([*start, "--dataset", config.dataset, *options(config, but=("resume", "dataset", "task"))])


def command(config: Any, verb: str) -> str:
    """The command that repeats this: `dcal verb` and what differs from the defaults of its settings, a dataclass."""
    return shlex.join(["dcal", verb, *options(config)])


def options(config: Any, but: Sequence[str] = ("resume", "json")) -> Iterator[str]:
    """What differs from a dataclass's defaults as words. Folders are shortened to their last name, to be published."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from options(value, but)
        elif field.name not in but and value != field.default:
            yield "--" + field.name.replace("_", "-")
            if value is not True:
                folder = isinstance(value, Path) or field.name == "pretrained" or str(value).startswith("/")
                yield Path(value).name if folder else str(value)


def hardware(device: torch.device, processes: int = 1) -> str:
    """The processors that did the work, by the name that their maker gave them."""
    times = f"{processes} × " if processes > 1 else ""
    if device.type == "cuda":
        return times + torch.cuda.get_device_name(device)
    names = (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name"))
    return f"{times}{next(names, platform.machine())}, {torch.get_num_threads()} threads"


def memory_mib(device: torch.device) -> float:
    """The most memory that this process has held so far: on the GPU, or of the machine when it trains on its CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # what getrusage counts in
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def cpu_lines() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ())

"""Where figures come from: the command that repeats them, the hardware, the memory that was needed."""

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


def command(config: Any, verb: str) -> str:
    """The command that repeats this: `dcal verb` and what differs from the defaults of its settings, a dataclass."""
    return shlex.join(["dcal", verb, *options(config)])


def options(config: Any, but: Sequence[str] = ("resume", "json"), base: Any = None) -> Iterator[str]:
    """What differs from `base`, another instance, by itself from the dataclass's defaults; as words.

    Paths are shortened to their last name, to be published.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        usual = field.default if base is None else getattr(base, field.name)
        if dataclasses.is_dataclass(value):
            yield from options(value, but)
        elif field.name not in but and value != usual:
            yield from option(field.name, value)


def option(name: str, value: Any) -> Iterator[str]:
    """The words of one option: a flag, `--no-` a flag, or its name and what it is set to."""
    words = name.replace("_", "-")
    if isinstance(value, bool):
        yield f"--{words}" if value else f"--no-{words}"
        return
    yield f"--{words}"
    for each in value if isinstance(value, tuple | list) else [value]:
        path = isinstance(each, Path) or name == "pretrained" or str(each).startswith("/")
        yield Path(each).name if path else str(each)


def hardware(device: torch.device, processes: int = 1) -> str:
    """The processors that did the work, by the name that their maker gave them."""
    times = f"{processes} × " if processes > 1 else ""
    if device.type == "cuda":
        return times + torch.cuda.get_device_name(device)
    names = (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name"))
    return f"{times}{next(names, platform.machine())}, {torch.get_num_threads()} threads"


def memory_mib(device: torch.device) -> float:
    """The most memory that this process has held so far: on the GPU, or of the machine when it computes on its CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # what getrusage counts in
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def cpu_lines() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ())

"""What a run may be written to besides its own folder, on request: Weights & Biases, trackio."""

from __future__ import annotations

import dataclasses
import importlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dcal.errors import DCALError
from dcal.training.config import TrainConfig

Drawn = Mapping[str, Sequence[UInt8[np.ndarray, "h w 3"]]]


class Tracker:
    """A run of Weights & Biases or of trackio, the same one again when this run is resumed.

    `name` is the module's, "wandb" or "trackio", whose calls are alike. wandb writes to out/wandb (WANDB_MODE=offline
    keeps it there), trackio to its own folder on this machine (`trackio show`); tried with trackio 0.43. What a killed
    run wrote after its last state is there twice when it was resumed. Raises DCALError if it is not installed.
    """

    def __init__(self, name: str, project: str, config: TrainConfig) -> None:
        try:
            self.module: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise DCALError(
                f"{name} is requested but not installed: pip install {name}, or leave --{name} away"
            ) from error
        values = {key: str(v) if isinstance(v, Path) else v for key, v in dataclasses.asdict(config).items()}
        number = identity(config.folder / f"{name}-run.txt")
        own: dict[str, Any] = {"project": project, "resume": "allow", "config": values}
        if name == "wandb":
            self.run = self.module.init(**own, name=config.folder.name, id=number, dir=config.folder)
            self.run.define_metric("*", step_metric="step")
        else:  # it knows a run by its name
            self.run = self.module.init(
                **own, name=f"{config.folder.name}-{number}", auto_log_gpu=False, auto_log_cpu=False
            )
        self.counts_steps = name == "trackio"

    def log(self, values: Mapping[str, Any], step: int) -> None:
        if self.counts_steps:
            self.run.log({name: value for name, value in values.items() if name != "step"}, step=step)
        else:
            self.run.log({**values, "step": step})

    def show(self, drawn: Drawn, step: int) -> None:
        """Images by name, each with its number."""
        image = self.module.Image
        shown = {f"{name}/{i}": image(own) for name, some in drawn.items() for i, own in enumerate(some)}
        self.log(shown, step)

    def finish(self) -> None:
        self.run.finish()


def trackers(config: TrainConfig) -> list[Tracker]:
    """Those that the configuration names a project for."""
    projects = {"wandb": config.wandb, "trackio": config.trackio}
    return [Tracker(name, project, config) for name, project in projects.items() if project]


def identity(path: Path) -> str:
    """The run's number, kept in its folder."""
    if not path.is_file():
        path.write_text(secrets.token_hex(4), encoding="utf-8")
    return path.read_text(encoding="utf-8")

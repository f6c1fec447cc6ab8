"""The command line that repeats a run."""

from __future__ import annotations

import shlex

from dcal.provenance import options
from dcal.training.config import TrainConfig
from dcal.training.presets import PRESETS


def train_command(config: TrainConfig, processes: int = 1) -> str:
    """The command that repeats this run: a preset and every field that differs from it, whatever class `config` is of.

    The preset is named by the data set where it is the data set's own (as the command line finds it), else by itself.
    """
    start = ["dcal", "train"]
    if processes > 1:
        start = ["torchrun", "--nproc-per-node", str(processes), "-m", "dcal.train"]
    own = PRESETS.get(config.dataset)
    if config.preset in (None, config.dataset) and own is not None and own().task == config.task:
        return shlex.join([*start, "--dataset", config.dataset, *options(config, base=own())])
    preset = config.preset or config.task  # the paper's recipe of the task has its name
    return shlex.join([*start, "--preset", preset, *options(config, base=PRESETS[preset]())])

"""`dcal train`: the configuration from a preset and the words of the command line; the run itself is the core's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from dcal.data import DATASETS, REID_DATASETS, data_sets
from dcal.errors import DCALError
from dcal.model.ablation import ABLATIONS
from dcal.training.config import TrainConfig
from dcal.training.presets import PRESETS, preset_for
from dcal_explorer.cli.parsing import parsed, value_of

ALIASES = {"--lr": "--learning-rate", "--num-epochs": "--epochs", "--top-k-ratio": "--top-ratio"}
INSTEAD = {  # options of other implementations, and what stands for them here
    "--num-sa-layers": "the number of self-attention layers is the backbone's: choose another with --backbone",
    "--num-glca-layers": "there is one GLCA block, as in the paper: --ablation sa_only leaves it out",
    "--num-pwca-layers": "PWCA shares all layers of the backbone, as in the paper: --ablation sa_glca leaves it out",
    "--use-uncertainty-weighting": "losses of several branches are always weighted by uncertainty, as in the paper: "
    "--loss-weight-rate sets how fast the weights learn",
    "--triplet-margin": "the triplet loss has a soft margin, as in the paper's baseline: --triplet weighs it",
}
DESCRIPTION = f"""Train on a data set; prints the measured accuracy and writes a checkpoint.

  data sets of --task fgvc: {", ".join(DATASETS)}
  data sets of --task reid: {", ".join(REID_DATASETS)}
  ablations: {", ".join(ABLATIONS)}
  presets: {", ".join(PRESETS)}

examples:
  dcal train --dataset cub --data-root CUB_200_2011 --ablation full
  dcal train --dataset folder --data-root my-images --epochs 20
  dcal train --task reid --dataset market1501 --data-root Market-1501-v15.09.15
  torchrun --nproc-per-node 4 -m dcal.train --dataset cub --data-root CUB_200_2011
"""


def run(name: str, words: Sequence[str]) -> int:
    words = usual_names(words)
    preset, chosen_by = preset_of(words)
    config = parsed(configured(preset), words, name, DESCRIPTION)
    from dcal.training.train import train
    from dcal_explorer.cli.progress import progress_bars

    if chosen_by:
        print(chosen_by, file=sys.stderr)
    with progress_bars() as on_progress:
        train(config, on_progress)
    return 0


def usual_names(words: Sequence[str]) -> list[str]:
    """The words with this program's names for options that other implementations name otherwise.

    Raises DCALError for one that there is nothing like here, saying what to write instead.
    """
    renamed = []
    for word in words:
        option, equals, value = word.partition("=")
        spelled = option.replace("_", "-") if option.startswith("--") else option
        if spelled in INSTEAD:
            raise DCALError(f"there is no {spelled}: {INSTEAD[spelled]}")
        renamed.append(ALIASES[spelled] + equals + value if spelled in ALIASES else word)
    return renamed


def preset_of(words: Sequence[str]) -> tuple[TrainConfig, str]:
    """The preset that a command line names by --preset, else by --task and --dataset; and a sentence on the choice.

    For a data set without a preset of its own, its number of training images decides.
    """
    preset, task, dataset, root = (value_of(words, name) for name in ("preset", "task", "dataset", "data-root"))
    usual = preset_for(preset, task, dataset)
    if preset is not None or dataset is None or root is None or dataset in PRESETS:
        return usual, ""
    if dataset not in data_sets(usual.task) or not Path(root).exists():
        return usual, ""  # the run's own error says more
    images = len(data_sets(usual.task)[dataset](Path(root), "train"))
    chosen = preset_for(task=task, dataset=dataset, images=images)
    if type(chosen) is type(usual):
        return usual, f"preset {usual.preset}: {images:,} images to train on"
    other = f"--preset {usual.preset}: the paper's recipe"
    return chosen, f"preset {chosen.preset}: {images:,} images to train on ({other})"


def configured(preset_config: TrainConfig) -> Callable[..., TrainConfig]:
    """A function whose arguments are those of `dcal train`; a preset's numbers hold where none are given."""

    def train(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = preset_config,
        preset: str | None = preset_config.preset,
    ) -> TrainConfig:
        """The run.

        Args:
            config: the run
            preset: whose numbers hold where none are given; by itself, the data set's (see above)
        """
        return config

    return train

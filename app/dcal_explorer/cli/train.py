"""`dcal train`: the configuration from a preset and the words of the command line; the run itself is the core's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import tyro

from dcal.data import DATASETS, REID_DATASETS, data_sets
from dcal.data.image_shape import proposed_size, typical_size
from dcal.data.records import ImageRecord
from dcal.model.ablation import ABLATIONS
from dcal.training.config import TrainConfig
from dcal.training.presets import PRESETS, preset_for
from dcal_explorer.cli.parsing import parsed, show_json, value_of

ALIASES = {"--lr": "--learning-rate", "--num-epochs": "--epochs", "--top-k-ratio": "--top-ratio"}
WEIGHTING = "--use-uncertainty-weighting"  # on by itself; as other implementations spell it, with or without a value
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
    config, as_json = parsed(configured(preset), words, name, DESCRIPTION)
    from dcal.training.distributed import first_process
    from dcal.training.train import train
    from dcal_explorer.cli.progress import progress_bars

    if chosen_by:
        print(chosen_by, file=sys.stderr)
    with redirect_stdout(sys.stderr) if as_json else nullcontext(), progress_bars() as on_progress:
        metrics = train(config, on_progress)
    if as_json and first_process():
        show_json(metrics)
    return 0


def usual_names(words: Sequence[str]) -> list[str]:
    """The words with this program's names for options that other implementations name otherwise."""
    renamed: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        spelled = option.replace("_", "-") if option.startswith("--") else option
        if renamed and renamed[-1] == WEIGHTING and word.lower() in ("true", "false"):
            renamed[-1] = f"{WEIGHTING}={word}"
        else:
            renamed.append(ALIASES.get(spelled, option if spelled != WEIGHTING else spelled) + equals + value)
    return [own for word in renamed for own in weighting(word)]


def weighting(word: str) -> list[str]:
    """`--use-uncertainty-weighting` as a flag that is on by itself: nothing, or its negation; another word as it is."""
    option, _, value = word.partition("=")
    if option != WEIGHTING:
        return [word]
    return [f"--no-{WEIGHTING.removeprefix('--')}"] if value.lower() == "false" else []


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
    data = data_sets(usual.task)[dataset](Path(root), "train")
    images, identities = len(data), data.found().get("identities")
    chosen = preset_for(task=task, dataset=dataset, images=images, identities=identities)
    why = f"preset {chosen.preset}: {images:,} images to train on"
    if chosen.batch_size < type(chosen)().batch_size and not value_of(words, "batch-size"):
        why += f", which fill a batch of {chosen.batch_size}"
    if type(chosen) is not type(usual):
        why += f" (--preset {usual.preset}: the paper's recipe)"
    return chosen, why + ("" if value_of(words, "img-size") else proposal(data.records, chosen.size))


def proposal(records: Sequence[ImageRecord], size: tuple[int, int]) -> str:
    """A line that names another --img-size, where the images have another shape than the input; else nothing."""
    images = typical_size(records)
    better = None if images is None else proposed_size(images, size)
    if images is None or better is None:
        return ""
    words = str(better[0]) if better[0] == better[1] else f"{better[0]} {better[1]}"
    (height, width), (own_height, own_width) = images, size
    return (
        f"\nthe images are about {height} × {width} pixels (height × width), the input is {own_height} × {own_width}: "
        f"--img-size {words} fits their shape better"
    )


def configured(preset_config: TrainConfig) -> Callable[..., tuple[TrainConfig, bool]]:
    """A function whose arguments are those of `dcal train`; a preset's numbers hold where none are given."""

    def train(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = preset_config,
        preset: str | None = preset_config.preset,
        json: bool = False,
    ) -> tuple[TrainConfig, bool]:
        """The run.

        Args:
            config: the run
            preset: whose numbers hold where none are given; by itself, the data set's (see above)
            json: print the metrics as one JSON object in the end; all other lines go to the error stream
        """
        return config, json

    return train

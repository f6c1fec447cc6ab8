"""The `dcal` command. A subcommand calls the core and prints; what it needs is imported when it runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from dcal.errors import DCALError
from dcal.evaluation.config import EvalConfig
from dcal.training.config import TrainConfig
from dcal.training.presets import preset_for
from dcal_explorer.cli.index import Build, Search

if TYPE_CHECKING:
    from dcal.explain.inspection import Inspection


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: 2 after an error that the user can mend, told in one line."""
    options = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["demo"]:  # which has a parser of its own
        from dcal_explorer.demo.program import main as demo_main

        return demo_main(words[1:])
    try:
        commands: dict[str, Callable[..., Any]] = {
            "train": train_from(preset_of(words)),
            "eval": evaluate,
            "inspect": inspect,
            "data": data,
            "index": index,
            "demo": demo,
        }
        status = tyro.extras.subcommand_cli_from_dict(commands, prog="dcal", args=words, config=options)
    except DCALError as error:
        print(f"dcal: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dcal: interrupted", file=sys.stderr)
        return 130
    return status or 0


def preset_of(arguments: Sequence[str]) -> TrainConfig:
    """The preset that a command line names by --preset, else by --task and --dataset."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("preset", "task", "dataset"):
        parser.add_argument(f"--{name}")
    given, _ = parser.parse_known_args(arguments)
    return preset_for(given.preset, given.task, given.dataset)


def train_from(preset_config: TrainConfig) -> Callable[..., None]:
    """`dcal train`, with the numbers of a preset where the command line gives none."""

    def train(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = preset_config,
        preset: str | None = preset_config.preset,
    ) -> None:
        """Train on a data set; prints the measured accuracy and writes a checkpoint.

        Args:
            config: the run
            preset: whose numbers hold where none are given (dcal.training.presets); by itself, the data set's
        """
        from dcal.training.train import train
        from dcal_explorer.cli.progress import progress_bars

        with progress_bars() as on_progress:
            train(config, on_progress)

    return train


def evaluate(config: Annotated[EvalConfig, tyro.conf.arg(name="")]) -> None:
    """Measure a checkpoint on the official test split; prints tables and writes evaluation.json beside it."""
    from rich.console import Console

    from dcal.evaluation.run import measure
    from dcal_explorer.cli.progress import progress_bars
    from dcal_explorer.cli.tables import evaluation_tables

    with progress_bars() as on_progress:
        record, said = measure(config, on_progress)
    if config.json:
        show_json(record)
    else:
        wide = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
        wide.print(*evaluation_tables(record), sep="\n", soft_wrap=True)
    print(*said, sep="\n", file=sys.stderr)


def inspect(
    photo: tyro.conf.Positional[Path],
    checkpoint: str,
    out: Path,
    target: str | None = None,
    top_ratio: float | None = None,
) -> None:
    """See what a model looks at in one photo: writes layers.png, sa.png, glca.png, selected.png and inspection.npz.

    Args:
        photo: a picture
        checkpoint: a checkpoint directory, or a Hugging Face repository id
        out: the folder to write to
        target: a class by name, for the gradient-weighted rollout and the relevance
        top_ratio: another R than the checkpoint's, in (0, 1]
    """
    from dcal.explain.inspect import inspect
    from dcal.model.checkpoint import load_checkpoint

    seen = inspect(load_checkpoint(checkpoint), photo, target=target, top_ratio=top_ratio)
    out.mkdir(parents=True, exist_ok=True)
    seen.to_npz(out / "inspection.npz")
    written = [out / "inspection.npz", *draw_all(seen, out)]
    for note in seen.notes:
        print(note)
    for name, probability in seen.top(5):
        print(f"  {probability:6.1%}  {name}")
    print("written:", ", ".join(str(path) for path in written))


def draw_all(seen: Inspection, out: Path) -> list[Path]:
    """Write the pictures of a record to the folder `out`; the files written."""
    from PIL import Image

    from dcal import draw

    names = [f"layer {layer + 1}" for layer in range(seen.num_layers)]
    pictures = {"layers": draw.strip(seen, seen.rollout, names), "sa": draw.overlay(seen, seen.sa_map)}
    if seen.glca_map is not None and seen.selected_mask is not None:
        pictures["glca"] = draw.overlay(seen, seen.glca_map)
        pictures["selected"] = draw.selection(seen, seen.selected_mask)
    if seen.relevance is not None and seen.gradient_rollout is not None:
        pictures["gradient_rollout"] = draw.overlay(seen, seen.gradient_rollout)
        pictures["relevance"] = draw.overlay(seen, seen.relevance)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(out / f"{name}.png")
    return [out / f"{name}.png" for name in pictures]


def data(
    action: tyro.conf.Positional[Literal["check"]],
    dataset: tyro.conf.Positional[str],
    root: tyro.conf.Positional[Path | None] = None,
    workers: int = 2,
    json: bool = False,
) -> int:
    """Say what is there of a data set against what should be; decodes every photo. Exit status 1 if something is wrong.

    Args:
        action: what to do
        dataset: which data set
        root: the folder that holds it, or its CSV file; the yard needs none
        workers: processes that decode
        json: print one JSON object instead of lines
    """
    from dcal.data import DATASETS, REID_DATASETS, place_of
    from dcal.data.base import DataSet
    from dcal.data.validate import check
    from dcal.errors import check_choice
    from dcal_explorer.cli.progress import progress_bars

    kinds: dict[str, type[DataSet[Any]]] = {**DATASETS, **REID_DATASETS}
    kind = kinds[check_choice("dataset", dataset, kinds)]
    place = place_of("reid" if dataset in REID_DATASETS else "fgvc", dataset, root)
    with progress_bars() as on_progress:
        report = check(kind, place, workers, on_progress)
    if json:
        show_json(report.to_dict())
    else:
        print(report)
    return 0 if report.ok else 1


def index(
    action: Annotated[Build, tyro.conf.subcommand("build")] | Annotated[Search, tyro.conf.subcommand("search")],
) -> int:
    """Galleries: embed many images once, then find the nearest to a picture among them.

    Args:
        action: what to do
    """
    return action.run()


def demo() -> None:
    """Open the demo in the browser: upload an image and see what the model attends to."""


def show_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())

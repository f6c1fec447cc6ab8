"""`dcal eval`: a checkpoint's figures as tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from dcal.data import DATASETS, REID_DATASETS
from dcal.errors import DCALError
from dcal.evaluation.config import EvalConfig
from dcal_explorer.cli.parsing import parsed, show_json

DESCRIPTION = f"""Evaluate a checkpoint on the official test split: tables; evaluation.json, predictions.npz beside it.

  data sets of --task fgvc: {", ".join(DATASETS)}
  data sets of --task reid: {", ".join(REID_DATASETS)}

examples:
  dcal eval --checkpoint checkpoints/cub50-full --data-root CUB_200_2011
  dcal eval --checkpoint checkpoints/reid-full --rerank --analysis
"""


def run(name: str, words: Sequence[str]) -> int:
    config, visualize = parsed(configured, words, name, DESCRIPTION)
    from rich.console import Console

    from dcal.evaluation.run import measure, open_evaluation
    from dcal_explorer.cli.progress import progress_bars
    from dcal_explorer.cli.tables import evaluation_tables

    evaluation = open_evaluation(config)
    with progress_bars() as on_progress:
        record, notes = measure(config, on_progress, evaluation)
    if config.json:
        show_json(record)
    else:
        wide = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
        wide.print(*evaluation_tables(record), sep="\n", soft_wrap=True)
    print(*notes, sep="\n", file=sys.stderr)
    if visualize:
        from dcal_explorer.cli.inspect import among, draw

        return draw(evaluation.model.cpu(), among(evaluation.images, []), (config.out or Path("maps")))
    return 0


def configured(
    config: Annotated[EvalConfig, tyro.conf.arg(name="")], visualize: bool = False
) -> tuple[EvalConfig, bool]:
    """The evaluation.

    Args:
        config: the evaluation
        visualize: also draw the maps of some test images, into --out (by itself, maps/)
    """
    if visualize and config.json:
        raise DCALError("--json prints one object alone: leave --visualize away, or use `dcal visualize`")
    return config, visualize

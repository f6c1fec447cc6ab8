"""`dcal data check`: what there is of a data set against what there should be."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from dcal.data import DATASETS, REID_DATASETS
from dcal_explorer.cli.parsing import parsed, show_json

DESCRIPTION = f"""Check a data set before training: counts, missing and damaged images. Exit status 1 after a fault.

data sets: {", ".join([*DATASETS, *REID_DATASETS])}

examples:
  dcal data check cub CUB_200_2011
  dcal data check folder my-images --json
  dcal data check flat-folder my-images --skip-unreadable
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(data, words, name, DESCRIPTION)


def data(
    action: tyro.conf.Positional[Literal["check"]],
    dataset: tyro.conf.Positional[str],
    root: tyro.conf.Positional[Path | None] = None,
    workers: int = 2,
    skip_unreadable: bool = False,
    json: bool = False,
) -> int:
    """Check a data set.

    Args:
        action: what to do
        dataset: which data set
        root: the folder that holds it, or its CSV file; the yard needs none
        workers: processes that decode
        skip_unreadable: name images that cannot be read in skip.txt, beside them: training and evaluation leave them
            out from then on
        json: print one JSON object instead of lines
    """
    from dcal.data import place_of, validate
    from dcal.data.base import DataSet
    from dcal.errors import check_choice
    from dcal_explorer.cli.progress import progress_bars

    kinds: dict[str, type[DataSet[Any]]] = {**DATASETS, **REID_DATASETS}
    kind = kinds[check_choice("dataset", dataset, kinds)]
    place = place_of("reid" if dataset in REID_DATASETS else "fgvc", dataset, root)
    with progress_bars() as on_progress:
        report = validate.check(kind, place, workers, on_progress)
        skipped = validate.skip_unreadable(kind, place, report) if skip_unreadable else None
        if skipped:
            print(f"images that cannot be read are left out from now on: {skipped}", file=sys.stderr)
            report = validate.check(kind, place, workers, on_progress)
    if json:
        show_json(report.to_dict())
    else:
        print(report)
    return 0 if report.ok else 1

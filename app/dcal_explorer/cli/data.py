"""`dcal data check`: what there is of a data set against what there should be."""

from __future__ import annotations

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
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(data, words, name, DESCRIPTION)


def data(
    action: tyro.conf.Positional[Literal["check"]],
    dataset: tyro.conf.Positional[str],
    root: tyro.conf.Positional[Path | None] = None,
    workers: int = 2,
    json: bool = False,
) -> int:
    """Check a data set.

    Args:
        action: what to do
        dataset: which data set
        root: the folder that holds it, or its CSV file; the yard needs none
        workers: processes that decode
        json: print one JSON object instead of lines
    """
    from dcal.data import place_of
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

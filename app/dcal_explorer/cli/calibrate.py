"""`dcal calibrate`: which similarity means the same identity, for a re-identification checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

from dcal.data import REID_DATASETS
from dcal_explorer.cli.parsing import parsed, show_json

DESCRIPTION = f"""Fit the probability that two images show the same identity on a data set's training split, and write
calibration.json beside the checkpoint's weights. `dcal eval` then measures it on the test split.

data sets: {", ".join(REID_DATASETS)}

examples:
  dcal calibrate checkpoints/reid-full
  dcal calibrate runs/mine/checkpoint market1501 Market-1501-v15.09.15
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(calibrate, words, name, DESCRIPTION)


def calibrate(
    checkpoint: tyro.conf.Positional[Path],
    dataset: tyro.conf.Positional[str] = "yard",
    root: tyro.conf.Positional[Path | None] = None,
    batch_size: int = 32,
    workers: int = 2,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Fit a calibration.

    Args:
        checkpoint: the checkpoint's directory
        dataset: which data set
        root: the folder that holds it; the yard needs none
        batch_size: images per forward pass
        workers: loader processes
        device: auto is cuda when there is one, else cpu
        json: print one JSON object instead of lines
    """
    from dcal.errors import check_choice
    from dcal.evaluation.similarities import calibrate as fit
    from dcal_explorer.cli.progress import progress_bars

    check_choice("dataset", dataset, REID_DATASETS)
    options: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "device": device}
    with progress_bars() as on_progress:
        found = fit(checkpoint, dataset, root, on_progress=on_progress, **options)
    if json:
        show_json(
            {
                "file": str(checkpoint / "calibration.json"),
                "fingerprint": found.fingerprint,
                "fitted_on": found.fitted_on,
                "even_from": found.across.similarity(0.5),
                "new_below": found.new_below,
                "group_above": found.group_above,
            }
        )
        return 0
    print(f"written: {checkpoint / 'calibration.json'}, fitted on {found.fitted_on}")
    print(f"probability 50 % from a similarity of {found.across.similarity(0.5):.3f} on, among images of other cameras")
    print(f"a query is probably new below {found.new_below:.3f}; images are grouped above {found.group_above:.3f}")
    return 0

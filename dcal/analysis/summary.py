"""An analysis in numbers: means with intervals, against chance and against the controls."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from dcal.analysis.maps import CONTROLS, titles
from dcal.analysis.run import Analysis, Values
from dcal.intervals import mean_interval

MORE_IS_BETTER = {"pointing": True, "energy": True, "parts": True, "deletion": False, "insertion": True}


def summary(analysis: Analysis) -> dict[str, Any]:
    """JSON-ready: `study` (the settings), `images` and `chance` of each measure, `maps`, `curves`, `sanity`.

    `maps[name]` has its `title` and, for each measure, `mean`, `low`, `high` (95 %, bootstrap over images), and the
    same of the paired difference to each control as `over_random` and `over_centre`; None where one image gives no
    interval. `sanity` has the number of `images` and the mean rank correlation, stage → map.
    """
    scores, seed = analysis.scores, analysis.study.seed
    stages = {stage: {name: float(v.mean()) for name, v in own.items()} for stage, own in analysis.sanity.items()}
    measured = next(iter(next(iter(analysis.sanity.values())).values()))
    return {
        "study": dataclasses.asdict(analysis.study),
        "images": {measure: int((~np.isnan(own["random"])).sum()) for measure, own in scores.items()},
        "chance": {measure: float(np.nanmean(values)) for measure, values in analysis.chance.items()},
        "maps": {
            name: {"title": title, **{m: against_controls(own, name, seed) for m, own in scores.items()}}
            for name, title in titles().items()
            if name in next(iter(scores.values()))
        },
        "curves": {m: {name: v.tolist() for name, v in own.items()} for m, own in analysis.curves.items()},
        "sanity": {"images": len(measured), "stages": stages},
    }


def against_controls(own: Values, name: str, seed: int) -> dict[str, Any]:
    """The mean of map `name` under one measure, and how far it lies above each control on the same images."""
    over = {f"over_{control}": mean_of(own[name] - own[control], seed) for control in CONTROLS if control != name}
    return {**mean_of(own[name], seed), **over}


def mean_of(values: Float[np.ndarray, " n"], seed: int) -> dict[str, float | None]:
    """{mean, low, high} over the images that have a value."""
    present = values[~np.isnan(values)]
    low, high = (None if math.isnan(end) else end for end in mean_interval(present, seed))
    return {"mean": float(present.mean()), "low": low, "high": high}


def beats(numbers: Mapping[str, Any], measure: str, control: str) -> bool:
    """Whether the whole interval of the difference to `control` lies on the better side of zero."""
    low, high = (numbers[f"over_{control}"][end] for end in ("low", "high"))
    return low is not None and (low > 0 if MORE_IS_BETTER[measure] else high < 0)

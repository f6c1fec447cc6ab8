"""What the attention is worth: every map of a model under every measure, on a data set's images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dcal.analysis.annotations import places_of
from dcal.analysis.batches import Batch, draw, map_batches
from dcal.analysis.config import AnalysisConfig
from dcal.analysis.localisation import localisation
from dcal.analysis.maps import model_maps
from dcal.analysis.perturbation import area, deletion_insertion, filled, patch_order, step_counts
from dcal.analysis.sanity import cascade, rank_correlation
from dcal.data.records import Record
from dcal.errors import DCALError
from dcal.model.dcal import DCAL
from dcal.progress import OnProgress, silent

Values = dict[str, Float[np.ndarray, "..."]]  # images come first
Scores = dict[str, Values]  # of each map under each measure


@dataclass(frozen=True)
class Analysis:
    """Per-image results, in the data set's order; nan where an image has nothing to find.

    `scores`, measure → map → (n,): `pointing`, `energy`, `parts` (more is better; a measure for which no image has
    annotations is absent), `deletion` (less is better), `insertion` (more is better). `chance`: what a flat map scores.
    `curves`: deletion's and insertion's mean answer after each step. `sanity`, stage → map → (n,): the rank correlation
    with the trained model's map after each stage of randomisation.
    """

    study: AnalysisConfig
    scores: Scores
    chance: Values
    curves: Scores
    sanity: Scores


def analyse(
    model: DCAL,
    records: Sequence[Record],
    study: AnalysisConfig | None = None,
    batch_size: int = 16,
    workers: int = 0,
    on_progress: OnProgress = silent,
) -> Analysis:
    """Every measure for every map of `model`, which must be in evaluation mode, on the device that holds it.

    Maps speak for the class that the model answers, right or wrong. The numbers follow from weights, records and
    `study` alone, up to rounding. `on_progress` gets what is measured, on how many images so far, of how many.
    Raises DCALError for a model in training mode, without records, and for more steps than patches.
    """
    study = study or AnalysisConfig()
    if model.training:
        raise DCALError("the model is in training mode: call model.eval() first")
    if not records:
        raise DCALError("there is nothing to analyse: no image was given")
    step_counts(model.layout.patches, study.steps)  # before minutes are spent: do they fit?

    def batches(what: str, count: int) -> Iterable[Batch]:
        chosen, done = draw(len(records), count, study.seed), 0
        for batch in map_batches(model, records, chosen, study.seed, batch_size, workers):
            yield batch
            done += len(batch.indices)
            on_progress(what, done, len(chosen))

    scores, chance = localise(model, records, batches("localisation", study.images))
    erased, curves = erase(model, batches("deletion and insertion", study.images_erased), study)
    sanity = randomise(model, batches("randomised weights", study.images_randomised), study.seed)
    return Analysis(study, scores | erased, chance, curves, sanity)


def localise(model: DCAL, records: Sequence[Record], batches: Iterable[Batch]) -> tuple[Scores, Values]:
    """(scores, chance levels) of the measures of `localisation` for which any image has annotations."""
    parts: list[Scores] = []
    levels: list[Values] = []
    for batch in batches:
        own = [records[index] for index in batch.indices]
        places = places_of(own, batch.sizes, model.config.preprocess, model.layout)
        parts.append(by_measure({name: localisation(as_array(m), places) for name, m in batch.maps.items()}))
        levels.append(localisation(np.ones_like(places.cover), places))
    chance = {name: np.concatenate([level[name] for level in levels]) for name in levels[0]}
    chance = {name: values for name, values in chance.items() if not np.isnan(values).all()}
    scores = joined(parts)
    return {measure: scores[measure] for measure in chance}, chance


def erase(model: DCAL, batches: Iterable[Batch], study: AnalysisConfig) -> tuple[Scores, Scores]:
    """(`deletion` and `insertion`, their mean curves): the areas under the predicted class's probability."""
    curves: list[Scores] = []
    for batch in batches:

        def answer(images: Tensor, targets: Tensor = batch.targets) -> Tensor:
            return model(images).probabilities.take_along_dim(targets[:, None], dim=1)[:, 0]

        blank = filled(batch.images, study.fill)
        with torch.inference_mode():
            ends = batch.certainty, answer(blank)
        found = {}
        for name, values in batch.maps.items():
            order = patch_order(values, study.seed)
            both = deletion_insertion(answer, batch.images, blank, order, model.layout, study.steps, ends)
            found[name] = dict(zip(("deletion", "insertion"), map(as_array, both), strict=True))
        curves.append(by_measure(found))
    whole = joined(curves)
    patches = model.layout.patches
    areas = {m: {name: area(values, patches) for name, values in own.items()} for m, own in whole.items()}
    return areas, {m: {name: values.mean(0) for name, values in own.items()} for m, own in whole.items()}


def randomise(model: DCAL, batches: Iterable[Batch], seed: int) -> Scores:
    """Stage by stage, the rank correlation of every map (but the controls) with what it was before."""
    kept = list(batches)  # few images; the cascade is walked once for all of them
    found: Scores = {}
    for stage, changed in cascade(model, seed):
        parts = []
        for batch in kept:
            maps = model_maps(changed, batch.images, batch.targets)
            own = {name: rank_correlation(as_array(m), as_array(batch.maps[name])) for name, m in maps.items()}
            parts.append({stage: own})
        found |= joined(parts)
    return found


def by_measure(found: dict[str, Values]) -> Scores:
    """map → measure → values, turned to measure → map → values."""
    measures = next(iter(found.values()))
    return {measure: {name: values[measure] for name, values in found.items()} for measure in measures}


def joined(parts: Sequence[Scores]) -> Scores:
    """The batches' scores as one."""
    return {
        measure: {name: np.concatenate([part[measure][name] for part in parts]) for name in own}
        for measure, own in parts[0].items()
    }


def as_array(values: Float[Tensor, "*any"]) -> Float[np.ndarray, "*any"]:
    return values.double().cpu().numpy()

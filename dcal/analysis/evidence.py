"""What match evidence is worth: does the similarity depend on the patches that it names, and it on the match?

Patches of the query are replaced by its blurred self in the evidence's order (deletion), or put back in that order
(insertion), while the match stays; the area between the two curves is what an order is worth, and 0 what chance is.
Beside the evidence: random order, a centre prior, rollout, and taking out every patch by itself (occlusion), which
costs a forward pass a patch and is therefore measured on fewer pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dcal.analysis.maps import TITLES as MAP_TITLES
from dcal.analysis.pairs import CONTROLS, FILL, PairBatch, Triple, pair_batches
from dcal.analysis.perturbation import area, deletion_insertion, patch_order, step_counts
from dcal.analysis.sanity import rank_correlation
from dcal.analysis.summary import mean_of
from dcal.errors import DCALError
from dcal.model.dcal import DCAL
from dcal.progress import OnProgress, silent

Values = Float[np.ndarray, "_"]  # a number a pair; of occlusion, of the first pairs alone
Areas = dict[str, dict[str, dict[str, Values]]]  # target → branch → map
TITLES = {
    "relevance": "evidence: relevance of the target",
    "occlusion": "every patch taken out by itself",
    "rollout": MAP_TITLES["rollout"],
    "centre": MAP_TITLES["centre"],
    "random": MAP_TITLES["random"],
}


@dataclass(frozen=True)
class EvidenceMeasures:
    """Per-pair results, by target ("similarity", "margin"), branch and map; "occlusion" is of the first pairs alone.

    `deletion` (less is better) and `insertion` (more is better) are areas under the curves. `dependence`, by branch:
    the rank correlation of the query's evidence for its match and for an image of another identity; 1 if it knows of no
    match.
    """

    steps: int
    deletion: Areas
    insertion: Areas
    dependence: dict[str, Values]


def measure_evidence(
    model: DCAL,
    triples: Sequence[Triple],
    steps: int = 10,
    seed: int = 0,
    occluded: int = 0,
    batch_size: int = 8,
    on_progress: OnProgress = silent,
) -> EvidenceMeasures:
    """The evidence of the triples, and of the first `occluded` of them occlusion too, under every measure.

    The numbers follow from weights, triples, `steps` and `seed` alone, up to rounding. Raises DCALError for a model in
    training mode, without triples, and for more steps than patches.
    """
    if model.training:
        raise DCALError("the model is in training mode: call model.eval() first")
    if not triples:
        raise DCALError("there is no pair whose evidence could be measured")
    step_counts(model.layout.patches, steps)
    occluded, done = min(occluded, len(triples)), 0
    parts: list[tuple[Areas, Areas]] = []
    dependence: list[dict[str, Values]] = []
    for batch in pair_batches(model, triples, seed, batch_size, occluded):
        parts.append(areas(model, batch, steps, seed))
        dependence.append(dependence_of(batch))
        done += len(batch.queries)
        on_progress("evidence of pairs", done, len(triples))
    return EvidenceMeasures(
        steps,
        joined([deletion for deletion, _ in parts]),
        joined([insertion for _, insertion in parts]),
        {name: np.concatenate([own[name] for own in dependence]) for name in dependence[0]},
    )


def areas(model: DCAL, batch: PairBatch, steps: int, seed: int) -> tuple[Areas, Areas]:
    """(deletion, insertion) of a batch. A map that is the same for all columns is followed once."""
    with torch.inference_mode():
        ends = batch.score(batch.queries), batch.score(batch.blank)
    found: tuple[Areas, Areas] = {}, {}

    def follow(order: Tensor) -> list[Float[np.ndarray, "b s"]]:
        curves = deletion_insertion(batch.score, batch.queries, batch.blank, order, model.layout, steps, ends)
        return [area(curve.double().cpu().numpy(), model.layout.patches) for curve in curves]

    for name, values in batch.maps.items():
        shared = follow(patch_order(values, seed)) if isinstance(values, Tensor) else None
        for index, (target, branch) in enumerate(batch.columns):
            own = shared
            if own is None:
                assert not isinstance(values, Tensor)
                own = follow(patch_order(values[target, branch], seed))
            for kind, result in zip(found, own, strict=True):
                kind.setdefault(target, {}).setdefault(branch, {})[name] = result[:, index]
    return found


def dependence_of(batch: PairBatch) -> dict[str, Values]:
    """How like the query's evidence for its match and for the other image are, by branch."""
    relevance = batch.maps["relevance"]
    assert not isinstance(relevance, Tensor)
    return {
        branch: rank_correlation(*(own.double().cpu().numpy() for own in (relevance["similarity", branch], for_other)))
        for branch, for_other in batch.for_other.items()
    }


def joined(parts: Sequence[Areas]) -> Areas:
    """The batches' areas as one; a map that later batches lack has fewer pairs, the first ones."""
    return {
        target: {
            branch: {
                name: np.concatenate([part[target][branch][name] for part in parts if name in part[target][branch]])
                for name in sorted(set().union(*(part[target][branch] for part in parts)), key=list(TITLES).index)
            }
            for branch in own
        }
        for target, own in parts[0].items()
    }


def evidence_summary(found: EvidenceMeasures, seed: int) -> dict[str, Any]:
    """JSON-ready: {pairs, steps, fill, targets, dependence}.

    `targets[target][branch][map]` has the number of `pairs`, `deletion`, `insertion` and `worth`, insertion − deletion,
    each as {mean, low, high, se}, and `over_random`, `over_centre` and `over_rollout`, by how much its worth exceeds
    theirs on the same pairs. Intervals are the 95 % bootstrap's over pairs, `se` is the standard error of the mean.
    """
    return {
        "pairs": len(next(iter(found.dependence.values()))),
        "steps": found.steps,
        "fill": FILL,
        "targets": {
            target: {branch: worth(found, target, branch, seed) for branch in own}
            for target, own in found.deletion.items()
        },
        "dependence": {branch: spread(values, seed) for branch, values in found.dependence.items()},
    }


def worth(found: EvidenceMeasures, target: str, branch: str, seed: int) -> dict[str, Any]:
    """Every map's numbers for one target and branch."""
    deletion, insertion = found.deletion[target][branch], found.insertion[target][branch]
    gains = {name: insertion[name] - deletion[name] for name in deletion}
    return {
        name: {
            "pairs": len(gain),
            "deletion": spread(deletion[name], seed),
            "insertion": spread(insertion[name], seed),
            "worth": spread(gain, seed),
            **{
                f"over_{control}": spread(gain - gains[control][: len(gain)], seed)
                for control in CONTROLS
                if control != name
            },
        }
        for name, gain in gains.items()
    }


def spread(values: Values, seed: int) -> dict[str, float | None]:
    """{mean, low, high, se}; of one pair there is no spread."""
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {**mean_of(values, seed), "se": error}

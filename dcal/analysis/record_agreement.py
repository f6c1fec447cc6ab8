"""How far two checkpoints agree on one image: rank correlation of their maps, overlap of the selected patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcal.analysis.sanity import rank_correlation
from dcal.errors import DCALError
from dcal.explain.inspection import Inspection

MAPS = ("relevance", "rollout", "glca")


@dataclass(frozen=True)
class RecordAgreement:
    """Of a record with a reference; None where one of them lacks the map, or the grids differ.

    Correlations are Spearman's, in [-1, 1]; `selected` is the overlap of the selected patches, shared over all, in
    [0, 1].
    """

    relevance: float | None
    rollout: float | None
    glca: float | None
    selected: float | None


def map_of(seen: Inspection, name: str) -> np.ndarray | None:
    """A record's map by its name in MAPS: of the class, after the last layer, of GLCA carried down to the input."""
    return {"relevance": seen.relevance, "rollout": seen.sa_map, "glca": seen.glca_input_map}[name]


def record_agreement(seen: Inspection, reference: Inspection) -> RecordAgreement:
    """How far a record agrees with a reference of the same image.

    Relevance is compared only if both are for the same class. Raises DCALError for records of different images.
    """
    if seen.image.shape != reference.image.shape or not np.array_equal(seen.image, reference.image):
        raise DCALError("the two records are of different images")
    same_grid = seen.layout == reference.layout and seen.box == reference.box
    same_class = target_name(seen) == target_name(reference)
    found: dict[str, float | None] = {}
    for name in MAPS:
        own, other = map_of(seen, name), map_of(reference, name)
        comparable = same_grid and (name != "relevance" or same_class)
        if own is None or other is None or not comparable:
            found[name] = None
        else:
            found[name] = float(rank_correlation(own.reshape(1, -1), other.reshape(1, -1))[0])
    return RecordAgreement(**found, selected=overlap(seen, reference) if same_grid else None)


def overlap(seen: Inspection, reference: Inspection) -> float | None:
    """The selected patches that both have, as a share of those that either has; None if one selects none."""
    if seen.selected is None or reference.selected is None:
        return None
    return len(np.intersect1d(seen.selected, reference.selected)) / len(np.union1d(seen.selected, reference.selected))


def target_name(seen: Inspection) -> str | None:
    return None if seen.target is None else seen.classes[seen.target]

"""How far two maps of one image agree: e.g. whether GLCA shows anything that SA does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dcal.analysis.localisation import top_weights
from dcal.analysis.sanity import rank_correlation
from dcal.errors import DCALError
from dcal.explain.inspection import Inspection

NEARLY_EQUAL = 0.02  # of the mass moved: below it, two maps cannot be told apart by eye


@dataclass(frozen=True)
class Agreement:
    """Three numbers on two maps of the same patches."""

    rank_correlation: float  # Spearman's, in [-1, 1]; 0 where one of the maps is flat
    overlap: float  # share of the `count` highest patches that the maps have in common, in [0, 1]
    count: int  # how many patches that is
    moved: float  # share of the mass that must move to turn one into the other (total variation), in [0, 1]

    @property
    def nearly_equal(self) -> bool:
        """Whether less than `NEARLY_EQUAL` of the mass moves: then a second map shows nothing new."""
        return self.moved < NEARLY_EQUAL


def agreement(first: Float[np.ndarray, "..."], second: Float[np.ndarray, "..."], count: int | None = None) -> Agreement:
    """How far two maps agree, whatever their scales. `count`: patches of the overlap, by default a tenth of all.

    Equal values at the limit of the highest count in part, so that a flat map overlaps with any by chance only.
    Raises DCALError for maps of different shapes, for negative or infinite values, and for a map of zeros.
    """
    if first.shape != second.shape:
        raise DCALError(f"maps of {first.shape} and {second.shape} patches cannot be compared")
    a, b = (np.asarray(values, dtype=np.float64).reshape(1, -1) for values in (first, second))
    for values in (a, b):
        if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
            raise DCALError(
                f"maps must be finite, not negative and not all 0; one runs from {values.min()} to {values.max()}"
            )
    count = max(1, round(a.shape[1] / 10)) if count is None else count
    shared = np.minimum(top_weights(a, count), top_weights(b, count)).sum() / count
    moved = 0.5 * np.abs(a / a.sum() - b / b.sum()).sum()
    return Agreement(float(rank_correlation(a, b)[0]), float(shared), count, float(moved))


def sa_and_glca(inspection: Inspection) -> dict[str, Agreement]:
    """SA's map against GLCA's own ("glca") and GLCA's carried down to the input ("glca_input"); overlap at R.

    Raises DCALError if the model has no GLCA branch.
    """
    if inspection.glca_map is None or inspection.glca_input_map is None or inspection.selected is None:
        raise DCALError(f"this checkpoint ({inspection.config.ablation}) has no GLCA branch to compare with SA")
    maps = {"glca": inspection.glca_map, "glca_input": inspection.glca_input_map}
    return {name: agreement(inspection.sa_map, values, len(inspection.selected)) for name, values in maps.items()}

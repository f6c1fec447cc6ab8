"""How much of an analysis is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dcal.errors import DCALError

Fill = Literal["mean", "blur"]


@dataclass(frozen=True)
class AnalysisConfig:
    """How much is measured. Of images, 0 means all; the images of a smaller number are among those of a larger one.

    What an image costs, in forward passes: localisation 4, erasure 2 · maps · (steps − 1), randomised weights 3 for
    every block of the backbone and some more. A pair (Re-ID) costs (steps − 1) · 2 for each of three controls and two
    to six kinds of evidence, and occlusion one more for each patch and for as many kinds.
    """

    images: int = 0  # for localisation: the pointing game, energy, parts. Re-ID: all of the yard's pairs of twins
    images_erased: int = 100  # for deletion and insertion
    images_randomised: int = 50  # for the sanity check
    pairs: int = 20  # Re-ID: for deletion and insertion by the evidence of a match
    pairs_occluded: int = 5  # Re-ID: of these, also by taking out every patch by itself
    steps: int = 10  # of deletion and insertion, from no patch to all
    fill: Fill = "mean"  # what stands in for a patch that is taken out
    seed: int = 0  # draws the images and pairs, the random control, the randomised weights and the bootstrap's images

    def __post_init__(self) -> None:
        for name in ("images", "images_erased", "images_randomised", "pairs", "pairs_occluded", "seed"):
            if getattr(self, name) < 0:
                raise DCALError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.steps < 1:
            raise DCALError(f"steps must be at least 1, got {self.steps}")

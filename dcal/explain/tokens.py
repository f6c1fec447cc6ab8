"""Token sizes and outliers: tokens with a far larger norm than the others, and patches that hold most of a map.

Vision transformers turn a few background patches into stores of global information, whose norms are many times larger
and which attract attention (Darcet et al., "Vision Transformers Need Registers", ICLR 2024). Such a patch takes the
whole colour scale and shows nothing of its place in the image: it is named, and can be left out of the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32

from dcal.errors import DCALError
from dcal.explain.class_maps import model_input
from dcal.explain.inspection import Inspection
from dcal.model.backbone import layer_tokens
from dcal.model.dcal import DCAL

# A value is an outlier this many robust standard deviations (1.4826 · median absolute deviation) above the median. Of
# normally distributed values about one in 10²³ is.
DEVIATIONS = 10.0


@dataclass(frozen=True)
class Outliers:
    """The patches of a map that lie far above all others, largest first."""

    patches: tuple[int, ...]  # indices, row by row
    share: float  # of the map's sum that they hold, in [0, 1]
    high: float  # the largest value that is none: the end of a scale that leaves them out

    def __str__(self) -> str:
        """E.g. "1 patch holds 62 %"; empty without outliers."""
        if not self.patches:
            return ""
        count = len(self.patches)
        return f"{count} {'patch holds' if count == 1 else 'patches hold'} {self.share * 100:.0f} %"


@torch.inference_mode()
def token_sizes(model: DCAL, inspection: Inspection) -> Float32[np.ndarray, "layers_and_one n"]:
    """The Euclidean norm of every token: of the embedding (row 0) and after each layer, prefix tokens first.

    One forward pass. Raises DCALError for a record of other weights.
    """
    tokens = layer_tokens(model.backbone, model.embed(model_input(model, inspection)))
    return torch.stack([x[0].float().norm(dim=-1) for x in tokens]).cpu().numpy()


def outliers(values: Float[np.ndarray, "*shape"], deviations: float = DEVIATIONS) -> Outliers:
    """Which of a map's patches (or a layer's patch norms) are outliers, and what they hold.

    A map in which more than half of the patches have one value has no spread to measure by: there, only what is more
    than ten times the median counts. Raises DCALError for negative or infinite values.
    """
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    if not (np.isfinite(flat).all() and (flat >= 0).all()):
        raise DCALError(
            f"outliers are found among finite values from 0 up, these run from {flat.min()} to {flat.max()}"
        )
    middle = float(np.median(flat))
    spread = 1.4826 * float(np.median(np.abs(flat - middle)))
    limit = middle + deviations * spread if spread > 1e-6 * middle else 10 * middle
    chosen = np.flatnonzero(flat > limit) if limit > 0 else np.array([], dtype=int)
    ordered = chosen[np.argsort(-flat[chosen], kind="stable")]
    kept = np.delete(flat, chosen)
    total = flat.sum()
    share = float(flat[chosen].sum() / total) if total > 0 else 0.0
    return Outliers(tuple(ordered.tolist()), share, float(kept.max()))

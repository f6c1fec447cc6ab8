"""The triplet loss of re-identification."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError


def triplet_loss(features: Float[Tensor, "b width"], identities: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    """The mean over photos of log(1 + exp(d_p - d_n)): batch-hard with a soft margin (Hermans et al., 2017).

    d_p is the Euclidean distance to the farthest photo of the same identity, d_n to the nearest of another one, both
    within the batch. A photo alone of its identity has d_p = 0, which pulls nothing. Features are not normalised, as in
    TransReID. Raises DCALError if there is one identity only: then nothing is a negative.
    """
    same = identities[:, None] == identities[None]
    if bool(same.all()):
        raise DCALError(
            f"the triplet loss compares identities, but all {len(identities)} photos of this part of the batch show "
            "one: raise batch_size, or lower instances or accumulate"
        )
    # differences, not |a|² + |b|² - 2ab: that loses the small distances, and under autocast would be in half precision
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    farthest = distances.masked_fill(~same, 0.0).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    return F.softplus(farthest - nearest).mean()

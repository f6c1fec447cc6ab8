"""What the yard's masks can teach beside identities: which parts an image shows, where, and of what colour.

Twins differ in one part that fills less than a hundredth of an image. A model is helped to have all parts in its class
token, and to know every patch's, by reading them off it: linear layers that training alone has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dcal.data.yard_table import PARTS

LEAST = 12  # pixels of a part that count as seeing it
PLACED, COLOURED, SEEN = 0.5, 5.0, 3.0  # weights that bring the three losses to about one at the beginning


@dataclass(frozen=True)
class PartTargets:
    """Of images of (height, width) in patches of 16: `share` of each part in each patch, whether an image shows a
    part, and its mean colour there, in [0, 1]."""

    share: Float[Tensor, "b patches parts"]
    seen: Float[Tensor, "b parts"]
    colour: Float[Tensor, "b parts 3"]


def part_targets(
    images: list[UInt8[np.ndarray, "height width 3"]], parts: list[UInt8[np.ndarray, "height width"]], patch: int
) -> PartTargets:
    """What is to be read off the class token and the patches of these images."""
    colours, masks = torch.from_numpy(np.stack(images)).float() / 255, torch.from_numpy(np.stack(parts)).long()
    hot = F.one_hot(masks, len(PARTS)).float().permute(0, 3, 1, 2)
    share = F.avg_pool2d(hot, patch).flatten(2).transpose(1, 2)
    count = hot.sum((2, 3))
    total = torch.einsum("bphw,bhwc->bpc", hot, colours)
    return PartTargets(share, (count >= LEAST).float(), total / count.clamp(min=1)[..., None])


class PartReader(nn.Module):
    """Reads parts linearly off the class token and the patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.placed, self.seen = nn.Linear(width, len(PARTS)), nn.Linear(width, len(PARTS))
        self.colour = nn.Linear(width, 3 * len(PARTS))

    def forward(
        self, feature: Float[Tensor, "b width"], patches: Float[Tensor, "b patches width"], targets: PartTargets
    ) -> Float[Tensor, ""]:
        """The loss: cross-entropy of the patches' parts, mostly of those on the vehicle, of whether a part is seen, and
        the absolute error of the colours of those that are."""
        each = -(targets.share * self.placed(patches).log_softmax(2)).sum(2)
        weight = 1.1 - targets.share[..., 0]
        placed = (each * weight).sum() / weight.sum()
        seen = F.binary_cross_entropy_with_logits(self.seen(feature), targets.seen)
        error = (self.colour(feature).unflatten(1, (-1, 3)) - targets.colour).abs().mean(2)
        known = targets.seen * (torch.arange(len(PARTS)) > 0)
        coloured = (error * known).sum() / known.sum().clamp(min=1)
        return PLACED * placed + SEEN * seen + COLOURED * coloured

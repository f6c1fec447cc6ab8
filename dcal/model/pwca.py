"""Who distracts whom: PWCA pairs each image of a batch with another one of it."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from dcal.errors import DCALError


def random_matching(batch: int, generator: torch.Generator | None = None) -> Int[Tensor, " b"]:
    """partner[i], the index of image i's distractor: a random perfect matching, each the other's distractor.

    PAPER draws image 2 at random from the training set; ours comes from the same batch, which the loader has shuffled.
    The matching is shuffled too, since Re-ID batches hold an identity's pictures in a row. Nobody is paired with
    itself. An odd batch has no perfect matching: its last three (after shuffling) form a ring, i → j → k → i, which the
    model computes exactly but more slowly. Raises DCALError for a batch of one, which has nobody to be paired with.
    """
    if batch < 2:
        raise DCALError(f"PWCA pairs the images of a batch: it needs at least 2, got {batch}")
    order = torch.randperm(batch, generator=generator)
    partner = torch.empty(batch, dtype=torch.long)
    paired = batch if batch % 2 == 0 else batch - 3
    partner[order[0:paired:2]], partner[order[1:paired:2]] = order[1:paired:2], order[0:paired:2]
    partner[order[paired:]] = order[paired:].roll(-1)
    return partner


def is_matching(partner: Int[Tensor, " b"]) -> bool:
    """Whether everybody is the distractor of its own distractor, and nobody of itself."""
    everybody = torch.arange(len(partner), device=partner.device)
    return bool((partner[partner] == everybody).all() and (partner != everybody).all())


def pair_order(partner: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """The order in which partners of a matching stand side by side: (i, partner[i]), (j, partner[j]), …"""
    everybody = torch.arange(len(partner), device=partner.device)
    firsts = everybody[everybody < partner]
    return torch.stack([firsts, partner[firsts]], dim=1).flatten()

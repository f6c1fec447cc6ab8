"""Random draws of a run: each from a seed of its own, so that none depends on those before it."""

from __future__ import annotations

import numpy as np


def draw_seed(seed: int, epoch: int, step: int = -1, shard: int = 0) -> int:
    """One number from the four, unrelated between neighbours.

    Epoch -1 stands for the model's initial values, step -1 for an epoch's order. As every step has its own, a run can
    be continued in the middle of an epoch without the generators' states.
    """
    return int(np.random.SeedSequence((seed, epoch + 1, step + 1, shard)).generate_state(1)[0])

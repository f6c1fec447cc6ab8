"""PK batches: P identities, K images of each, as the triplet loss needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcal.errors import DCALError


@dataclass(frozen=True)
class Epoch:
    """The batches of one epoch, lists of indexes, and how many images none of them holds."""

    batches: tuple[tuple[int, ...], ...]
    left_out: int

    def __str__(self) -> str:
        return f"{len(self.batches)} batches, {self.left_out} images left out"


class PKSampler:
    """Batches of `identities` × `instances` images, the images of an identity in a row.

    An epoch goes through the images about once, as in TransReID's recipe (the paper is silent). The images of each
    identity are shuffled and cut into groups of `instances`; what remains of the last group is left out of this epoch.
    An identity with fewer images than `instances` gives one group, in which its images take turns and so repeat. A
    batch takes a group each of different identities, drawn with a chance in proportion to the groups that they have
    left, so that few are over when fewer than `identities` identities have any and the epoch ends.
    Every draw follows from (seed, epoch) alone. The same batch is meant for all processes: each takes its own slice.
    """

    def __init__(self, labels: Sequence[int], identities: int = 16, instances: int = 4, seed: int = 0) -> None:
        self.members: dict[int, list[int]] = {}
        for index, label in enumerate(labels):
            self.members.setdefault(label, []).append(index)
        if identities < 1 or instances < 1:
            raise DCALError(f"a batch needs at least one identity and one image of it, got {identities} × {instances}")
        if len(self.members) < identities:
            raise DCALError(
                f"{identities} identities a batch, but the images show only {len(self.members)}: make the batch of "
                f"{instances} images each smaller, --batch-size {len(self.members) * instances}"
            )
        self.count, self.identities, self.instances, self.seed = len(labels), identities, instances, seed

    @property
    def batch_size(self) -> int:
        return self.identities * self.instances

    @property
    def repeating(self) -> int:
        """How many identities have fewer images than a batch takes of one."""
        return sum(len(own) < self.instances for own in self.members.values())

    def epoch(self, epoch: int) -> Epoch:
        """The batches of this epoch, the same in every process and whenever it is computed."""
        random = np.random.default_rng((self.seed, epoch))
        groups = [self._groups(own, random) for own in self.members.values()]
        left = np.array([len(own) for own in groups])
        batches: list[tuple[int, ...]] = []
        while np.count_nonzero(left) >= self.identities:
            chosen = random.choice(len(groups), self.identities, replace=False, p=left / left.sum())
            left[chosen] -= 1
            batches.append(tuple(index for each in chosen for index in groups[each].pop()))
        used = {index for batch in batches for index in batch}
        return Epoch(tuple(batches), self.count - len(used))

    def _groups(self, own: list[int], random: np.random.Generator) -> list[list[int]]:
        shuffled = [own[place] for place in random.permutation(len(own))]
        if len(own) < self.instances:
            return [[shuffled[place % len(own)] for place in range(self.instances)]]
        return [shuffled[at : at + self.instances] for at in range(0, len(own) - self.instances + 1, self.instances)]

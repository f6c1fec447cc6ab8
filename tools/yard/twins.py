"""Who stands in the yard: sixty pairs of twins, and the one part in which the two of a pair differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.yard.detail import DETAILS
from tools.yard.fleet import COLOURS, MODELS, Model

SEED = 20221
PAIRS_OF_A_MODEL = 3  # two of them to train, one to test
GROUPS = (
    {"decal", "dent", "scratch", "flank stripe", "door", "fuel flap"},
    {"roof bars", "roof box", "ladder", "lamp bar", "beacon", "air unit", "aerial"},
    {"sticker", "tail lamp", "rear bumper", "spoiler"},
    {"bonnet stripes", "fog lamp", "front bumper", "bull bar"},
)
NEEDS = {"roof box": "roof bars", "ladder": "roof bars"}


@dataclass(frozen=True)
class Vehicle:
    """One identity (from 1). Twins share everything but `present`: whether it has the differing part `differs`."""

    identity: int
    pair: int
    model: int
    split: str
    colour: str
    dirt: float
    seat: str
    tint: float
    accessories: tuple[str, ...]
    differs: str
    present: bool
    seed: int = SEED

    @property
    def kind(self) -> Model:
        return MODELS[self.model]


def fleet(seed: int = SEED) -> tuple[Vehicle, ...]:
    """All vehicles by identity. Every model has three pairs, in three colours, differing in three parts.

    The bundled yard is SEED's; other seeds' vehicles are all to train with.
    """
    random = np.random.default_rng(seed)
    used = dict.fromkeys(DETAILS, 0)
    vehicles: list[Vehicle] = []
    for model, entry in enumerate(MODELS):
        colours = random.permutation(list(COLOURS))[:PAIRS_OF_A_MODEL]
        test = int(random.integers(PAIRS_OF_A_MODEL))
        taken: set[str] = set()
        for turn, colour in enumerate(colours):
            possible = [name for name, (_, kinds) in DETAILS.items() if entry.kind in kinds and name not in taken]
            differs = min(possible, key=lambda name: (used[name], float(random.random())))
            used[differs] += 1
            taken.add(differs)
            accessories = _accessories(random, entry, differs)
            dirt = float(random.choice([0.0, 0.0, 0.3, 0.6, 0.9]))
            seat, tint = str(random.choice(["seat", "beige"])), float(random.choice([0.15, 0.4, 0.55]))
            first = bool(random.integers(2))
            pair = len(vehicles) // 2 + 1
            for present in (first, not first):
                split = "test" if turn == test and seed == SEED else "train"
                number = len(vehicles) + 1
                vehicles.append(
                    Vehicle(
                        number, pair, model, split, str(colour), dirt, seat, tint, accessories, differs, present, seed
                    )
                )
    return tuple(vehicles)


def _accessories(random: np.random.Generator, model: Model, differs: str) -> tuple[str, ...]:
    """Up to two things that both twins have, none near the differing part."""
    chosen = [NEEDS[differs]] if differs in NEEDS else []
    for group in GROUPS:
        possible = sorted(name for name in group if model.kind in DETAILS[name][1])
        if differs in group or not possible or random.random() > 0.35:
            continue
        name = str(random.choice(possible))
        chosen += [NEEDS[name], name] if name in NEEDS else [name]
    if differs != "wheel cover" and random.random() < 0.12:
        chosen.append("wheel cover")
    return tuple(chosen)

"""Which runs are compared: models of one tier on the same images, seed by seed and over all seeds that both have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dcal.errors import DCALError
from dcal.evaluation.predictions import Predictions
from tools.study.plan import BASE
from tools.study.results import Result
from tools.study.statistics import Difference, McNemar, crossed_difference, image_difference, mcnemar

Key = tuple[str, str, str]  # ablation, recipe, branch
Both = tuple[np.ndarray, np.ndarray]  # of the first model and of the second, image by image


@dataclass(frozen=True)
class Pair:
    """Two models of one seed on one split."""

    title: str
    seed: int
    test: McNemar
    top1: Difference
    loss: Difference


@dataclass(frozen=True)
class Pooled:
    """The same two over several seeds."""

    title: str
    seeds: str
    top1: Difference
    loss: Difference


def compared(keys: Sequence[Key]) -> Iterator[tuple[Key, Key]]:
    """What is worth comparing: the base recipe's ablations with each other, other recipes with their ablation's base.

    Fused answers, which inference gives; and once more SA alone of each base ablation with GLCA against `sa_only`,
    because GLCA's part of the answer is then left out (the paper: 84.3 where both give 84.6).
    """
    fused = [key for key in keys if key[2] == "fused"]
    yield from combinations([key for key in fused if key[1] == BASE], 2)
    for key in fused:
        if key[1] != BASE and (base := (key[0], BASE, "fused")) in fused:
            yield key, base
    for key in keys:
        if key[1:] == (BASE, "sa") and key[0] in ("full", "sa_glca") and (plain := ("sa_only", BASE, "fused")) in fused:
            yield key, plain


def pairs_of(runs: Sequence[Result], split: str) -> list[Pair]:
    table = by_seed(runs, split)
    return [
        Pair(title(one, other), seed, mcnemar(*right), image_difference(*as_floats(right)), image_difference(*loss))
        for one, other in compared(list(table))
        for seed in sorted(table[one].keys() & table[other].keys())
        for right, loss in [both(table[one][seed], one[2], table[other][seed], other[2])]
    ]


def pooled_of(runs: Sequence[Result], split: str) -> list[Pooled]:
    """Where both have two seeds or more, judged on the same images whatever the seed (the official test images)."""
    table, found = by_seed(runs, split), []
    for one, other in compared(list(table)):
        seeds = sorted(table[one].keys() & table[other].keys())
        if len(seeds) < 2 or len({table[one][seed].images for seed in seeds}) > 1:
            continue
        each = [both(table[one][seed], one[2], table[other][seed], other[2]) for seed in seeds]
        right = as_floats(stacked([pair for pair, _ in each]))
        loss = stacked([pair for _, pair in each])
        names = " ".join(map(str, seeds))
        found.append(Pooled(title(one, other), names, crossed_difference(*right), crossed_difference(*loss)))
    return found


def by_seed(runs: Sequence[Result], split: str) -> dict[Key, dict[int, Predictions]]:
    table: dict[Key, dict[int, Predictions]] = {}
    for one in runs:
        for branch in one.splits[split].predicted if split in one.splits else ():
            key = (one.about["ablation"], one.about["recipe"], branch)
            table.setdefault(key, {})[one.about["seed"]] = one.splits[split]
    return table


def both(first: Predictions, first_branch: str, second: Predictions, second_branch: str) -> tuple[Both, Both]:
    """((right answers of both), (losses of both)), image by image. Raises DCALError if the images differ."""
    if first.images != second.images:
        raise DCALError("two models are compared on different images: their results are of different data folders")
    right = first.correct(first_branch), second.correct(second_branch)
    return right, (first.loss(first_branch), second.loss(second_branch))


def stacked(pairs: Sequence[Both]) -> Both:
    """(the first's values, the second's), seeds × images."""
    return np.stack([first for first, _ in pairs]), np.stack([second for _, second in pairs])


def as_floats(values: Both) -> Both:
    return values[0].astype(float), values[1].astype(float)


def title(one: Key, other: Key) -> str:
    return f"{label(one)} − {label(other)}"


def label(key: Key) -> str:
    ablation, recipe, branch = key
    return f"`{ablation}`" + ("" if recipe == BASE else f", {recipe}") + (", SA alone" if branch == "sa" else "")

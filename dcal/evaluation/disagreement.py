"""Test images sorted by how far several checkpoints disagree on them: in their answers, or in their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float

from dcal.errors import DCALError, check_choice
from dcal.evaluation.coarse_maps import moved
from dcal.evaluation.image_results import ImageResults
from dcal.evaluation.predictions import Predictions

ORDERS = ("answers", "maps")


@dataclass(frozen=True, eq=False)
class Disagreements:
    """Several checkpoints on the same images, in the first one's order; rows of the arrays are images.

    `scores`: the probability of an image's label, or a query's average precision (NaN without a match), by checkpoint;
    `right`: whether the label is the most probable class, or the first image found is a match. `moved`: the largest
    share of a map that must move to turn one checkpoint's into another's (`coarse_maps.moved`), NaN where fewer than
    two have the map.
    """

    checkpoints: tuple[str, ...]
    images: tuple[str, ...]
    labels: tuple[str, ...]  # the class or the identity
    answers: tuple[tuple[str, ...], ...]  # the predicted class or the rank of the first match, by image and checkpoint
    scores: Float[np.ndarray, "n k"]
    right: Bool[np.ndarray, "n k"]
    moved: Float[np.ndarray, " n"]
    classes: bool = True  # whether labels and answers are classes

    @property
    def spread(self) -> Float[np.ndarray, " n"]:
        """How far apart the scores are."""
        return self.scores.max(axis=1) - self.scores.min(axis=1)

    def order(self, by: str = "answers") -> list[int]:
        """The images, most disagreement first; those without a figure are left out.

        "answers": where some checkpoints are right and some wrong, then by `spread`. "maps": by `moved`.
        """
        check_choice("order", by, ORDERS)
        split = self.right.any(axis=1) & ~self.right.all(axis=1)
        values = self.spread + split if by == "answers" else self.moved
        order = np.argsort(-values, kind="stable")
        return order[np.isfinite(values[order])].tolist()

    def only(self, right: tuple[str, ...]) -> Bool[np.ndarray, " n"]:
        """Where exactly these checkpoints are right."""
        wanted = np.array([name in right for name in self.checkpoints])
        return (self.right == wanted).all(axis=1)


def disagreements(results: Mapping[str, ImageResults], map: str = "rollout") -> Disagreements:
    """{checkpoint: its results} of the same images. `map`: which of their maps `moved` compares.

    Raises DCALError for fewer than two checkpoints and for results of other images, labels or tasks.
    """
    if len(results) < 2:
        raise DCALError(f"at least two checkpoints are needed to disagree, got {len(results)}")
    first = next(iter(results.values()))
    rows = {name: rows_of(found, first, name) for name, found in results.items()}
    maps = [found.maps[map][rows[name]] for name, found in results.items() if map in found.maps]
    pairs = [moved(a, b) for a, b in combinations(maps, 2) if a.shape == b.shape]
    return Disagreements(
        tuple(results),
        first.images,
        labels_of(first),
        tuple(zip(*(picked(answers_of(found), rows[name]) for name, found in results.items()), strict=True)),
        np.stack([scores_of(found)[rows[name]] for name, found in results.items()], axis=1),
        np.stack([right_of(found)[rows[name]] for name, found in results.items()], axis=1),
        np.max(pairs, axis=0) if pairs else np.full(len(first.images), np.nan),
        isinstance(first.answers, Predictions),
    )


def rows_of(found: ImageResults, first: ImageResults, name: str) -> list[int]:
    """Where the first one's images are among these. Raises DCALError if they are not the same."""
    place = {image: row for row, image in enumerate(found.images)}
    same_kind = type(found.answers) is type(first.answers) and found.view == first.view
    if not same_kind or place.keys() != set(first.images):
        raise DCALError(f"{name} was evaluated on other images, or sees another part of them: run dcal eval again")
    rows = [place[image] for image in first.images]
    if picked(labels_of(found), rows) != list(labels_of(first)):
        raise DCALError(f"{name} was evaluated with other labels: run dcal eval again")
    return rows


def picked(values: Sequence[str], rows: Sequence[int]) -> list[str]:
    return [values[row] for row in rows]


def labels_of(found: ImageResults) -> tuple[str, ...]:
    answers = found.answers
    if isinstance(answers, Predictions):
        return tuple(found.classes[label] for label in answers.labels)
    return answers.identities


def answers_of(found: ImageResults) -> tuple[str, ...]:
    """The predicted class; for a query the rank of its first match, "" without one."""
    answers = found.answers
    if isinstance(answers, Predictions):
        return tuple(found.classes[answer] for answer in answers.predicted["fused"])
    return tuple(str(rank) if rank else "" for rank in answers.first["joined"].tolist())


def scores_of(found: ImageResults) -> Float[np.ndarray, " n"]:
    answers = found.answers
    return answers.own["fused"] if isinstance(answers, Predictions) else answers.ap["joined"]


def right_of(found: ImageResults) -> Bool[np.ndarray, " n"]:
    answers = found.answers
    return answers.correct("fused") if isinstance(answers, Predictions) else answers.first["joined"] == 1

"""What a checkpoint answers on each test image: the class of a classifier, the rank of a query's matches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dcal.data.records import Record
from dcal.data.reid.base import ReIDRecord
from dcal.evaluation.classification import Evaluation
from dcal.evaluation.classification_report import BINS
from dcal.evaluation.reid import BranchQualities

BRANCHES = ("fused", "sa", "glca")


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers by their confidence, a bin of it a row; empty bins are left out."""

    confidence: Float[np.ndarray, " bins"]  # the mean in the bin
    accuracy: Float[np.ndarray, " bins"]
    count: Int[np.ndarray, " bins"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one model answers on every image of a split, in the data set's order, per branch.

    `predicted` is the most probable class, `confidence` its probability, `own` the probability of the image's label.
    Without GLCA, "fused" and "sa" are the same and "glca" is absent. `images` identifies the split: see `digest`.
    """

    images: str
    labels: Int[np.ndarray, " n"]
    predicted: Mapping[str, Int[np.ndarray, " n"]]
    confidence: Mapping[str, Float[np.ndarray, " n"]]
    own: Mapping[str, Float[np.ndarray, " n"]]

    def __len__(self) -> int:
        return len(self.labels)

    def correct(self, branch: str) -> Bool[np.ndarray, " n"]:
        return self.predicted[branch] == self.labels

    def reliability(self, branch: str = "fused", bins: int = BINS) -> Reliability:
        """How often answers of a confidence are right (Guo et al., 2017): what the calibration error sums up."""
        confidence = self.confidence[branch].astype(np.float64)
        place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
        count = np.bincount(place, minlength=bins)
        there = count > 0
        sums = (np.bincount(place, values, minlength=bins)[there] for values in (confidence, self.correct(branch)))
        return Reliability(*(total / count[there] for total in sums), count[there])

    def loss(self, branch: str) -> Float[np.ndarray, " n"]:
        """-ln of the label's probability, which is at least 1e-12."""
        return -np.log(np.maximum(self.own[branch], 1e-12))


@dataclass(frozen=True, eq=False)
class QueryRanks:
    """How every query of a split ranks its gallery, in the data set's order, by "joined", "sa" and "glca".

    `ap` is the average precision, NaN for a query without a match; `first` the rank of its first match, from 1, or 0.
    Without GLCA, "joined" and "sa" are the same and "glca" is absent.
    """

    identities: tuple[str, ...]  # as the data set's files name them
    cameras: Int[np.ndarray, " n"]
    ap: Mapping[str, Float[np.ndarray, " n"]]
    first: Mapping[str, Int[np.ndarray, " n"]]

    def __len__(self) -> int:
        return len(self.cameras)

    def cmc(self, most: int = 20, branch: str = "joined") -> Float[np.ndarray, " most"]:
        """The share of queries with a match within the first k, k = 1 … `most`; those without any do not count."""
        first = self.first[branch][self.first[branch] > 0]
        return (first[:, None] <= np.arange(1, most + 1)).mean(axis=0)


def as_predictions(found: Evaluation, images: str) -> Predictions:
    """The most probable class, its probability and the label's, from a branch's probabilities of all classes."""
    everyone = np.arange(found.n)
    by_branch = {branch: getattr(found, branch) for branch in BRANCHES if getattr(found, branch) is not None}
    predicted = {branch: values.argmax(axis=1) for branch, values in by_branch.items()}
    confidence = {branch: values.max(axis=1) for branch, values in by_branch.items()}
    own = {branch: values[everyone, found.labels] for branch, values in by_branch.items()}
    return Predictions(images, found.labels, predicted, confidence, own)


def as_ranks(found: BranchQualities, query: Sequence[ReIDRecord], names: Mapping[int, str]) -> QueryRanks:
    """From the qualities of the queries' rankings; `names` maps identities to what the data set's files call them."""
    return QueryRanks(
        tuple(names[record.identity] for record in query),
        np.array([record.camera for record in query], dtype=np.int64),
        {branch: quality.ap for branch, quality in found.qualities.items()},
        {branch: quality.first for branch, quality in found.qualities.items()},
    )


def digest(records: Sequence[Record]) -> str:
    """SHA-256 of the images' file names and labels in order: two equal ones mean the same split."""
    lines = "".join(f"{record.path.name} {record.label}\n" for record in records)
    return hashlib.sha256(lines.encode()).hexdigest()

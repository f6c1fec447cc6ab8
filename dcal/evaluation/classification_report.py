"""What an `Evaluation` says: accuracies with intervals, class by class, confusions, calibration.

Pure functions of per-image arrays: it does not matter how many processes gathered them, or in which order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import confusion_matrix

from dcal.errors import DCALError
from dcal.evaluation.classification import Evaluation
from dcal.intervals import wilson

BINS = 15  # of confidence, Guo et al. 2017
PAIRS = 10  # the most confused pairs that are listed


def figures(found: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """All figures of one evaluation, JSON-ready; shares are fractions.

    `Evaluation.summary`'s keys; `intervals`, the 95 % interval of each accuracy under the same key; `ece` with
    `sa_ece` and `glca_ece`; `mean_class_accuracy`, which weighs classes alike; `per_class` and `confused`, by the
    fused answer. Raises DCALError unless `classes` holds one name per probability.
    """
    if len(classes) != found.fused.shape[1]:
        raise DCALError(f"{len(classes)} class names were given for {found.fused.shape[1]} probabilities an image")
    summary = found.summary()
    matrix = confusions(found)
    own = class_accuracies(matrix)
    return {
        **summary,
        "intervals": {
            name: list(wilson(round(value * found.n), found.n)) for name, value in summary.items() if name != "n"
        },
        **{f"{name}ece": calibration_error(values, found.labels) for name, values in branch_probabilities(found)},
        "mean_class_accuracy": float(np.nanmean(own)),
        "per_class": [
            {"class": name, "n": int(n), "accuracy": None if n == 0 else float(share)}
            for name, n, share in zip(classes, matrix.sum(1), own, strict=True)
        ],
        "confused": [
            {"class": classes[label], "answered": classes[answer], "images": images, "share": share}
            for label, answer, images, share in confused_pairs(matrix)
        ],
    }


def branch_probabilities(found: Evaluation) -> Iterator[tuple[str, Float[np.ndarray, "n c"]]]:
    """(prefix of the figures' names, probabilities) of the fused answer and of each branch."""
    for prefix, probabilities in (("", found.fused), ("sa_", found.sa), ("glca_", found.glca)):
        if probabilities is not None:
            yield prefix, probabilities


def confusions(found: Evaluation) -> Int[np.ndarray, "c c"]:
    """How many images of class [row] were answered with class [column]; the fused answer."""
    return confusion_matrix(found.labels, found.fused.argmax(1), labels=range(found.fused.shape[1]))


def class_accuracies(matrix: Int[np.ndarray, "c c"]) -> Float[np.ndarray, " c"]:
    """The share of each class's images that is answered right; nan for a class without images."""
    totals = matrix.sum(1)
    return np.where(totals > 0, matrix.diagonal() / np.maximum(totals, 1), np.nan)


def confused_pairs(matrix: Int[np.ndarray, "c c"], most: int = PAIRS) -> list[tuple[int, int, int, float]]:
    """(class, wrong answer, images, their share of the class), most images first, then by share, then by index."""
    wrong = [(int(a), int(b)) for a, b in zip(*np.nonzero(matrix), strict=True) if a != b]
    pairs = [(a, b, int(matrix[a, b]), float(matrix[a, b] / matrix[a].sum())) for a, b in wrong]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3], pair[:2]))[:most]


def calibration_error(
    probabilities: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"], bins: int = BINS
) -> float:
    """The expected calibration error of Guo et al. (2017): Σ_bins (images / n) · |accuracy − mean confidence|.

    Confidence is the largest probability; bins are (0, 1/bins], (1/bins, 2/bins], … A library's function for these
    few lines would be one more package on every machine that trains; a test holds it against scikit-learn's curve.
    """
    answers, confidence = probabilities.argmax(1), probabilities.max(1).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=(answers == labels) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))

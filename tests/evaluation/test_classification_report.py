"""Figures of an evaluation against scikit-learn, scipy and hand-made cases."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, recall_score, top_k_accuracy_score

from dcal.errors import DCALError
from dcal.evaluation.classification import Evaluation
from dcal.evaluation.classification_report import (
    calibration_error,
    class_accuracies,
    confused_pairs,
    confusions,
    figures,
)
from dcal.intervals import mean_interval, wilson

N, CLASSES = 97, 7
NAMES = tuple("abcdefg")


@pytest.fixture
def found() -> Evaluation:
    random = np.random.default_rng(4)
    labels = random.integers(0, CLASSES, N)
    sa, glca = (random.dirichlet(np.ones(CLASSES), N) + 0.05 * np.eye(CLASSES)[labels] for _ in range(2))
    sa, glca = (p / p.sum(1, keepdims=True) for p in (sa, glca))
    return Evaluation(labels, 0.5 * (sa + glca), sa, glca)


def test_accuracies_and_their_intervals(found: Evaluation):
    given = figures(found, NAMES)
    for prefix, probabilities in (("", found.fused), ("sa_", found.sa), ("glca_", found.glca)):
        for k in (1, 5):
            expected = top_k_accuracy_score(found.labels, probabilities, k=k, labels=range(CLASSES))
            assert given[f"{prefix}top{k}"] == pytest.approx(expected, abs=1e-12)
            low, high = given["intervals"][f"{prefix}top{k}"]
            assert low < expected < high
            for end in (low, high):  # Wilson: the shares that a test at 5 % would just not reject
                assert abs(expected - end) / math.sqrt(end * (1 - end) / N) == pytest.approx(norm.ppf(0.975))
    assert given["intervals"].keys() == {k for k in given if "top" in k}
    json.dumps(given, allow_nan=False)


def test_wilson_by_hand_and_at_the_ends():
    z2 = norm.ppf(0.975) ** 2  # Wilson 1927, for 0 of n: from 0 to z² / (n + z²)
    assert wilson(0, 10) == pytest.approx((0, z2 / (10 + z2)))
    assert wilson(10, 10) == pytest.approx((10 / (10 + z2), 1))
    for hits, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(DCALError, match=f"got {hits} of {n}"):
            wilson(hits, n)


def test_class_by_class_and_confusions(found: Evaluation):
    answers = found.fused.argmax(1)
    matrix = confusions(found)
    np.testing.assert_array_equal(matrix, confusion_matrix(found.labels, answers))
    np.testing.assert_allclose(class_accuracies(matrix), recall_score(found.labels, answers, average=None))
    given = figures(found, NAMES)
    assert [own["class"] for own in given["per_class"]] == list(NAMES)
    assert given["mean_class_accuracy"] == pytest.approx(recall_score(found.labels, answers, average="macro"))
    for own, pair in zip(given["confused"], confused_pairs(matrix), strict=True):
        label, answer = NAMES.index(own["class"]), NAMES.index(own["answered"])
        both = sum(int(y == label and a == answer) for y, a in zip(found.labels, answers, strict=True))
        assert label != answer and pair[:3] == (label, answer, both) and own["images"] == both
        assert own["share"] == pytest.approx(both / (found.labels == label).sum())
    counts = [own["images"] for own in given["confused"]]
    assert counts == sorted(counts, reverse=True) and len(counts) == 10


def test_confusions_by_hand():
    matrix = np.array([[5, 2, 0], [0, 0, 0], [2, 1, 1]])  # nobody is of class 1, two are taken for it
    assert confused_pairs(matrix) == [(2, 0, 2, 0.5), (0, 1, 2, 2 / 7), (2, 1, 1, 0.25)]
    np.testing.assert_allclose(class_accuracies(matrix), [5 / 7, np.nan, 0.25])


def test_a_class_without_images_has_no_accuracy():
    labels, sa = np.array([0, 2, 2]), np.eye(3)[[0, 2, 1]]
    given = figures(Evaluation(labels, sa, sa, None), ("a", "b", "c"))
    assert given["per_class"][1] == {"class": "b", "n": 0, "accuracy": None}
    assert given["mean_class_accuracy"] == pytest.approx(0.75) and "glca_ece" not in given
    with pytest.raises(DCALError, match="2 class names were given for 3 probabilities"):
        figures(Evaluation(labels, sa, sa, None), ("a", "b"))


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_calibration_is_scikit_learns_curve(found: Evaluation, bins: int):
    correct, confidence = found.sa.argmax(1) == found.labels, found.sa.max(1)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=bins)
    counts = np.histogram(confidence, bins=np.linspace(0, 1, bins + 1))[0]
    expected = (counts[counts > 0] / N * abs(accuracy - mean)).sum()
    assert calibration_error(found.sa, found.labels, bins) == pytest.approx(expected, abs=1e-12)


def test_calibration_by_hand():
    sure, half = [1.0, 0.0], [0.5, 0.5]
    assert calibration_error(np.array([sure, sure]), np.array([0, 0])) == 0
    assert calibration_error(np.array([sure, sure]), np.array([0, 1])) == 0.5
    assert calibration_error(np.array([half, half]), np.array([0, 1])) == 0
    edge = np.array([[0.6, 0.4], [0.61, 0.39]])  # 0.6 closes a bin of five: the two are apart
    assert calibration_error(edge, np.array([0, 1]), bins=5) == pytest.approx((0.4 + 0.61) / 2)
    assert calibration_error(edge, np.array([0, 1]), bins=2) == pytest.approx((0.61 - 0.4) / 2)


def test_the_order_of_images_and_who_gathered_them_do_not_matter(found: Evaluation):
    order = np.random.default_rng(1).permutation(N)
    parts = [getattr(found, name)[order] for name in ("labels", "fused", "sa", "glca")]
    other = figures(Evaluation(*parts), NAMES)
    given = figures(found, NAMES)
    for name in ("ece", "sa_ece", "glca_ece"):
        assert other.pop(name) == pytest.approx(given.pop(name), abs=1e-12)  # sums in another order
    assert other == given


def test_the_bootstraps_interval():
    values = np.random.default_rng(2).normal(3, 2, 400)
    low, high = mean_interval(values, seed=1)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert mean_interval(values, seed=1) == (low, high) != mean_interval(values, seed=2)
    assert mean_interval(np.full(5, 0.25), seed=0) == (0.25, 0.25)
    assert all(map(math.isnan, mean_interval(np.array([0.25]), seed=0)))

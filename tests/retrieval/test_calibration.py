"""Calibration curves against scikit-learn and loops, open-set trials and groups against loops, files that are wrong."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.cluster import AgglomerativeClustering
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from dcal.errors import DCALError
from dcal.retrieval import calibrate
from dcal.retrieval.calibrate import drawn_identities, fit_calibration, grouping_figures, similarity_figures
from dcal.retrieval.calibration import (
    Curve,
    calibration_error,
    first_pairs,
    fit_curve,
    read_calibration,
    reliability,
    write_calibration,
)
from dcal.retrieval.grouping import group
from dcal.retrieval.open_set import Trials, match_rate, open_set_trials

N, D = 60, 7


def gallery(seed: int = 0, identities: int = 9, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(embeddings, identities, cameras) in clusters, three cameras."""
    random = np.random.default_rng(seed)
    ids, cameras = random.integers(0, identities, N), random.integers(0, 3, N)
    rows = np.random.default_rng(99).normal(size=(50, D))[ids] + noise * random.normal(size=(N, D))
    return rows, ids, cameras


def drawn_pairs(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Similarities and whether it is a match, which it is with the probability expit(8 s − 3)."""
    random = np.random.default_rng(seed)
    similarities = random.uniform(-1, 1, count)
    return similarities, random.random(count) < expit(8 * similarities - 3)


def test_first_pairs_are_what_a_ranking_shows():
    rows, ids, cameras = gallery()
    similarities, same = rows @ rows.T, ids[:, None] == ids[None]
    out = cameras[:, None] == cameras[None]
    out[4] = True
    out[4, 9:12] = False  # fewer than ten are left
    wanted = []
    for i in range(N):
        best = sorted((j for j in range(N) if not out[i, j]), key=lambda j: -similarities[i, j])[:10]
        wanted += [(similarities[i, j], bool(same[i, j])) for j in best]
    found, matches = first_pairs(similarities, same, out)
    assert list(zip(found.tolist(), matches.tolist(), strict=True)) == wanted and len(wanted) == 10 * (N - 1) + 3


def test_curves_are_scikit_learn_s():
    similarities, same = drawn_pairs()
    logistic = LogisticRegression(C=np.inf, max_iter=1000).fit(similarities[:, None], same)
    isotonic = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(similarities, same)
    asked = np.linspace(-1, 1, 173)
    np.testing.assert_allclose(
        fit_curve(similarities, same, "logistic").probability(asked),
        logistic.predict_proba(asked[:, None])[:, 1],
        atol=2e-4,
    )
    np.testing.assert_allclose(
        fit_curve(similarities, same, "isotonic").probability(asked), isotonic.predict(asked), atol=1e-9
    )


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_a_curve_recovers_the_probabilities_that_pairs_were_drawn_with(method):
    curve = fit_curve(*drawn_pairs(40_000), method)
    fresh, same = drawn_pairs(20_000, seed=1)
    assert np.abs(curve.probability(fresh) - expit(8 * fresh - 3)).max() < 0.12
    assert calibration_error(curve.probability(fresh), same) < 0.02
    assert calibration_error(curve.probability(fresh) ** 4, same) > 0.05  # an over-cautious one is found out
    assert curve.pairs == 40_000 and np.all(np.diff(curve.probability(np.linspace(-1, 1, 99))) >= 0)
    half = curve.similarity(0.5)
    assert curve.probability(np.array(half)) == pytest.approx(0.5, abs=1e-6) and half == pytest.approx(0.375, abs=0.03)
    assert curve.similarity(2.0) == curve.similarities[-1]


def test_the_calibration_error_is_a_loop_s():
    similarities, same = drawn_pairs(500)
    probabilities = expit(5 * similarities)
    total = 0.0
    for low in range(15):
        own = [i for i, p in enumerate(probabilities) if low / 15 <= p < (low + 1) / 15]
        if own:
            total += abs(sum(probabilities[i] for i in own) - sum(bool(same[i]) for i in own)) / len(same)
    assert calibration_error(probabilities, same) == pytest.approx(total, abs=1e-12)
    curve = reliability(np.array([0.0, 0.05, 1.0]), np.array([False, True, True]))
    assert curve == [
        {"low": 0.0, "high": 1 / 15, "pairs": 2, "probability": 0.025, "matches": 0.5},
        {"low": 14 / 15, "high": 1.0, "pairs": 1, "probability": 1.0, "matches": 1.0},
    ]


@pytest.mark.parametrize(
    ("similarities", "same", "says"),
    [
        ([0.1, 0.2], [True, True], "all 2 are same"),
        ([0.1, 0.2], [False, False], "all 2 are different"),
        ([0.1, np.nan], [False, True], "not finite"),
    ],
)
def test_pairs_that_cannot_be_calibrated(similarities, same, says):
    with pytest.raises(DCALError, match=says):
        fit_curve(np.array(similarities), np.array(same))


def test_open_set_trials_are_a_loop_s():
    rows, ids, cameras = gallery()
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarities, out = rows @ rows.T, cameras[:, None] == cameras[None]
    known, new, right = [], [], []
    for i in range(N):
        there = [j for j in range(N) if cameras[j] != cameras[i]]
        if not any(ids[j] == ids[i] for j in there):
            continue
        best = max(there, key=lambda j: similarities[i, j])
        known.append(similarities[i, best])
        right.append(ids[best] == ids[i])
        new.append(max(similarities[i, j] for j in there if ids[j] != ids[i]))
    found = open_set_trials(similarities, ids, ids, out)
    np.testing.assert_array_equal(found.known, known)
    np.testing.assert_array_equal(found.new, new)
    assert found.right.tolist() == right and 0 < sum(right) < len(right)
    summary = found.summary(0.8)
    wins = np.mean([(k > n) + 0.5 * (k == n) for k in known for n in new])
    assert summary["auroc"] == pytest.approx(wins)
    passed = sorted(new)[math.ceil(0.99 * (len(new) - 1))]
    assert summary["identified_at_1_percent"] == np.mean([r and k > passed for k, r in zip(known, right, strict=True)])
    alarms, misses = np.mean(np.array(new) >= 0.8), np.mean(np.array(known) < 0.8)
    assert summary["chosen"] == {"threshold": 0.8, "false_alarms": alarms, "misses": misses}
    assert sum(list(found.error_rates(found.balanced_threshold()).values())[1:]) == pytest.approx(
        min(sum(list(found.error_rates(t).values())[1:]) for t in np.linspace(-1, 1, 20_001)), abs=1e-9
    )


def test_open_set_needs_both_kinds():
    with pytest.raises(DCALError, match="no query has a match and a wrong image"):
        open_set_trials(np.ones((2, 3)), np.array([1, 2]), np.array([4, 5, 6]))


def test_the_match_rate_is_the_most_at_one_percent():
    similarities, same = drawn_pairs(1500)
    found = match_rate(similarities, same)
    best = 0.0
    for threshold in np.sort(similarities):
        accepted = similarities >= threshold
        if accepted[~same].mean() <= 0.01:
            best = max(best, float(accepted[same].mean()))
    assert found["matches"] == best > 0.02 and found["false_matches"] <= 0.01
    assert (similarities[same] >= found["threshold"]).mean() == found["matches"]


def test_groups_are_scikit_learn_s():
    rows, ids, _ = gallery()
    for above in (0.9, 0.6, 0.2):
        own = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=1 - above).fit(rows)
        found = group(rows, above)
        assert adjusted_rand_score(own.labels_, found) == 1.0
        assert found[0] == 0 and sorted(set(found.tolist())) == list(range(found.max() + 1))
    with pytest.raises(DCALError, match="2 to 20,000 images, got 1"):
        group(rows[:1], 0.5)
    assert len(set(ids.tolist())) > 2


@pytest.fixture(scope="module")
def fitted():
    return fit_calibration(*gallery(1), "ab" * 32, "nine clusters")


def test_a_calibration_holds_for_other_images_of_the_same_kind(fitted):
    rows, ids, cameras = gallery(2)
    found = similarity_figures(rows, rows, (ids, cameras), (ids, cameras), fitted)
    for name in ("mixed", "across"):
        own = found[name]
        curve = getattr(fitted, name)
        out = (cameras[:, None] == cameras) & ((ids[:, None] == ids) | (name == "across"))
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        values, matches = (unit @ unit.T)[~out], (ids[:, None] == ids)[~out]
        assert own["pairs"] == len(values) and own["matches"] == matches.sum() == sum(own["histogram"]["same"])
        drawn, trials = own["histogram"], own["open_set"]["histogram"]
        assert (drawn["low"], drawn["high"]) == (values.min(), values.max()) and sum(drawn["different"]) > 0
        width = (drawn["high"] - drawn["low"]) / len(drawn["same"])
        assert drawn["different"][0] == sum(value < drawn["low"] + width for value in values[~matches])
        assert sum(trials["known"]) == sum(trials["new"]) == sum((matches_of(ids, i) & ~out[i]).any() for i in range(N))
        shown = []
        for i in range(N):
            best = sorted((j for j in range(N) if not out[i, j]), key=lambda j: -(unit[i] @ unit[j]))[:10]
            shown += [(unit[i] @ unit[j], ids[i] == ids[j]) for j in best]
        probabilities = curve.probability(np.array([value for value, _ in shown]))
        expected = calibration_error(probabilities, np.array([match for _, match in shown]))
        assert own["calibration_error"] == pytest.approx(expected, abs=1e-9)
        assert expected < 0.09 and sum(row["pairs"] for row in own["reliability"]) == len(shown)
        assert own["open_set"]["threshold_fitted"] and own["open_set"]["auroc"] > 0.8
    json.dumps(found, allow_nan=False)
    grouped = grouping_figures(rows, ids, fitted)
    assert 0.5 < grouped["ari"] <= grouped["best_ari"] + 0.02
    assert grouped["identities"] == len(np.unique(ids))
    assert not similarity_figures(rows, rows, (ids, cameras), (ids, cameras))["across"]["open_set"]["threshold_fitted"]


def matches_of(ids: np.ndarray, i: int) -> np.ndarray:
    return ids == ids[i]


def test_one_camera_has_no_pairs_across(fitted):
    rows, ids, _ = gallery(2)
    places = np.arange(N)  # each image's own: nothing but itself is left out
    assert set(similarity_figures(rows, rows, (ids, places), (ids, places), fitted)) == {"mixed", "across"}
    assert similarity_figures(rows, rows, (ids, 0 * ids), (ids, 0 * ids), fitted) == {}


def test_whole_identities_are_drawn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibrate, "MAX_IMAGES", 30)
    _, ids, _ = gallery()
    kept = drawn_identities(ids, 3)
    assert 15 < len(kept) <= 30
    assert not set(ids[kept].tolist()) & set(np.delete(ids, kept).tolist())


def test_it_is_kept_beside_the_weights(fitted, tmp_path: Path):
    assert read_calibration(tmp_path, fitted.fingerprint) is None
    path = write_calibration(tmp_path, fitted)
    assert [own.name for own in tmp_path.iterdir()] == ["calibration.json"] and path.stat().st_size < 40_000
    assert read_calibration(tmp_path, fitted.fingerprint) == fitted
    with pytest.raises(DCALError, match=r"calibration\.json was fitted with the weights abab"):
        read_calibration(tmp_path, "cd" * 32)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda values: "{", "Expecting property name"),
        (lambda values: "[]", "cannot be read"),
        (lambda values: json.dumps({**values, "format": 2}), "format 2; this release reads format 1"),
        (lambda values: json.dumps({**values, "new_below": None}), "cannot be read"),
        (lambda values: json.dumps({**values, "across": {}}), "similarities"),
        (lambda values: json.dumps({**values, "mixed": {**values["mixed"], "probabilities": [2, 3]}}), "knots"),
        (
            lambda values: json.dumps(
                {
                    **values,
                    "mixed": {
                        **values["mixed"],
                        "probabilities": [1.0] + [0.0] * (len(values["mixed"]["similarities"]) - 1),
                    },
                }
            ),
            "not decrease",
        ),
    ],
)
def test_a_file_that_is_wrong_is_named(fitted, tmp_path: Path, change, says):
    path = write_calibration(tmp_path, fitted)
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(DCALError, match=rf"calibration\.json .*{says}"):
        read_calibration(tmp_path, fitted.fingerprint)


def test_the_camera_chooses_the_curve(fitted):
    high = Curve("logistic", (-1.0, 1.0), (0.2, 1.0), 10, 5)
    own = replace(fitted, across=high)
    assert own.probability(0.0, other_camera=True) == pytest.approx(0.6)
    assert own.probability(0.3, other_camera=False) == float(fitted.mixed.probability(np.array(0.3)))


def test_trials_of_perfect_scores():
    trials = Trials(np.array([0.9, 0.8]), np.array([0.1, 0.3]), np.array([True, True]))
    assert trials.summary(0.5)["auroc"] == 1.0 == trials.summary(0.5)["identified_at_1_percent"]
    assert 0.3 < trials.balanced_threshold() < 0.8
    assert roc_auc_score([1, 1, 0, 0], [0.9, 0.8, 0.1, 0.3]) == 1.0

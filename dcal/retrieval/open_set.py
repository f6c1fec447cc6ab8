"""Open-set recognition: is a query's identity in the gallery at all?

Every query is tried twice: with its identity in the gallery, and with it taken out, when it is new. Its score is its
best similarity in either case, as a ranking shows it first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from sklearn.metrics import roc_auc_score, roc_curve

from dcal.errors import DCALError

FALSE_ALARMS = 0.01


@dataclass(frozen=True, eq=False)
class Trials:
    """The scores of q queries. `right`: whether the most similar image is a match when the identity is there."""

    known: Float[np.ndarray, " q"]
    new: Float[np.ndarray, " q"]
    right: Bool[np.ndarray, " q"]

    def error_rates(self, threshold: float) -> dict[str, float]:
        """{threshold, false_alarms: new queries that reach it, misses: known queries that do not}."""
        alarms, misses = float((self.new >= threshold).mean()), float((self.known < threshold).mean())
        return {"threshold": threshold, "false_alarms": alarms, "misses": misses}

    def balanced_threshold(self) -> float:
        """The threshold at which both error rates together are least; midway between the scores around it."""
        scores = np.unique(np.concatenate([self.known, self.new]))
        between = np.concatenate([scores[:1], (scores[1:] + scores[:-1]) / 2])
        alarms = 1 - np.searchsorted(np.sort(self.new), between) / len(self.new)
        misses = np.searchsorted(np.sort(self.known), between) / len(self.known)
        return float(between[int(np.argmin(alarms + misses))])

    def summary(self, threshold: float) -> dict[str, float | dict[str, float]]:
        """{auroc, identified_at_1_percent, chosen}: known against new; the share of known queries whose first image is
        right and passes the threshold that one in a hundred new queries passes; the error rates at `threshold`."""
        strict = float(np.quantile(self.new, 1 - FALSE_ALARMS, method="higher"))
        truth = np.repeat([True, False], [len(self.known), len(self.new)])
        return {
            "auroc": float(roc_auc_score(truth, np.concatenate([self.known, self.new]))),
            "identified_at_1_percent": float((self.right & (self.known > strict)).mean()),
            "chosen": self.error_rates(threshold),
        }


def open_set_trials(
    similarities: Float[np.ndarray, "q g"],
    query_ids: Shaped[np.ndarray, " q"],
    gallery_ids: Shaped[np.ndarray, " g"],
    excluded: Bool[np.ndarray, "q g"] | None = None,
) -> Trials:
    """The trials of every query that has a match; `excluded` images are in no gallery of that query."""
    same = query_ids[:, None] == gallery_ids[None]
    admitted = np.ones_like(same) if excluded is None else ~excluded
    tried = (same & admitted).any(axis=1) & (~same & admitted).any(axis=1)
    if not tried.any():
        raise DCALError("no query has a match and a wrong image in the gallery: known and new cannot be told apart")
    own = np.where(same & admitted, similarities, -np.inf)[tried].max(axis=1)
    others = np.where(~same & admitted, similarities, -np.inf)[tried].max(axis=1)
    return Trials(np.maximum(own, others), others, own > others)


def match_rate(
    similarities: Float[np.ndarray, " pairs"], same: Bool[np.ndarray, " pairs"], false_rate: float = FALSE_ALARMS
) -> dict[str, float]:
    """{threshold, matches, false_matches}: the most pairs of one identity that can be accepted while at most
    `false_rate` of the pairs of different ones are."""
    false, true, thresholds = roc_curve(same, similarities)
    at = int(np.flatnonzero(false <= false_rate)[-1])
    threshold = float(thresholds[at]) if np.isfinite(thresholds[at]) else float(similarities.max())
    return {"threshold": threshold, "matches": float(true[at]), "false_matches": float(false[at])}

"""Fitting a `Calibration` to embeddings of known identities, and measuring one on others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from dcal.retrieval.calibration import (
    MAX_IMAGES,
    Calibration,
    Curve,
    calibration_error,
    first_pairs,
    fit_curve,
    reliability,
)
from dcal.retrieval.grouping import best_threshold, grouping_summary, tree
from dcal.retrieval.open_set import Trials, match_rate, open_set_trials

HISTOGRAM_BINS = 60  # of similarities, from the least that occurs to the greatest
MAX_QUERIES = 1000  # that are measured: their similarities to a whole gallery are held at once


def fit_calibration(
    embeddings: Float[np.ndarray, "n d"],
    identities: Shaped[np.ndarray, " n"],
    cameras: Shaped[np.ndarray, " n"],
    fingerprint: str,
    fitted_on: str,
    method: str = "isotonic",
    seed: int = 0,
) -> Calibration:
    """The calibration of images that are none of a test's, of the identities drawn first where there are too many.

    `new_below` is where the error rates of known and new queries are least together, among images of other cameras;
    `group_above` where groups agree best with identities. Raises DCALError if any kind of pair is missing.
    """
    kept = drawn_identities(identities, seed)
    rows, names, places = unit(embeddings[kept]), identities[kept], cameras[kept]
    similarities, same = rows @ rows.T, names[:, None] == names[None]
    one_camera = places[:, None] == places[None]
    across = fit_curve(*first_pairs(similarities, same, one_camera), method)
    mixed = fit_curve(*first_pairs(similarities, same, same & one_camera), method)
    trials = open_set_trials(similarities, names, names, one_camera)
    merges = tree(rows)
    return Calibration(
        fingerprint, fitted_on, across, mixed, trials.balanced_threshold(), best_threshold(merges, names)[0]
    )


def drawn_identities(identities: Shaped[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " m"]:
    """The rows of whole identities, drawn by `seed` until the next would make more than `MAX_IMAGES`."""
    names, counts = np.unique(identities, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    fitting = counts[order].cumsum() <= MAX_IMAGES
    fitting[0] = True
    return np.flatnonzero(np.isin(identities, names[order[fitting]]))


def similarity_figures(
    queries: Float[np.ndarray, "q d"],
    gallery: Float[np.ndarray, "g d"],
    query_labels: tuple[Shaped[np.ndarray, " q"], Shaped[np.ndarray, " q"]],
    gallery_labels: tuple[Shaped[np.ndarray, " g"], Shaped[np.ndarray, " g"]],
    calibration: Calibration | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """How well similarities tell the same identity, JSON-ready; labels are (identities, cameras).

    {mixed, across}: pairs as the standard protocol ranks them, and pairs from different cameras alone; each with
    `pairs`, `matches`, `histogram`, `match_rate` (see `open_set.match_rate`), `open_set` (see `Trials.summary`; its
    chosen threshold is the calibration's, or else the best one for these queries, and `threshold_fitted` says so; its
    `histogram` is of best similarities, of queries with their identity in the gallery and without it) and,
    with a calibration, `calibration_error` and `reliability` over each query's ten most similar images. Of more than
    `MAX_QUERIES` queries, so many are drawn.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(queries))[:MAX_QUERIES])
    similarities = unit(queries[chosen]) @ unit(gallery).T
    ids, cameras = (labels[chosen] for labels in query_labels)
    same = ids[:, None] == gallery_labels[0][None]
    one_camera = cameras[:, None] == gallery_labels[1][None]
    figures: dict[str, Any] = {}
    for name, out in (("mixed", same & one_camera), ("across", one_camera)):
        if not ((same & ~out).any(axis=1) & (~same & ~out).any(axis=1)).any():
            continue  # no query has a match and a wrong image
        trials = open_set_trials(similarities, ids, gallery_labels[0], out)
        curve = None if calibration is None else getattr(calibration, name)
        threshold = trials.balanced_threshold() if calibration is None else calibration.new_below
        figures[name] = view(similarities, same, out, trials, threshold, curve)
        figures[name]["open_set"]["threshold_fitted"] = calibration is not None
    return figures


def view(
    similarities: Float[np.ndarray, "q g"],
    same: Bool[np.ndarray, "q g"],
    out: Bool[np.ndarray, "q g"],
    trials: Trials,
    threshold: float,
    curve: Curve | None,
) -> dict[str, Any]:
    """One entry of `similarity_figures`."""
    values, matches = similarities[~out], same[~out]
    found: dict[str, Any] = {
        "pairs": len(values),
        "matches": int(matches.sum()),
        "histogram": histogram({"same": values[matches], "different": values[~matches]}),
        "match_rate": match_rate(values, matches),
        "open_set": {
            **trials.summary(threshold),
            "histogram": histogram({"known": trials.known, "new": trials.new}),
        },
    }
    if curve is not None:
        shown, right = first_pairs(similarities, same, out)
        found["calibration_error"] = calibration_error(curve.probability(shown), right)
        found["reliability"] = reliability(curve.probability(shown), right)
    return found


def histogram(values: Mapping[str, Float[np.ndarray, " _"]], bins: int = HISTOGRAM_BINS) -> dict[str, Any]:
    """{low, high, and each name's counts in equal bins from the least value of all to the greatest}, JSON-ready.

    Similarities of some models all lie within a few hundredths, where bins from −1 to 1 would show nothing.
    """
    low, high = min(float(own.min()) for own in values.values()), max(float(own.max()) for own in values.values())
    high = high if high > low else low + 1e-6
    counts = {name: np.histogram(own, bins, (low, high))[0].tolist() for name, own in values.items()}
    return {"low": low, "high": high, **counts}


def grouping_figures(
    embeddings: Float[np.ndarray, "n d"], identities: Shaped[np.ndarray, " n"], calibration: Calibration
) -> dict[str, float | int]:
    """`grouping_summary` at the calibration's threshold, of the identities drawn first where there are too many."""
    kept = drawn_identities(identities, 0)
    return grouping_summary(embeddings[kept], identities[kept], calibration.group_above)


def unit(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

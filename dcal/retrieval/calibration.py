"""From a cosine similarity to the probability that two images show the same identity, and how far that can be trusted.

A curve is fitted on images of known identities that are not the test split's, each with its ten most similar ones as a
ranking shows them, and measured on others by its reliability and expected calibration error (Guo et al., ICML 2017).
The probability is that of a gallery like the fitted one: where a query has fewer matches than there, it is too high.

Measured on the yard (fitted on its training vehicles, ten most similar test images): isotonic curves fitted on these
pairs have an error of 0.02 to 0.03; fitted on all pairs they have 0.07 to 0.10, and logistic ones 0.13, though over all
pairs, of which 97 in 100 are far apart, any of them has less than 0.01.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from dcal.errors import DCALError, check_choice
from dcal.modes import give_usual_mode

CALIBRATION, FORMAT = "calibration.json", 1
METHODS = ("logistic", "isotonic")
BINS = 15  # of the reliability curve, of equal width; Guo et al.'s number
MAX_IMAGES = 2000  # that are fitted: their similarities are held at once
TOP = 10  # images of a ranking that a probability is given for


@dataclass(frozen=True)
class Curve:
    """A non-decreasing curve through (similarity, probability), linear between its knots, constant beyond the ends."""

    method: str
    similarities: tuple[float, ...]
    probabilities: tuple[float, ...]
    pairs: int  # that it was fitted on
    matches: int  # among them

    def __post_init__(self) -> None:
        check_choice("calibration method", self.method, METHODS)
        knots, values = np.array(self.similarities), np.array(self.probabilities)
        if not (len(knots) == len(values) >= 2 and np.isfinite(knots).all() and (np.diff(knots) > 0).all()):
            raise DCALError("a calibration curve needs at least two knots, at ascending similarities")
        if not (values.min() >= 0 and values.max() <= 1 and (np.diff(values) >= 0).all()):
            raise DCALError("a calibration curve's probabilities must lie in [0, 1] and not decrease")

    def probability(self, similarities: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The probability of the same identity at each cosine similarity."""
        return np.asarray(np.interp(similarities, self.similarities, self.probabilities))

    def similarity(self, probability: float) -> float:
        """The least similarity at which the curve reaches a probability; the last knot's where it never does."""
        reached = np.flatnonzero(np.array(self.probabilities) >= probability)
        if not len(reached):
            return self.similarities[-1]
        if (at := int(reached[0])) == 0:
            return self.similarities[0]
        low, high = self.probabilities[at - 1], self.probabilities[at]
        share = (probability - low) / (high - low)
        return self.similarities[at - 1] + share * (self.similarities[at] - self.similarities[at - 1])


@dataclass(frozen=True)
class Calibration:
    """A checkpoint's curves and thresholds. `fingerprint` is that of the weights, `fitted_on` says which images.

    `across` is fitted on rankings of the images of other cameras, `mixed` on those of all images as the standard
    protocol has them, in which same-camera images of the query's identity are left out.
    """

    fingerprint: str
    fitted_on: str
    across: Curve
    mixed: Curve
    new_below: float  # a query whose best similarity is lower is probably of no identity in the gallery
    group_above: float  # images are grouped while their groups' mean similarity is higher

    def probability(self, similarity: float, other_camera: bool) -> float:
        """The probability for one of the `TOP` most similar images, `other_camera` if known to be from another."""
        curve = self.across if other_camera else self.mixed
        return float(curve.probability(np.array(similarity)))


def fit_curve(
    similarities: Float[np.ndarray, " pairs"], same: Bool[np.ndarray, " pairs"], method: str = "isotonic"
) -> Curve:
    """The curve that scikit-learn fits to pairs, each counting alike. Raises DCALError unless both kinds are there."""
    from sklearn.isotonic import IsotonicRegression  # takes a second, which reading a fitted curve need not
    from sklearn.linear_model import LogisticRegression

    check_choice("calibration method", method, METHODS)
    if not np.isfinite(similarities).all():
        raise DCALError("similarities that are not finite cannot be calibrated")
    if same.all() or not same.any():
        kind = "same" if same.any() else "different"
        kind = "same" if same.any() else "different"
        raise DCALError(f"a calibration needs pairs of same and of different identities; all {len(same)} are {kind}")
    if method == "isotonic":
        fitted = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(similarities, same)
        knots, values = distinct(fitted.X_thresholds_.astype(np.float64), fitted.y_thresholds_)
    else:
        model = LogisticRegression(C=np.inf, max_iter=1000).fit(similarities[:, None].astype(np.float64), same)
        knots = np.linspace(-1, 1, 401)
        values = np.maximum.accumulate(model.predict_proba(knots[:, None])[:, 1])
    return Curve(method, tuple(knots.tolist()), tuple(values.tolist()), len(same), int(same.sum()))


def distinct(
    knots: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Isotonic knots without those that repeat a similarity; one more where a single one is left."""
    kept = np.append(True, np.diff(knots) > 0)
    knots, values = knots[kept], values[kept].clip(0, 1)
    return (knots, values) if len(knots) > 1 else (np.append(knots, knots + 1e-6), np.repeat(values, 2))


def first_pairs(
    similarities: Float[np.ndarray, "q g"],
    same: Bool[np.ndarray, "q g"],
    out: Bool[np.ndarray, "q g"],
) -> tuple[Float[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]:
    """(similarity, is it the same identity) of each query's `TOP` most similar images, those that are `out` left out.

    These are the pairs that a ranking shows; at the same similarity, they match more often than pairs further down.
    """
    best = np.argsort(np.where(out, np.inf, -similarities), axis=1, kind="stable")[:, :TOP]
    kept = ~np.take_along_axis(out, best, axis=1)
    return np.take_along_axis(similarities, best, axis=1)[kept], np.take_along_axis(same, best, axis=1)[kept]


def reliability(
    probabilities: Float[np.ndarray, " pairs"], same: Bool[np.ndarray, " pairs"], bins: int = BINS
) -> list[dict[str, float]]:
    """The reliability curve: per bin of equal width that holds pairs, {low, high, pairs, probability, matches}.

    `probability` is the mean predicted one and `matches` the measured share of pairs of one identity.
    """
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    predicted, found = (np.bincount(place, values, minlength=bins) for values in (probabilities, same))
    return [
        {
            "low": int(i) / bins,
            "high": int(i + 1) / bins,
            "pairs": int(counts[i]),
            "probability": float(predicted[i] / counts[i]),
            "matches": float(found[i] / counts[i]),
        }
        for i in np.flatnonzero(counts)
    ]


def calibration_error(
    probabilities: Float[np.ndarray, " pairs"], same: Bool[np.ndarray, " pairs"], bins: int = BINS
) -> float:
    """The expected calibration error: the gap between prediction and measurement, averaged over pairs by bins."""
    curve = reliability(probabilities, same, bins)
    return sum(own["pairs"] * abs(own["probability"] - own["matches"]) for own in curve) / len(probabilities)


def write_calibration(folder: Path, calibration: Calibration) -> Path:
    """Write calibration.json beside a checkpoint's weights, whole or not at all."""
    text = json.dumps({"format": FORMAT, **asdict(calibration)}, ensure_ascii=False, allow_nan=False) + "\n"
    handle, temporary = tempfile.mkstemp(prefix=f".{CALIBRATION}-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        give_usual_mode(temporary)  # mkstemp's are for the owner alone
        os.replace(temporary, folder / CALIBRATION)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return folder / CALIBRATION


def read_calibration(folder: Path, fingerprint: str) -> Calibration | None:
    """The calibration in a checkpoint's folder, None where there is none.

    Raises DCALError, naming the file, if it cannot be read or was fitted with weights of another fingerprint.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    try:
        values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise DCALError(f"{path.name} has format {values['format']}; this release reads format {FORMAT}")
        texts = {name: str(values[name]) for name in ("fingerprint", "fitted_on")}
        numbers = {name: float(values[name]) for name in ("new_below", "group_above")}
        curves = {name: read_curve(values[name]) for name in ("across", "mixed")}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DCALError(f"{path.name} cannot be read ({error}): remove it, or fit the calibration again") from error
    if texts["fingerprint"] != fingerprint:
        raise DCALError(
            f"{path.name} was fitted with the weights {texts['fingerprint'][:12]}…, the checkpoint has "
            f"{fingerprint[:12]}…: remove it, or fit the calibration again"
        )
    fields: dict[str, Any] = {**texts, **curves, **numbers}
    return Calibration(**fields)


def read_curve(values: Mapping[str, Any]) -> Curve:
    points = {name: tuple(float(value) for value in values[name]) for name in ("similarities", "probabilities")}
    return Curve(str(values["method"]), **points, pairs=int(values["pairs"]), matches=int(values["matches"]))

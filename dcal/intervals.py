"""95 % intervals: Wilson's for a share of images, the bootstrap's for a mean over images."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest, bootstrap

from dcal.errors import DCALError

Interval = tuple[float, float]
LEVEL = 0.95
RESAMPLES = 2000


def wilson(hits: int, n: int) -> Interval:
    """Wilson's interval of the share hits / n, (low, high) in [0, 1]. Raises DCALError unless 0 ≤ hits ≤ n, n ≥ 1."""
    if not (n >= 1 and 0 <= hits <= n):
        raise DCALError(f"a share needs 0 to n hits of n ≥ 1, got {hits} of {n}")
    found = binomtest(hits, n).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def mean_interval(values: Float[np.ndarray, " n"], seed: int) -> Interval:
    """The percentile bootstrap's interval of the mean: images are drawn again with replacement, 2,000 times.

    Not the bias-corrected variant, which is undefined where all images agree. One image has no spread to draw from:
    its interval is (nan, nan).
    """
    if len(values) < 2:
        return math.nan, math.nan
    options = {"method": "percentile", "n_resamples": RESAMPLES, "confidence_level": LEVEL, "vectorized": True}
    found = bootstrap((values,), np.mean, batch=1000, rng=np.random.default_rng(seed), **options).confidence_interval
    return float(found.low), float(found.high)

"""The statistics of the report: over seeds, and paired over the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import binomtest

from dcal.errors import DCALError

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class McNemar:
    """Two models on the same images: how many only the first, only the second has right, and the exact p (two-sided).

    p is the binomial test's that such an image is as likely the first's as the second's; 1 if there is none.
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Difference:
    """A mean difference, first minus second, and its 95 % interval by the bootstrap."""

    mean: float
    low: float
    high: float


def mcnemar(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> McNemar:
    """McNemar's exact test of two models' right answers on the same n images, in the same order."""
    same_images(first, second)
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(b, c, float(binomtest(b, b + c).pvalue) if b + c else 1.0)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """(mean, the sample's standard deviation, n - 1 below); the latter is nan for a single value."""
    if not values:
        raise DCALError("a mean needs at least one value")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return float(np.mean(values)), deviation


def image_difference(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"], seed: int = 0) -> Difference:
    """The mean of first - second over the same n images, with the percentile bootstrap over images."""
    same_images(first, second)
    values, drawn = first - second, drawn_images(len(first), seed)
    means = np.concatenate([values[some].mean(axis=1) for some in np.split(drawn, range(500, RESAMPLES, 500))])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(values.mean()), float(low), float(high))


@lru_cache(maxsize=1)  # many comparisons are of the same images, and drawing takes most of the time
def drawn_images(images: int, seed: int) -> Int[np.ndarray, "resamples n"]:
    """The images that each resample takes."""
    random, small = np.random.default_rng(seed), np.min_scalar_type(images)
    return np.concatenate([random.integers(images, size=(500, images)).astype(small) for _ in range(0, RESAMPLES, 500)])


def crossed_difference(first: Float[np.ndarray, "s n"], second: Float[np.ndarray, "s n"], seed: int = 0) -> Difference:
    """The mean of first - second over s seeds and the same n images, both drawn again with replacement.

    Seeds and images are crossed: a resample takes the same images for all of its seeds. With few seeds the interval is
    too narrow (three draws of three seeds leave a third of the between-seed variance out); a single one is refused.
    """
    same_images(first, second)
    runs, images = first.shape
    if runs < 2:
        raise DCALError(f"a bootstrap over seeds needs two or more, got {runs}: use image_difference")
    values, (by_run, counts) = first - second, drawn_crossed(runs, images, seed)
    by_image = np.concatenate([own @ values.T / images for own in np.split(counts, range(500, RESAMPLES, 500))])
    low, high = np.quantile((by_run * by_image).sum(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(values.mean()), float(low), float(high))


@lru_cache(maxsize=1)
def drawn_crossed(runs: int, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of each resample is each run (a fraction), and how often it takes each image."""
    random, small = np.random.default_rng(seed), np.min_scalar_type(images)
    by_run = random.multinomial(runs, [1 / runs] * runs, size=RESAMPLES) / runs
    counts = [random.multinomial(images, [1 / images] * images, size=500) for _ in range(0, RESAMPLES, 500)]
    return by_run, np.concatenate([some.astype(small) for some in counts])


def same_images(first: np.ndarray, second: np.ndarray) -> None:
    """Raises DCALError unless both hold as many values, at least one."""
    if first.shape != second.shape or not first.size:
        raise DCALError(f"a paired comparison needs the same images twice, got {first.shape} and {second.shape}")

"""How both faces write numbers: the one place for percentages, shares, similarities and intervals."""

from __future__ import annotations

from collections.abc import Sequence

from dcal.draw import decimal
from dcal.draw import percent as share

__all__ = [
    "decimal",
    "percent",
    "score",
    "seconds",
    "share",
    "signed_points",
    "similarity",
    "whole_percent",
    "with_interval",
]


def percent(fraction: float) -> str:
    """An accuracy, a probability or an average precision: "81.8%"."""
    return f"{fraction:.1%}"


def whole_percent(fraction: float) -> str:
    """A ratio that a person chose: "10%"."""
    return f"{fraction:.0%}"


def similarity(cosine: float) -> str:
    """A cosine of two embeddings: "0.912"."""
    return f"{cosine:.3f}"


def score(value: float) -> str:
    """The area under a deletion or insertion curve, a rank correlation: "0.109"."""
    return f"{value:.3f}"


def signed_points(difference: float) -> str:
    """A difference of two percentages, in percentage points: "+3.3"."""
    return f"{100 * difference:+.1f}"


def seconds(duration: float) -> str:
    return f"{duration:.2f} s"


def with_interval(fraction: float, interval: Sequence[float] | None) -> str:
    """A percentage and its 95 % interval, if there is one: "81.8% (79.8%–83.9%)"."""
    if not interval:
        return percent(fraction)
    return f"{percent(fraction)} ({percent(interval[0])}–{percent(interval[1])})"

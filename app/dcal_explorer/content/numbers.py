"""How both faces write numbers: the one place for percentages, shares, similarities and intervals."""

from __future__ import annotations

from collections.abc import Sequence

from dcal.draw import decimal
from dcal.draw import percent as share

__all__ = [
    "close_similarity",
    "decimal",
    "margin",
    "percent",
    "probability",
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


def probability(value: float) -> str:
    """A probability that was fitted to few pairs, and is never certain: "87%", "<1%", ">99%"."""
    return "<1%" if value < 0.005 else ">99%" if value > 0.995 else f"{value:.0%}"


def whole_percent(fraction: float) -> str:
    """A ratio that a person chose: "10%"."""
    return f"{fraction:.0%}"


def similarity(cosine: float) -> str:
    """A cosine of two embeddings: "0.912"."""
    return f"{cosine:.3f}"


def score(value: float) -> str:
    """The area under a deletion or insertion curve, a rank correlation: "0.109"."""
    return f"{round(value, 3) + 0.0:.3f}"  # never "-0.000"


def signed_points(difference: float) -> str:
    """A difference of two percentages, in percentage points: "+3.3"."""
    return f"{100 * difference:+.1f}"


def margin(difference: float) -> str:
    """A difference of two cosines, which may be small: "+0.0310"."""
    return f"{difference:+.4f}".replace("-", "−")


def close_similarity(cosine: float) -> str:
    """A cosine beside one that it is compared with: "0.9921"."""
    return f"{cosine:.4f}"


def seconds(duration: float) -> str:
    return f"{duration:.2f} s"


def with_interval(fraction: float, interval: Sequence[float] | None) -> str:
    """A percentage and its 95 % interval, if there is one: "81.8% (79.8%–83.9%)"."""
    if not interval:
        return percent(fraction)
    return f"{percent(fraction)} ({percent(interval[0])}–{percent(interval[1])})"

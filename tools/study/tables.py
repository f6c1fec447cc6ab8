"""Markdown tables and the numbers in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tools.study.statistics import Difference


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every row has a cell under each heading."""
    lines = [header, ["---"] * len(header), *rows]
    if wrong := [row for row in lines if len(row) != len(header)]:
        raise ValueError(f"a row of {len(wrong[0])} cells under {len(header)} headings: {wrong[0]}")
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def signed(value: float, digits: int = 1) -> str:
    """With its sign; a minus is the minus sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def points(found: Difference) -> str:
    """A difference of shares in percentage points, with its interval."""
    return f"{signed(100 * found.mean)} ({signed(100 * found.low)} to {signed(100 * found.high)})"

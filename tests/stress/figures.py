"""One line of the table: what was measured, and what is promised of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`promised` is "" where nothing is; `broken` whether the promise was."""

    what: str
    value: str
    promised: str = ""
    broken: bool = False


def none_of(what: str, count: int, of: int | None = None) -> Figure:
    """Something that must not happen at all."""
    return Figure(what, f"{count}" if of is None else f"{count} of {of:,}", "0", count > 0)


def at_most(what: str, value: float, most: float, unit: str) -> Figure:
    return Figure(what, f"{value:.3g} {unit}", f"≤ {most:g} {unit}", value > most)


def at_least(what: str, value: float, least: float, unit: str) -> Figure:
    return Figure(what, f"{value:.3g} {unit}", f"≥ {least:g} {unit}", value < least)

"""A perching songbird's anatomy in a 100-unit box, facing right (x to the right, y down), and what makes a species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.samples.plumage import Guides

Outline = Sequence[tuple[float, float]]
Patch = tuple[Outline, str, float]  # outline, colour, softness in units

HEAD: Outline = ((77, 21.5), (75.6, 16.5), (71, 11.8), (64.5, 9.8), (58, 12), (53, 18))
CRESTED: Outline = ((77, 21), (75.5, 16), (70, 9.5), (61, 2), (53.5, -2.5), (54.5, 4), (55.5, 9), (54, 14), (51.5, 19))
BACK: Outline = ((48.5, 26), (41.5, 34), (34, 44), (27, 54), (22, 63), (18, 71))
FRONT: Outline = (
    (24, 75), (33, 78), (43, 80.5), (53, 79), (63, 72), (70.5, 61.5), (74.6, 50), (75, 41), (74.6, 34), (76.4, 29),
)  # fmt: skip
HEAD_REGION: Outline = ((80, 20), (74, 6), (60, -6), (48, 2), (46, 26), (58, 34), (72, 36), (80, 28))
GUIDES: Guides = (
    (76, 22, 190), (74, 14, 205), (67, 11, 188), (58, 13, 150), (52, 21, 122), (64, 20, 165), (70, 26, 150),
    (62, 28, 135), (75, 29, 120), (72, 38, 108), (71, 52, 118), (64, 66, 138), (54, 74, 160), (60, 50, 125),
    (50, 40, 128), (40, 38, 126), (32, 50, 124), (24, 62, 118), (44, 60, 138), (42, 76, 176), (28, 74, 150),
)  # fmt: skip
CREST_GUIDES: Guides = ((70, 10, 215), (62, 4, 212), (56, 1, 208), (58, 9, 200), (64, 12, 205))


@dataclass(frozen=True)
class Bill:
    """Upper and lower mandible, and how they are coloured."""

    upper: Outline = ((74, 18.6), (79.5, 19.4), (84.6, 22.6), (86.8, 28.0), (84, 26.6), (79.5, 26.0), (74, 27.4))
    lower: Outline = ((74, 26.8), (79.5, 25.6), (84.8, 26.8), (83.2, 30.0), (79.5, 32.2), (74, 32.4))
    colour: str = "#e8622c"
    dark: str = "#8c2f12"
    nostril: tuple[float, float] = (78.2, 23.4)
    gape: float = 0.0  # degrees that the lower mandible is open


@dataclass(frozen=True)
class Wing:
    """Colours of the folded wing: (base, tip, fringe) of each row of feathers."""

    primaries: tuple[str, str, str]
    secondaries: tuple[str, str, str]
    greater: tuple[str, str, str]
    median: tuple[str, str, str]
    lesser: tuple[str, str, str] | None = None  # like the median row when None
    bar: float = 0.0  # greater coverts: 0 fringed all around, else from this part of the length on
    bar_width: float = 0.22
    panel: tuple[str, float, float] | None = None  # a colour across the flight feathers, from and to (of their length)


@dataclass(frozen=True)
class Songbird:
    """A species: its coat from back to front, wing, tail, bill, eye and legs."""

    coat: str
    patches: Sequence[Patch]
    wing: Wing
    tail: tuple[str, str, str]
    bill: Bill = field(default_factory=Bill)
    head: Outline = HEAD
    guides: Guides = GUIDES
    scapulars: str | None = None
    eye: tuple[float, float, float] = (69.6, 20.2, 2.15)
    iris: str = "#1a0f0a"
    ring: str | None = None
    legs: str = "#6b4a3a"
    tail_length: float = 36.0
    tail_width: float = 7.5
    jitter: float = 0.09

"""Two evaluations of one data set side by side: which classes one checkpoint gains and which it loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcal.errors import DCALError


@dataclass(frozen=True)
class Change:
    """A class, or a camera: how many test images or queries it has, and its figure in both evaluations."""

    name: str
    n: int
    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.before


# list in evaluation.json → (names, counts, figure)
GROUPS = {"per_class": ("class", "n", "accuracy"), "per_camera": ("camera", "queries", "mAP")}


def changes(before: Mapping[str, Any], after: Mapping[str, Any], group: str = "per_class") -> list[Change]:
    """Every class ("per_class") or camera ("per_camera") of two evaluation.json files, largest gain first.

    Raises DCALError if they are not of the same test images.
    """
    name, count, figure = GROUPS[group]
    rows = [{str(row[name]): row for row in found.get(group, ())} for found in (before, after)]
    if not rows[0] or not rows[1]:
        raise DCALError("both checkpoints need an evaluation.json: run dcal eval for each")
    sizes = [{key: int(row[count]) for key, row in own.items()} for own in rows]
    if before.get("dataset") != after.get("dataset") or sizes[0] != sizes[1]:
        raise DCALError("the two checkpoints were evaluated on different images: run dcal eval on the same data set")
    found = [
        Change(key, sizes[0][key], float(row[figure]), float(rows[1][key][figure])) for key, row in rows[0].items()
    ]
    return sorted(found, key=lambda change: -change.gain)

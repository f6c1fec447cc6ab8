"""What each kind of map scores on test images, as `dcal eval --analysis` measured it: one short sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dcal_explorer.content.checkpoints import SideFile
from dcal_explorer.content.markdown import message
from dcal_explorer.content.numbers import score

NOT_MEASURED = "*Not measured for this checkpoint; `dcal eval --analysis` measures it.*"
LAST_LAYER_ONLY = "*Measured for the last layer with averaged heads only.*"
SINGLE = "*Single heads and patches are not measured.*"
LOWER, HIGHER = "lower is better", "higher is better"


@dataclass(frozen=True)
class MapScores:
    """The figures of a checkpoint's analysis.json: per map, `deletion` and `insertion`. `note`: why there are none."""

    maps: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, analysis: SideFile) -> MapScores:
        maps = analysis.values.get("maps", {})
        return cls(maps if isinstance(maps, Mapping) else {}, analysis.note)

    def sentence(self, map: str) -> str:
        """What a map (a key of analysis.json) scores, beside a random one; or that it was not measured."""
        if self.note:
            return f"*{message(self.note)}*"
        parts = [
            f"{name} {score(value)} (random {score(random)}; {better})"
            for name, better in (("deletion", LOWER), ("insertion", HIGHER))
            if (value := self.mean(map, name)) is not None and (random := self.mean("random", name)) is not None
        ]
        return f"*Measured on test images: {', '.join(parts)}.*" if parts else NOT_MEASURED

    def plain(self, map: str) -> str:
        """`sentence` without marks, for a place that shows text only."""
        return self.sentence(map).replace("*", "").replace("`", "")

    def mean(self, map: str, measure: str) -> float | None:
        """The mean of a measure over test images; None if it is missing."""
        found = self.maps.get(map)
        found = found.get(measure) if isinstance(found, Mapping) else None
        value = found.get("mean") if isinstance(found, Mapping) else None
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

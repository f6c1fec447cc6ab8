"""A record for the live view, as both faces show it: what belongs to a class comes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dcal import Inspection
from dcal_explorer.content.captions import names_classes, readable
from dcal_explorer.view.payload import payload

FIRST = "relevance"  # the map that scores best on test images leads where there is a class


def live_payload(
    seen: Inspection,
    key: str,
    title: str,
    group: str | None = None,
    scales: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """`payload` of a record: its class by a readable name, its relevance first, `scales` as far as it has the maps."""
    has_class = seen.target is not None and names_classes(seen.config)
    name = readable(seen.classes[seen.target]) if has_class and seen.target is not None else None
    there = {"relevance": seen.relevance, "rollout": seen.rollout, "sa": seen.sa_map, "glca": seen.glca_input_map}
    own = {map: scale for map, scale in (scales or {}).items() if there.get(map) is not None}
    packed = payload(seen, key=key, title=title, class_name=name, group=group, scales=own)
    packed["maps"].sort(key=lambda map: map["tab"] != "Class evidence")
    return packed

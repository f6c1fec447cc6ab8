"""A record for the live view, as both faces show it: what belongs to a class comes first, each map with its worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dcal import Inspection
from dcal_explorer.content.captions import choices, names_classes, readable
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.view.maps import Rival
from dcal_explorer.view.payload import payload

SCORED = {  # the view's maps, and their keys in analysis.json
    "relevance": "relevance",
    "gradient-rollout": "gradient_rollout",
    "rollout": "rollout",
    "sa": "rollout",
    "glca": "glca_input",
    "glca-block": "glca",
    "glca-local": "glca_local",
}
RUNNER_UP = "the runner-up"
UNSCORED = {"contrast": "Not measured on test images. Faithfulness measures it on this one."}


def live_payload(
    seen: Inspection,
    key: str,
    title: str,
    group: str | None = None,
    scales: Mapping[str, tuple[float, float]] | None = None,
    rival: str | None = None,
    has_model: bool = False,
    scores: MapScores | None = None,
    checkpoint: str = "",
    state: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`payload` of a record: its class by a readable name, its relevance first, `scales` as far as it has the maps.

    `rival` is the class (by name) that the target is contrasted with; none: the one that it is confused with most.
    `has_model`: whoever answers the view has the record's model. `scores`: what the maps are worth on test images.
    `checkpoint` stands on downloads. `state`: what is chosen at first.
    """
    has_class = seen.target is not None and names_classes(seen.config)
    name = readable(seen.classes[seen.target]) if has_class and seen.target is not None else None
    there = {"relevance": seen.relevance, "rollout": seen.rollout, "sa": seen.sa_map, "glca": seen.glca_input_map}
    own = {map: scale for map, scale in (scales or {}).items() if there.get(map) is not None}
    packed = payload(
        seen,
        key=key,
        title=title,
        class_name=name,
        group=group,
        scales=own,
        rival=rival_of(seen, rival) if has_class else None,
        has_model=has_model,
        caption=checkpoint,
        state=state,
        scores=None if scores is None else {map: scores.plain(key) for map, key in SCORED.items()} | UNSCORED,
    )
    packed["maps"].sort(key=lambda map: map["tab"] != "Class evidence")
    return packed


def rivals(seen: Inspection) -> list[tuple[str, str]]:
    """(label, name) of classes to contrast with: "" is the one that the model confuses with the target."""
    return [(RUNNER_UP, ""), *choices(seen)]


def rival_of(seen: Inspection, name: str | None) -> Rival | None:
    """The class to contrast the target with: by name or, for None, the most probable other one."""
    others = [int(i) for i in np.argsort(-seen.probabilities, kind="stable") if i != seen.target]
    if name is not None and name in seen.classes and seen.classes.index(name) != seen.target:
        others = [seen.classes.index(name)]
    return Rival(others[0], readable(seen.classes[others[0]])) if others else None

"""Which maps of a record the view shows, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dcal import Inspection, draw

SHARE, NUMBER, MASK = "share", "number", "mask"  # fractions of 1; numbers without a unit; 1 for the selected patches
CLASS_SHARE = "share of the class token"
POOLED = ("the class token", "what the model pools")
ROLLOUT = "How much each patch has contributed to the class token by this layer: attention rollout"
SA = "How much each patch has contributed to the class token after the last layer, from which GLCA selects."
GLCA = {
    "glca": (
        "Carried to the input",
        "What the class token attends to in the GLCA block, carried down through the rollout to the image's patches.",
    ),
    "glca-block": (
        "In the GLCA block",
        "What the class token attends to in the GLCA block, among the last layer's tokens.",
    ),
    "glca-local": (
        "From the selected patches",
        "What the selected patches attend to in the GLCA block, averaged over them.",
    ),
}
DIFFERENCE = "Orange where GLCA attends more, blue where SA does; white where both agree."
GRADIENT = "Attention rollout weighted by the gradient of SA's score for this class."
RELEVANCE = "How much each patch adds to SA's score for this class (Chefer et al., 2021)."


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewMap:
    """One map of the view.

    `values` by head fusion: (rows, cols), or (layers, rows, cols) where `layered`; "mean" is always there. Maps of one
    `tab` share it and are told apart by `kind`. `scale` (low, high) holds for all layers; without it the view takes the
    map's own range.
    """

    key: str
    tab: str
    kind: str
    title: str
    about: str
    quantity: str
    unit: str
    values: Mapping[str, np.ndarray]
    branch: str = ""
    scale: tuple[float, float] | None = None
    layered: bool = False
    fused: bool = False
    diverging: bool = False


def maps_of(seen: Inspection, fusions: tuple[str, ...], class_name: str | None = None) -> list[ViewMap]:
    """Every map of the record, in the order of the view's tabs. `class_name` names the target of the last ones."""
    maps = [rollout(seen, fusions), *branches(seen), *evidence(seen, class_name)]
    return maps if seen.pooled is None else [of_pooled(map) for map in maps]


def of_pooled(map: ViewMap) -> ViewMap:
    """The same map of a model that reads no class token: what it pools stands for that."""
    return replace(map, about=map.about.replace(*POOLED), quantity=map.quantity.replace(*POOLED))


def rollout(seen: Inspection, fusions: tuple[str, ...]) -> ViewMap:
    return ViewMap(
        key="rollout",
        tab="Rollout",
        kind="Rollout",
        title="Rollout",
        about=ROLLOUT,
        quantity=CLASS_SHARE,
        unit=SHARE,
        values={"mean": seen.rollout, **{fusion: seen.rolled(fusion) for fusion in fusions}},
        layered=True,
        fused=True,
    )


def branches(seen: Inspection) -> list[ViewMap]:
    """SA's map alone or, with GLCA, both branches' on one scale, their difference, and what GLCA selected."""
    carried, mask = seen.glca_input_map, seen.selected_mask
    if carried is None or mask is None:
        return [plain("sa", "SA", "SA", "SA", SA, seen.sa_map, "sa")]
    both = draw.shared_scale(seen.sa_map, carried)
    shown = [plain("sa", "SA", "SA", "SA", SA, seen.sa_map, "sa", both)]
    for key, map in (("glca", carried), ("glca-block", seen.glca_map), ("glca-local", seen.glca_local_map)):
        assert map is not None
        kind, about = GLCA[key]
        shown.append(plain(key, "GLCA", kind, "GLCA", about, map, "glca", both if key == "glca" else None))
    delta, most = draw.difference(seen.sa_map, carried)
    shown.append(
        ViewMap(
            key="difference",
            tab="GLCA − SA",
            kind="Difference",
            title="GLCA − SA",
            about=DIFFERENCE,
            quantity=f"{CLASS_SHARE}, GLCA's minus SA's",
            unit=SHARE,
            values={"mean": delta},
            scale=(-most, most),
            diverging=True,
        )
    )
    shown.append(
        ViewMap(
            key="selection",
            tab="Selection",
            kind="Selection",
            title=f"Selected at R = {seen.top_ratio:.0%}",
            about="Only these patches and the class token are queries of the GLCA block.",
            quantity="outlined: selected",
            unit=MASK,
            values={"mean": mask.astype(np.float32)},
            branch="glca",
        )
    )
    return shown


def evidence(seen: Inspection, class_name: str | None) -> list[ViewMap]:
    """What speaks for the record's target class; nothing where there is no target."""
    if seen.target is None or seen.relevance is None or seen.gradient_rollout is None:
        return []
    name = class_name if class_name is not None else seen.classes[seen.target]
    return [
        ViewMap(
            key=key,
            tab="Class evidence",
            kind=kind,
            title=f"{kind} for {name}",
            about=about,
            quantity=kind.lower(),
            unit=NUMBER,
            values={"mean": map},
        )
        for key, kind, about, map in (
            ("relevance", "Relevance", RELEVANCE, seen.relevance),
            ("gradient-rollout", "Gradient rollout", GRADIENT, seen.gradient_rollout),
        )
    ]


def plain(
    key: str,
    tab: str,
    kind: str,
    title: str,
    about: str,
    map: np.ndarray,
    branch: str,
    scale: tuple[float, float] | None = None,
) -> ViewMap:
    """A branch's map of shares of the class token."""
    return ViewMap(
        key=key,
        tab=tab,
        kind=kind,
        title=title,
        about=about,
        quantity=CLASS_SHARE,
        unit=SHARE,
        values={"mean": map},
        branch=branch,
        scale=scale,
    )

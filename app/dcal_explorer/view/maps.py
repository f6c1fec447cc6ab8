"""Which maps of a record the view shows, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dcal import Inspection, draw
from dcal.analysis.agreement import Agreement, sa_and_glca

# fractions of 1; numbers without a unit; lengths of tokens; 1 for the selected patches
SHARE, NUMBER, SIZE, MASK = "share", "number", "size", "mask"
VALUES, FEATURES, COLOURS = "values", "features", "colours"  # a number a patch; its feature; red, green and blue
CLASS_SHARE = "share of the class token"
ROLLOUT = "How much each patch has contributed to the class token by this layer: attention rollout"
SA = "How much each patch has contributed to the class token after the last layer, from which GLCA selects."
GLCA = {
    "glca": (
        "Carried to the input",
        "The class token's attention in the GLCA block, carried down to the input.",
    ),
    "glca-block": (
        "In the GLCA block",
        "The class token's attention in the GLCA block.",
    ),
    "glca-local": (
        "From the selected patches",
        "What the selected patches attend to in the GLCA block, averaged over them.",
    ),
}
DIFFERENCE = "Orange: GLCA attends more; blue: SA does."
GRADIENT = "Attention rollout weighted by the gradient of SA's score for this class."
CONTRAST = "What raises the first class's score above the other's; evidence for both cancels (SA, Chefer et al., 2021)."
SIMILARITY = "How much each patch's token resembles that of the kept patch. Click a patch to choose it."
PRINCIPAL = "The three main directions of the patches' tokens: patches of one colour look alike to the model."
SIZES = "Far longer tokens than the others' store global information and say little about their place."
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
    form: str = VALUES
    starts: bool = False
    by_layer: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rival:
    """The class that the contrast is against: its index and its name."""

    index: int
    name: str


def maps_of(
    seen: Inspection,
    fusions: tuple[str, ...],
    class_name: str | None = None,
    rival: Rival | None = None,
    has_model: bool = False,
) -> list[ViewMap]:
    """Every map of the record, in the order of the view's tabs. `class_name` names the target of the evidence.

    With `has_model` also what only the model can tell: the contrast with `rival`, features and token sizes.
    """
    own = [rollout(seen, fusions), *branches(seen), *evidence(seen, class_name, rival if has_model else None)]
    return own + ([*features(), sizes()] if has_model else [])


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
        starts=True,
        source={"kind": "rollout"},
    )


def branches(seen: Inspection) -> list[ViewMap]:
    """SA's map alone or, with GLCA, both branches' on one scale, their difference, and what GLCA selected."""
    carried, mask = seen.glca_input_map, seen.selected_mask
    if carried is None or mask is None:
        return [plain("sa", "SA", "SA", "SA", SA, seen.sa_map, "sa")]
    both = draw.shared_scale(seen.sa_map, carried)
    found = sa_and_glca(seen)
    shown = [plain("sa", "SA", "SA", "SA", SA, seen.sa_map, "sa", both), *glca_maps(seen, found, both)]
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


def glca_maps(seen: Inspection, found: Mapping[str, Agreement], both: tuple[float, float]) -> list[ViewMap]:
    """GLCA's maps, then their differences from SA's; the block's own first where the carried one equals SA's nearly."""
    maps = {"glca": seen.glca_input_map, "glca-block": seen.glca_map, "glca-local": seen.glca_local_map}
    keys = ["glca-block", "glca", "glca-local"] if found["glca_input"].nearly_equal else list(maps)
    words = {
        "glca": f"{GLCA['glca'][1]} Against SA's: {agreed(found['glca_input'])}",
        "glca-block": f"{GLCA['glca-block'][1]} Against SA's: {agreed(found['glca'])}",
        "glca-local": GLCA["glca-local"][1],
    }
    shown, differences = [], []
    for key in keys:
        kind, map = GLCA[key][0], maps[key]
        assert map is not None
        shown.append(plain(key, "GLCA", kind, "GLCA", words[key], map, "glca", both if key == "glca" else None))
        if key != "glca-local":
            differences.append(
                difference(key, kind, seen.sa_map, map, found["glca" if key == "glca-block" else "glca_input"])
            )
    return shown + differences


def difference(key: str, kind: str, sa: np.ndarray, glca: np.ndarray, found: Agreement) -> ViewMap:
    """One of GLCA's maps minus SA's, and how far they differ in numbers."""
    delta, most = draw.difference(sa, glca)
    return ViewMap(
        key="difference" if key == "glca" else "difference-block",
        tab="GLCA − SA",
        kind=kind,
        title="GLCA − SA",
        about=f"{DIFFERENCE} {agreed(found)[0].upper()}{agreed(found)[1:]}",
        quantity=f"{CLASS_SHARE}, GLCA's minus SA's",
        unit=SHARE,
        values={"mean": delta},
        scale=(-most, most),
        diverging=True,
    )


def agreed(found: Agreement) -> str:
    """How far two maps agree: "rank correlation 0.98, 17 of the 20 top patches shared, 1.2% of the mass moved."."""
    return (
        f"rank correlation {found.rank_correlation:.2f}, {found.overlap * found.count:.0f} of the "
        f"{found.count} top patches shared, {draw.percent(found.moved)} of the mass moved."
    )


def evidence(seen: Inspection, class_name: str | None, rival: Rival | None = None) -> list[ViewMap]:
    """What speaks for the record's target class, and against `rival`; nothing where there is no target."""
    if seen.target is None or seen.relevance is None or seen.gradient_rollout is None:
        return []
    name = class_name if class_name is not None else seen.classes[seen.target]
    shown = [
        ViewMap(
            key=key,
            tab="Class evidence",
            kind=kind,
            title=f"{kind} for {name}",
            about=about,
            quantity=kind.lower(),
            unit=NUMBER,
            values={"mean": map},
            starts=True,
            source={"kind": "class", "map": key, "target": seen.target},
        )
        for key, kind, about, map in (
            ("relevance", "Relevance", RELEVANCE, seen.relevance),
            ("gradient-rollout", "Gradient rollout", GRADIENT, seen.gradient_rollout),
        )
    ]
    if rival is not None and rival.index != seen.target:
        shown.insert(1, contrast(seen.target, name, rival))
    return shown


def contrast(target: int, name: str, rival: Rival) -> ViewMap:
    return ViewMap(
        key="contrast",
        tab="Class evidence",
        kind="Contrast",
        title=f"{name} rather than {rival.name}",
        about=CONTRAST,
        quantity="relevance of the difference",
        unit=NUMBER,
        values={},
        starts=True,
        source={"kind": "contrast", "target": target, "rival": rival.index},
    )


def features() -> list[ViewMap]:
    """Which patches have features like one patch's, and all features as colours."""
    words = {"tab": "Features", "values": {}, "unit": NUMBER, "by_layer": True}
    return [
        ViewMap(
            key="similarity",
            kind="Similarity to a patch",
            title="Similarity",
            about=SIMILARITY,
            quantity="cosine of the features",
            form=FEATURES,
            source={"kind": "features"},
            **words,
        ),
        *(
            ViewMap(
                key=key,
                kind=kind,
                title=kind,
                about=PRINCIPAL,
                quantity="components 1, 2, 3 as red, green, blue",
                form=COLOURS,
                source={"kind": "colours", "foreground": foreground},
                **words,
            )
            for key, kind, foreground in (
                ("colours", "Components as colours", False),
                ("foreground", "Without background", True),
            )
        ),
    ]


def sizes() -> ViewMap:
    return ViewMap(
        key="sizes",
        tab="Token size",
        kind="Token size",
        title="Token size",
        about=SIZES,
        quantity="length of the token",
        unit=SIZE,
        values={},
        layered=True,
        source={"kind": "sizes"},
    )


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

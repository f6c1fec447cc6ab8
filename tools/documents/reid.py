"""Tables of the four models that re-identify vehicles."""

from __future__ import annotations

from typing import Any

from tools.documents.files import ABLATIONS, NONE, interval, minutes, number, percent, read, share
from tools.study.tables import markdown

BRANCHES = {"sa": "SA", "glca": "GLCA", "fused": "SA + GLCA"}
ORDERS = {"rollout": "rollout", "centre": "centre prior", "random": "random", "occlusion": "occlusion"}
# The ImageNet weights without any training on vehicles: measured once by the commands in docs/reid.md, not bundled.
UNTRAINED = "ImageNet weights, untrained"
UNTRAINED_SUMMARY = ("7.7 % (7.0–8.4)", "0.0 %", "58.8 %", "43.3 %", "0.55 (0.51–0.58)", NONE)
UNTRAINED_RANKINGS = ("7.7 (7.0–8.4)", "20.3", "18.3 (17.1–19.6)", "28.4 (23.8–33.1)", "6.3")
UNTRAINED_TWINS = {
    "density": ("0.55 (0.51–0.58)", "0.98 (0.93–1.04)", NONE, NONE, NONE, NONE),
    "share": ("0.90 (0.59–1.27)", NONE, NONE, NONE, NONE),
}
TWINS = {
    "rollout": "rollout (SA map)",
    "glca": "GLCA map",
    "same/fused": "evidence: same vehicle",
    "twin/fused": "evidence: twin",
    "rather/fused": "evidence: same vehicle rather than twin",
}


def summary() -> str:
    """README's table: both data sets' rankings, twins, cost."""
    header = ("checkpoint", "yard mAP", "rank-1", "vehicle2cam mAP", "rank-1", "twins told apart", "training")
    rows = [(f"[`reid-{name}`](checkpoints/reid-{name})", *_summary_row(f"reid-{name}")) for name in ABLATIONS]
    return markdown(header, [*rows, (UNTRAINED, *UNTRAINED_SUMMARY)])


def _summary_row(checkpoint: str) -> tuple[str, ...]:
    found, metrics = read(checkpoint, "evaluation"), read(checkpoint, "metrics")
    return (
        share(found, "mAP", " %"),
        f"{percent(found['rank1'])} %",
        f"{percent(metrics['vehicle2cam_mAP'])} %",
        f"{percent(metrics['vehicle2cam_rank1'])} %",
        _told_apart(checkpoint),
        minutes(metrics["seconds"]),
    )


def _told_apart(checkpoint: str) -> str:
    return interval(read(checkpoint, "analysis")["told_apart"]["joined"], 2)


def rankings() -> str:
    """The yard's test queries under the standard protocol, across cameras, and re-ranked."""
    header = ("checkpoint", "mAP", "rank-5", "mAP, other cameras", "rank-1, other cameras", "mAP re-ranked")
    rows = [(UNTRAINED, *UNTRAINED_RANKINGS)]
    for name in ABLATIONS:
        found = read(f"reid-{name}", "evaluation")
        across = found["across_cameras"]
        rows.append(
            (
                f"`reid-{name}`",
                share(found, "mAP"),
                percent(found["rank5"]),
                share(across, "mAP"),
                share(across, "rank1"),
                percent(found["reranked"]["mAP"]),
            )
        )
    return markdown(header, rows)


def evidence(target: str) -> str:
    """Insertion − deletion of the evidence and of the other orders, for `similarity` or `margin`."""
    header = (target, "**evidence**", *ORDERS.values(), "evidence : centre prior")
    rows = []
    for name in ABLATIONS:
        targets = read(f"reid-{name}", "analysis")["evidence"]["targets"]
        rows += [
            (f"`reid-{name}`, {BRANCHES[branch]}", *_evidence_row(by_order))
            for branch, by_order in targets[target].items()
            if branch in BRANCHES
        ]
    return markdown(header, rows)


def _evidence_row(by_order: dict[str, Any]) -> tuple[str, ...]:
    own, centre = by_order["relevance"]["worth"], by_order["centre"]["worth"]
    others = (_with_error(by_order[order]["worth"]) for order in ORDERS)
    return (f"**{_with_error(own)}**", *others, number(own["mean"] / centre["mean"], 2))


def _with_error(found: dict[str, float]) -> str:
    return f"{number(found['mean'], 3)} ± {found['se']:.3f}"


def dependence() -> str:
    """The rank correlation of the query's evidence for its match and for another vehicle's image."""
    header = ("dependence on the match", *BRANCHES.values())
    rows = []
    for name in ABLATIONS:
        found = read(f"reid-{name}", "analysis")["evidence"]["dependence"]
        rows.append((f"`reid-{name}`", *(interval(found.get(branch), 2) for branch in BRANCHES)))
    return markdown(header, rows)


def similarities() -> str:
    """What `dcal eval --task reid` keeps of similarities: calibration, open set, groups."""
    header = (
        *("checkpoint", "ECE, other cameras", "ECE, all", "in the gallery or not: AUROC"),
        "at the fitted threshold: false alarms, misses",
        "matching pairs accepted at 1 % false",
        "groups: ARI, best possible",
    )
    return markdown(header, [_similarities_row(f"reid-{name}") for name in ABLATIONS])


def _similarities_row(checkpoint: str) -> tuple[str, ...]:
    found = read(checkpoint, "evaluation")["similarities"]
    across, mixed, groups = found["across"], found["mixed"], found["grouping"]
    rates = across["open_set"]["chosen"]
    return (
        f"`{checkpoint}`",
        number(across["calibration_error"], 3),
        number(mixed["calibration_error"], 3),
        number(across["open_set"]["auroc"], 3),
        f"{100 * rates['false_alarms']:.0f} %, {100 * rates['misses']:.0f} %",
        f"{100 * across['match_rate']['matches']:.0f} %",
        f"{number(groups['ari'], 3)}, {number(groups['best_ari'], 3)}",
    )


def twins(measure: str, scale: float, digits: int) -> str:
    """How dense maps and evidence lie on the part in which twins differ (`density`), or their `share` on it in %."""
    told = measure == "density"
    header = ("checkpoint" if told else "share, %", *(("told apart",) if told else ()), *TWINS.values())
    rows = [(UNTRAINED, *UNTRAINED_TWINS[measure])]
    for name in ABLATIONS:
        found = read(f"reid-{name}", "analysis")[measure]
        cells = (interval(found.get(key), digits, scale) for key in TWINS)
        rows.append((f"`reid-{name}`", *((_told_apart(f"reid-{name}"),) if told else ()), *cells))
    if told:
        centre = interval(read("reid-sa_only", "analysis")["density"]["centre"], digits)
        rows.append(("control: centre prior", "", centre, *[""] * 4))
    return markdown(header, rows)

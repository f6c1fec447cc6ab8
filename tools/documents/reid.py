"""Tables of the four models that re-identify vehicles."""

from __future__ import annotations

from typing import Any

from tools.documents.files import (
    ABLATIONS,
    NONE,
    interval,
    minutes,
    number,
    percent,
    read,
    read_lines,
    read_result,
    share,
)
from tools.study.tables import markdown

BRANCHES = {"sa": "SA", "glca": "GLCA", "fused": "SA + GLCA"}
ORDERS = {"rollout": "rollout", "centre": "centre prior", "random": "random", "occlusion": "occlusion"}
UNTRAINED = "ImageNet weights, untrained"  # not bundled: docs/results/untrained keeps what `dcal eval` gave
TWINS = {
    "rollout": "rollout (SA map)",
    "glca": "GLCA map",
    "same/fused": "evidence: same vehicle",
    "twin/fused": "evidence: twin",
    "rather/fused": "evidence: same vehicle rather than twin",
}

TRAINED = {
    "real": "real pairs",
    "altered": "and made ones, three of four steps, from the former's end",
    "parts": "every other step, and parts read off, from the former's end",
    "boxes": "the same on images cut to their vehicles, from the former's end",
}


def summary() -> str:
    """README's table: both data sets' rankings, twins, cost."""
    header = ("checkpoint", "yard mAP", "rank-1", "vehicle2cam mAP", "rank-1", "twins told apart", "training")
    rows = [(f"[`reid-{name}`](checkpoints/reid-{name})", *_summary_row(f"reid-{name}")) for name in ABLATIONS]
    found, other = read_result("untrained", "evaluation"), read_result("untrained", "vehicle2cam")
    apart = interval(read_result("untrained", "analysis")["told_apart"]["joined"], 2)
    plain = (
        share(found, "mAP", " %"),
        *(f"{percent(figure)} %" for figure in (found["rank1"], other["mAP"], other["rank1"])),
    )
    return markdown(header, [*rows, (UNTRAINED, *plain, apart, NONE)])


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
    rows = [(UNTRAINED, *_rankings_row(read_result("untrained", "evaluation")))]
    rows += [(f"`reid-{name}`", *_rankings_row(read(f"reid-{name}", "evaluation"))) for name in ABLATIONS]
    return markdown(header, rows)


def _rankings_row(found: dict[str, Any]) -> tuple[str, ...]:
    across = found["across_cameras"]
    own = (share(found, "mAP"), percent(found["rank5"]), share(across, "mAP"), share(across, "rank1"))
    return (*own, percent(found["reranked"]["mAP"]))


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


def _with_error(found: dict[str, float], digits: int = 3) -> str:
    return f"{number(found['mean'], digits)} ± {found['se']:.{digits}f}"


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
    files = {UNTRAINED: read_result("untrained", "analysis")}
    files |= {f"`reid-{name}`": read(f"reid-{name}", "analysis") for name in ABLATIONS}
    rows = []
    for name, found in files.items():
        apart = (interval(found["told_apart"]["joined"], 2),) if told else ()
        rows.append((name, *apart, *(interval(found[measure].get(key), digits, scale) for key in TWINS)))
    if told:
        centre = interval(read("reid-sa_only", "analysis")["density"]["centre"], digits)
        rows.append(("control: centre prior", "", centre, *[""] * 4))
    return markdown(header, rows)


def twins_trained() -> str:
    """The runs that were trained to tell twins apart (tools/study/twins.py), by their kept logs."""
    rows = []
    for name, about in TRAINED.items():
        lines = read_lines("twins", name)
        losses = [number(lines[-1][loss], 2) if loss in lines[-1] else NONE for loss in ("twins", "altered")]
        held_out = [line["told_apart_held_out"] for line in lines]
        last = sum(held_out[-4:]) / len(held_out[-4:])
        each = " ".join(f"{value:.2f}"[1:] for value in held_out)
        rows.append((about, str(lines[-1]["step"]), *losses, number(last, 2), each))
    return markdown(("trained on", "steps", "loss, real", "made", "held out, last four", "each in turn"), rows)


def methods() -> str:
    """Every method of evidence that was tried, on pairs of their own (tools/evidence)."""
    found = read_result("evidence", "reid-sa_only")["methods"]
    rows = [
        (name, *(_with_error(own[part], 3) for part in ("similarity", "margin", "dependence")))
        for name, own in found.items()
    ]
    return markdown(("evidence", "similarity", "margin", "dependence"), rows)


def links() -> str:
    """Every way of linking patches that was tried (tools/evidence)."""
    files = {name: read_result("evidence", name)["links"] for name in ("reid-sa_only", "reid-full")}
    ways = next(iter(files.values()))
    rows = [(way, *(_with_error(own[way], 2) for own in files.values())) for way in ways]
    return markdown(("links", *(f"`{name}`" for name in files)), rows)

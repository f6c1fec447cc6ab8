"""An evaluation's record as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from dcal.analysis.evidence import TITLES as EVIDENCE_TITLES
from dcal.analysis.maps import CONTROLS
from dcal.analysis.summary import beats
from dcal.analysis.twins import TITLES as TWIN_TITLES

WAYS = {"joined": "whole embedding", "fused": "mean of the branches", "sa": "SA", "glca": "GLCA"}
HEADINGS = {
    "pointing": "pointing game ↑",
    "energy": "energy in box ↑",
    "parts": "parts hit ↑",
    "deletion": "deletion ↓",
    "insertion": "insertion ↑",
}


def evaluation_tables(record: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What `dcal eval` shows of a record of `dcal.evaluation.run`."""
    yield f"{record['checkpoint']} on {record['dataset']}"
    if "mAP" in record:
        yield from ranking_tables(record)
        return
    yield accuracy_table(record)
    worst = sorted((own for own in record["per_class"] if own["n"]), key=lambda own: own["accuracy"])[:5]
    yield "hardest classes: " + ", ".join(f"{own['class']} {own['accuracy']:.0%} of {own['n']}" for own in worst)
    pairs = (f"{own['class']} taken for {own['answered']} ({own['images']} images)" for own in record["confused"][:5])
    yield "most confused: " + ("; ".join(pairs) or "none")
    if "analysis" in record:
        yield from analysis_tables(record["analysis"])


def accuracy_table(record: Mapping[str, Any]) -> Table:
    """Each branch's accuracies, with their 95 % intervals, and its calibration error."""
    table = plain_table("", f"top-1 of {record['n']} images", "top-5", "ECE")
    for prefix, name in (("", "fused"), ("sa_", "SA"), ("glca_", "GLCA")):
        if f"{prefix}top1" in record:
            shares = (share(record[key], *record["intervals"][key]) for key in (f"{prefix}top1", f"{prefix}top5"))
            table.add_row(name, *shares, f"{record[f'{prefix}ece']:.3f}")
    return table


def ranking_tables(record: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Each branch's mAP, mINP and CMC with their 95 % intervals, by camera, the hardest identities, the twins."""
    if record["skipped"]:
        yield (
            f"{record['skipped']:,} of the {record['queries']:,} queries have no match in the gallery: the figures are "
            f"of the other {record['queries'] - record['skipped']:,}"
        )
    yield ranking_table(record)
    for name, heading in (
        ("across_cameras", "among the images of the other cameras alone"),
        ("reranked", "after k-reciprocal re-ranking"),
    ):
        if name in record:
            yield f"\n{heading}"
            yield ranking_table(record[name])
    yield from similarity_lines(record["similarities"])
    own = (f"{c['camera']}: {c['mAP']:.1%} of {c['queries']}" for c in record["per_camera"])
    yield "mAP by the query's camera: " + ", ".join(own)
    yield "hardest identities: " + ", ".join(
        f"{own['identity']} (AP {own['mAP']:.1%})" for own in record["hardest"][:5]
    )
    if "analysis" in record:
        yield from evidence_tables(record["analysis"]["evidence"])
        if "told_apart" in record["analysis"]:
            yield from twin_tables(record["analysis"])


def similarity_lines(similarities: Mapping[str, Any]) -> Iterator[str]:
    """How well similarities separate identities; their calibration; groups of images."""
    for name, among in (("mixed", "all cameras"), ("across", "other cameras alone")):
        if name in similarities and (name == "mixed" or similarities[name] != similarities["mixed"]):  # one camera
            own = similarities[name]
            found, chosen = own["open_set"], own["open_set"]["chosen"]
            yield (
                f"\nsimilarities, {among}: {own['match_rate']['matches']:.1%} of matching pairs are accepted at 1 % "
                f"false ones (from {own['match_rate']['threshold']:.3f} on); is the identity in the gallery: AUROC "
                f"{found['auroc']:.3f}, {found['identified_at_1_percent']:.1%} of the queries identified at 1 % false "
                f"alarms; at {chosen['threshold']:.3f}, {chosen['false_alarms']:.1%} false alarms and "
                f"{chosen['misses']:.1%} misses"
            )
            if "calibration_error" in own:
                yield f"calibration error (ECE) over the ten most similar images: {own['calibration_error']:.3f}"
    if "grouping" in similarities:
        own = similarities["grouping"]
        yield (
            f"grouped without identities: {own['groups']} groups for {own['identities']} identities, ARI "
            f"{own['ari']:.3f} at {own['threshold']:.3f} (best {own['best_ari']:.3f} at {own['best_threshold']:.3f})"
        )


def ranking_table(record: Mapping[str, Any]) -> Table:
    counted = record["queries"] - record["skipped"]
    without = f", {record['skipped']} more have no match" if record["skipped"] else ""
    table = plain_table(f"{counted} queries{without}", "mAP", "mINP", "rank-1", "rank-5", "rank-10")
    for prefix, name in (
        ("", "SA and GLCA joined" if "glca_mAP" in record else "embedding"),
        ("sa_", "SA"),
        ("glca_", "GLCA"),
    ):
        if f"{prefix}mAP" in record and (prefix != "sa_" or "glca_mAP" in record):
            keys = (prefix + key for key in ("mAP", "mINP", "rank1", "rank5", "rank10"))
            table.add_row(name, *(share(record[key], *record["intervals"].get(key, ())) for key in keys))
    return table


def evidence_tables(evidence: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What the evidence of a match is worth, against controls, and how far it depends on the match."""
    yield (
        f"\nwhat match evidence is worth on {evidence['pairs']} pairs: patches of the query, in the map's order, are "
        f"replaced by its blurred self (deletion ↓) or put back (insertion ↑), in {evidence['steps']} steps"
    )
    for target, branches in evidence["targets"].items():
        for branch, maps in branches.items():
            headings = "insertion − deletion ↑", "insertion", "deletion", "more than the centre prior", "pairs"
            table = plain_table(f"{target}, {WAYS[branch]}", *headings)
            for name, own in maps.items():
                measures = (cell(own[key], "", True) for key in ("worth", "insertion", "deletion"))
                over = cell(own["over_centre"], "", True) if "over_centre" in own else ""
                table.add_row(EVIDENCE_TITLES[name], *measures, over, str(own["pairs"]))
            yield table
    table = plain_table("evidence for the match and for another image (the same for both: 1)", "rank correlation")
    for branch, own in evidence["dependence"].items():
        table.add_row(WAYS[branch], cell(own, "", True))
    yield table


def twin_tables(analysis: Mapping[str, Any]) -> Iterator[RenderableType]:
    """How often twins are distinguished, and how dense every map is on the part in which they differ."""
    yield f"\n{analysis['pairs']} pairs of twins; {analysis['images']} images show the part in which they differ"
    table = plain_table("nearer to itself than to its twin (guessing: 0.5)", "share")
    for name, own in analysis["told_apart"].items():
        table.add_row(WAYS[name], cell(own, "", True))
    yield table
    table = plain_table("how much of a map lies on that part", "share of all", "density (evenly over the vehicle: 1)")
    for name, own in analysis["density"].items():
        kind, _, branch = name.partition("/")
        title = TWIN_TITLES[kind] + (f", {WAYS[branch]}" if branch else "")
        table.add_row(title, cell(analysis["share"][name], "", True, "%"), cell(own, "", True))
    yield table


def analysis_tables(analysis: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Every map under every measure, and the sanity check."""
    measures, study = list(analysis["images"]), analysis["study"]
    yield "\nmeasures of the maps: means over images with 95 % intervals; * better than both controls"
    table = plain_table("map", *(f"{HEADINGS[name]} ({analysis['images'][name]})" for name in measures))
    for name, own in analysis["maps"].items():
        table.add_row(own["title"], *(cell(own[measure], measure, name in CONTROLS) for measure in measures))
    table.add_row("chance", *(f"{analysis['chance'][m]:.3f}" if m in analysis["chance"] else "" for m in measures))
    yield table
    yield (
        f"(number of images); deletion and insertion in {study['steps']} steps, {study['fill']} as fill; "
        f"images drawn with seed {study['seed']}"
    )
    yield f"\nrank correlation with the map before the weights were randomised, {analysis['sanity']['images']} images"
    stages = analysis["sanity"]["stages"]
    maps = list(next(iter(stages.values())))
    table = plain_table("randomised down to", *maps)
    for stage, own in stages.items():
        table.add_row(stage, *(f"{own[name]:+.2f}" for name in maps))
    yield table


def cell(numbers: Mapping[str, Any], measure: str, control: bool, kind: str = "f") -> str:
    """A mean with its interval, starred if both paired differences to the controls are clear of zero."""
    mean, low, high = ("" if (v := numbers[name]) is None else f"{v:.3{kind}}" for name in ("mean", "low", "high"))
    if not low:
        return mean
    star = "" if control or not all(beats(numbers, measure, name) for name in CONTROLS) else " *"
    return f"{mean} ({low}–{high}){star}"


def share(value: float, low: float | None = None, high: float | None = None) -> str:
    """A share with its interval, where there is one: a single query has none."""
    return f"{value:.2%}" if low is None else f"{value:.2%} ({low:.1%}–{high:.1%})"


def plain_table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 else "right", no_wrap=index == 0)
    return table

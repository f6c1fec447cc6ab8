"""Tables of the four classifiers of birds."""

from __future__ import annotations

from typing import Any

from tools.documents.files import ABLATIONS, NONE, minutes, number, percent, read, share
from tools.study.tables import markdown

ABOUT = {
    "sa_only": "plain fine-tuning, the baseline",
    "sa_glca": "SA + GLCA",
    "sa_pwca": "SA, trained with PWCA",
    "full": "all three",
}
MEASURES = {
    "pointing": "pointing",
    "energy": "energy in box",
    "parts": "parts hit",
    "deletion": "deletion",
    "insertion": "insertion",
}
MAPS = {
    "raw": "raw attention, last layer",
    "rollout": "rollout (SA map)",
    "relevance": "relevance of the predicted class",
    "gradient_rollout": "gradient rollout of the predicted class",
    "glca": "GLCA map",
    "glca_input": "GLCA map, carried down to the input",
}
CONTROLS = {"random": "control: random", "centre": "control: centre prior"}


def summary() -> str:
    """README's table: accuracy with intervals, where SA's and GLCA's map lie, cost."""
    header = ("checkpoint", "SA", "GLCA", "fused (inference)", "top-5", "SA map", "GLCA map", "training", "")
    return markdown(header, [_summary_row(name) for name in ABLATIONS])


def _summary_row(name: str) -> tuple[str, ...]:
    checkpoint = f"cub50-{name}"
    found, maps = read(checkpoint, "evaluation"), read(checkpoint, "analysis")["maps"]
    return (
        f"[`{checkpoint}`](checkpoints/{checkpoint})",
        f"{_branch(found, 'sa')} %",
        f"{_branch(found, 'glca')} %" if "glca_top1" in found else NONE,
        share(found, "top1", " %"),
        f"{percent(found['top5'])} %",
        _places(maps, "rollout"),
        _places(maps, "glca"),
        minutes(read(checkpoint, "metrics")["seconds"]),
        ABOUT[name],
    )


def _branch(found: dict[str, Any], branch: str) -> str:
    """A branch's top-1; with one branch the fused figure is SA's."""
    return percent(found.get(f"{branch}_top1", found["top1"]))


def _places(maps: dict[str, Any], name: str) -> str:
    measures = ("pointing", "energy", "parts")
    return " · ".join(number(maps[name][m]["mean"], 2) for m in measures) if name in maps else NONE


def branches() -> str:
    """Top-1 of each branch, and the minutes of training."""
    rows = []
    for name in ABLATIONS:
        found = read(f"cub50-{name}", "evaluation")
        glca = _branch(found, "glca") if "glca_top1" in found else NONE
        spent = f"{read(f'cub50-{name}', 'metrics')['seconds'] / 60:.0f}"
        rows.append((f"`{name}`", _branch(found, "sa"), glca, percent(found["top1"]), spent))
    return markdown(("", "SA", "GLCA", "fused", "minutes"), rows)


def maps() -> str:
    """Every map of every checkpoint under every measure, and the controls of `full`."""
    rows = []
    for name in ABLATIONS:
        found = read(f"cub50-{name}", "analysis")["maps"]
        shown = {**MAPS, **(CONTROLS if name == "full" else {})}
        rows += [
            (f"`{name}`", title, *(number(found[key][m]["mean"], 3) for m in MEASURES))
            for key, title in shown.items()
            if key in found
        ]
    return markdown(("checkpoint", "map", *MEASURES.values()), rows)

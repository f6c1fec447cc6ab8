"""The figures of several checkpoints as table rows: headings and numbers as both faces write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcal import ModelConfig
from dcal.evaluation.comparison import Change
from dcal.evaluation.disagreement import Disagreements
from dcal_explorer.content.captions import attentions, readable
from dcal_explorer.content.numbers import percent, score, signed_points, with_interval

CLASSIFIER = {
    "top1": "top-1",
    "top5": "top-5",
    "sa_top1": "top-1, SA alone",
    "glca_top1": "top-1, GLCA alone",
    "mean_class_accuracy": "mean over classes",
}
CALIBRATION = {"ece": "ECE", "sa_ece": "ECE, SA alone", "glca_ece": "ECE, GLCA alone"}
PROTOCOLS = {
    "standard": "Standard protocol",
    "across_cameras": "Other cameras only",
    "reranked": "Standard protocol, re-ranked",
}
RANKS = {"rank1": 1, "rank5": 5, "rank10": 10}
MEASURES = {
    "pointing": "Pointing game: how often the strongest patch is inside the object's box (higher is better)",
    "energy": "Energy: share of the map inside the object's box (higher is better)",
    "parts": "Parts: share of annotated parts among the strongest patches (higher is better)",
    "deletion": "Deletion: mean probability while the strongest patches are removed (lower is better)",
    "insertion": "Insertion: mean probability while the strongest patches are added (higher is better)",
}
TWIN_MEASURES = {
    "told_apart": "Told apart: how often a vehicle is nearer to itself than to its twin (0.5 is guessing)",
    "density": "Density: how dense a map is on the differing part, relative to the whole vehicle (1 is even)",
    "share": "Share: how much of a map lies on the differing part",
}
NOT_MEASURED = "–"


def accuracy_row(checkpoint: str, config: ModelConfig, figures: Mapping[str, Any]) -> dict[str, str]:
    """A classifier's row: accuracies with their 95 % intervals, then calibration errors."""
    intervals = figures.get("intervals", {})
    row = {"checkpoint": checkpoint, "trained with": attentions(config)}
    for key, title in CLASSIFIER.items():
        value = figures.get(key)
        row[title] = with_interval(value, intervals.get(key)) if isinstance(value, float) else NOT_MEASURED
    for key, title in CALIBRATION.items():
        value = figures.get(key)
        row[title] = percent(value) if isinstance(value, float) else NOT_MEASURED
    return row


def cost_row(checkpoint: str, config: ModelConfig, metrics: Mapping[str, Any]) -> dict[str, str]:
    """What training took, as metrics.json says it."""
    minutes = metrics.get("seconds")
    return {
        "checkpoint": checkpoint,
        "backbone": config.backbone,
        "epochs": str(metrics.get("epoch", NOT_MEASURED)),
        "training images": f"{metrics['train_images']:,}" if "train_images" in metrics else NOT_MEASURED,
        "training time": f"{minutes / 60:.0f} min" if isinstance(minutes, int | float) else NOT_MEASURED,
        "hardware": str(metrics.get("hardware", NOT_MEASURED)),
    }


def protocol_figures(figures: Mapping[str, Any], protocol: str) -> Mapping[str, Any]:
    """The figures of a Re-ID evaluation under one of PROTOCOLS; empty if it was not measured."""
    found = figures if protocol == "standard" else figures.get(protocol, {})
    return found if isinstance(found, Mapping) and "mAP" in found else {}


def change_rows(changes: Sequence[Change]) -> list[dict[str, str]]:
    """Gains and losses, class by class."""
    return [
        {
            "class or camera": readable(change.name),
            "test images": str(change.n),
            "before": percent(change.before),
            "after": percent(change.after),
            "change": signed_points(change.gain),
        }
        for change in changes
    ]


def label_of(found: Disagreements, row: int) -> str:
    """What a test image shows: its class, or the identity of a query."""
    label = found.labels[row]
    return readable(label) if found.classes else f"identity {label}"


def answers_of(found: Disagreements, row: int) -> list[str]:
    """What each checkpoint answered on a test image, right or wrong, and how sure it is of the label."""
    lines = []
    for place, name in enumerate(found.checkpoints):
        sign = "✓" if found.right[row, place] else "✗"
        answer, score = found.answers[row][place], percent(float(found.scores[row, place]))
        if found.classes:
            own = "" if found.right[row, place] else f" {readable(answer)};"
            lines.append(f"{sign} {name}:{own} label {score}")
        else:
            lines.append(f"{sign} {name}: first match at rank {answer}, AP {score}")
    return lines


def map_rows(maps: Mapping[str, Any], measure: str) -> dict[str, tuple[float, float, float]]:
    """{title of the map: (mean, low, high)} of one measure; empty where it was not measured."""
    found = {}
    for own in maps.values():
        value = own.get(measure) if isinstance(own, Mapping) else None
        if isinstance(value, Mapping) and {"mean", "low", "high"} <= value.keys():
            found[str(own.get("title", ""))] = (float(value["mean"]), float(value["low"]), float(value["high"]))
    return found


def spelled(value: float, low: float, high: float) -> str:
    return f"{score(value)} ({score(low)}–{score(high)})"

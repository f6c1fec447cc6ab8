"""What the faces say about several checkpoints on one image: predictions and agreement, row by row."""

from __future__ import annotations

from collections.abc import Mapping

from dcal import Inspection, draw
from dcal.analysis.record_agreement import MAPS, RecordAgreement, map_of
from dcal_explorer.content.captions import ATTENTIONS, attentions, names_classes, readable
from dcal_explorer.content.numbers import percent, score, whole_percent
from dcal_explorer.view.maps import CLASS_SHARE

__all__ = ["ABOUT", "MAPS", "MAP_NAMES", "NONE", "UNITS", "agreement_row", "prediction_row", "shared_scales"]

ABOUT = (
    f"{ATTENTIONS} One control moves all views; maps of one kind share one scale, and the same patch is outlined in "
    "all of them. *Difference to* subtracts one checkpoint's map from the others'."
)
AGREEMENT = (
    "Rank correlation of the maps with the reference's (1: the same order of patches, 0: unrelated), and the share of "
    "selected patches that both select. –: one of the two has no such map, or another grid."
)
UNITS = {"relevance": "relevance", "rollout": CLASS_SHARE, "glca": "share of its attention"}
MAP_NAMES = {"relevance": "Relevance for the class", "rollout": "Rollout after the last layer", "glca": "GLCA's map"}
NONE = "–"


def prediction_row(checkpoint: str, seen: Inspection) -> dict[str, str]:
    """A checkpoint's first prediction, of each branch and fused."""
    row = {"checkpoint": checkpoint, "trained with": attentions(seen.config)}
    branches = {"prediction": "fused", "SA": "sa"} | ({} if seen.glca_probabilities is None else {"GLCA": "glca"})
    for title, branch in branches.items():
        row[title] = NONE
        if names_classes(seen.config):
            name, probability = seen.top(1, branch)[0]
            row[title] = f"{readable(name)} {percent(probability)}"
    return row


def agreement_row(checkpoint: str, seen: Inspection, found: RecordAgreement) -> dict[str, str]:
    """How far a checkpoint agrees with the reference."""
    row = {"checkpoint": checkpoint, "trained with": attentions(seen.config)}
    for name, title in MAP_NAMES.items():
        value = getattr(found, name)
        row[title] = NONE if value is None else score(value)
    row["selected patches"] = NONE if found.selected is None else whole_percent(found.selected)
    return row


def shared_scales(seen: Mapping[str, Inspection]) -> dict[str, tuple[float, float]]:
    """The scale of each kind of map over all checkpoints that have it; SA's and GLCA's maps share one."""
    both = draw.shared_scale(
        *(map for record in seen.values() for name in ("rollout", "glca") if (map := map_of(record, name)) is not None)
    )
    scales = {"rollout": draw.shared_scale(*(record.rollout for record in seen.values())), "sa": both, "glca": both}
    relevance = [record.relevance for record in seen.values() if record.relevance is not None]
    return scales | ({"relevance": draw.shared_scale(*relevance)} if relevance else {})

"""What the attention is worth: do maps lie on the object, does the model need what they show, was it learned?

`analyse` measures every map of a model on a data set's images, `summary` says it in numbers; the measures themselves
are functions of maps and may be used on any. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcal.analysis.agreement import Agreement, agreement, sa_and_glca
    from dcal.analysis.annotations import Places, box_centres, box_cover, part_patches, places_of
    from dcal.analysis.config import AnalysisConfig
    from dcal.analysis.evidence import EvidenceMeasures, evidence_summary, measure_evidence
    from dcal.analysis.faithfulness import Faithfulness, Progress, faithfulness
    from dcal.analysis.localisation import energy_inside, localisation, part_hits, pointing_game
    from dcal.analysis.maps import centre_map, model_maps, random_map
    from dcal.analysis.pairs import Triple, draw_triples
    from dcal.analysis.perturbation import area, deletion_insertion, filled, patch_order
    from dcal.analysis.run import Analysis, analyse
    from dcal.analysis.sanity import cascade, rank_correlation
    from dcal.analysis.summary import summary
    from dcal.analysis.twins import OnPart, Twins, on_part, twin_summary, twins

__all__ = [
    "Agreement",
    "Analysis",
    "AnalysisConfig",
    "EvidenceMeasures",
    "Faithfulness",
    "OnPart",
    "Places",
    "Progress",
    "Triple",
    "Twins",
    "agreement",
    "analyse",
    "area",
    "box_centres",
    "box_cover",
    "cascade",
    "centre_map",
    "deletion_insertion",
    "draw_triples",
    "energy_inside",
    "evidence_summary",
    "faithfulness",
    "filled",
    "localisation",
    "measure_evidence",
    "model_maps",
    "on_part",
    "part_hits",
    "part_patches",
    "patch_order",
    "places_of",
    "pointing_game",
    "random_map",
    "rank_correlation",
    "sa_and_glca",
    "summary",
    "twin_summary",
    "twins",
]

# Public name → the module that defines it.
_MODULES = {
    "agreement": ("Agreement", "agreement", "sa_and_glca"),
    "faithfulness": ("Faithfulness", "Progress", "faithfulness"),
    "annotations": (
        "Places",
        "box_centres",
        "box_cover",
        "part_patches",
        "places_of",
    ),
    "config": ("AnalysisConfig",),
    "evidence": ("EvidenceMeasures", "evidence_summary", "measure_evidence"),
    "localisation": (
        "energy_inside",
        "localisation",
        "part_hits",
        "pointing_game",
    ),
    "maps": (
        "centre_map",
        "model_maps",
        "random_map",
    ),
    "pairs": ("Triple", "draw_triples"),
    "perturbation": (
        "area",
        "deletion_insertion",
        "filled",
        "patch_order",
    ),
    "run": (
        "Analysis",
        "analyse",
    ),
    "sanity": (
        "cascade",
        "rank_correlation",
    ),
    "summary": ("summary",),
    "twins": (
        "OnPart",
        "Twins",
        "on_part",
        "twin_summary",
        "twins",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        """`summary`, `twins` and `localisation` are functions here, also after the modules of that name are loaded."""
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

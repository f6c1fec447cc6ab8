"""What the attention is worth: do maps lie on the object, does the model need what they show, was it learned?

`analyse` measures every map of a model on a data set's photos, `summary` says it in numbers; the measures themselves
are functions of maps and may be used on any.
"""

from dcal.analysis.agreement import Agreement, agreement, sa_and_glca
from dcal.analysis.annotations import Places, box_centres, box_cover, part_patches, places_of
from dcal.analysis.config import AnalysisConfig
from dcal.analysis.faithfulness import Faithfulness, Progress, faithfulness
from dcal.analysis.localisation import energy_inside, localisation, part_hits, pointing_game
from dcal.analysis.maps import centre_map, model_maps, random_map
from dcal.analysis.perturbation import area, deletion_insertion, filled, patch_order
from dcal.analysis.run import Analysis, analyse
from dcal.analysis.sanity import cascade, rank_correlation
from dcal.analysis.summary import summary
from dcal.analysis.twins import OnPart, Twins, on_part, twin_summary, twins

__all__ = [
    "Agreement",
    "Analysis",
    "AnalysisConfig",
    "Faithfulness",
    "OnPart",
    "Places",
    "Progress",
    "Twins",
    "agreement",
    "analyse",
    "area",
    "box_centres",
    "box_cover",
    "cascade",
    "centre_map",
    "deletion_insertion",
    "energy_inside",
    "faithfulness",
    "filled",
    "localisation",
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

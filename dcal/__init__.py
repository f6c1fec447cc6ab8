"""DCAL Explorer: Dual Cross-Attention Learning (Zhu et al., CVPR 2022), and a way to see what a model attends to.

Names are imported when they are first used, so that `import dcal` costs nothing by itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcal import retrieval
    from dcal.analysis.maps import MapKind, register_map
    from dcal.errors import CheckpointError, DCALError, ImageError
    from dcal.explain.inspect import inspect, reselect
    from dcal.explain.inspection import Inspection
    from dcal.explain.match import Evidence, Match, explain_match
    from dcal.explain.relevance import class_relevance
    from dcal.gallery import Gallery, Item, QueryInfo, Ranking, open_gallery, rank
    from dcal.image import DecodedImage, read_image
    from dcal.model.ablation import ABLATIONS, BranchKind, branches, register_branch
    from dcal.model.checkpoint import fingerprint, read_config, read_metrics
    from dcal.model.checkpoint import load_checkpoint as load
    from dcal.model.checkpoint import save_checkpoint as save
    from dcal.model.config import ModelConfig
    from dcal.model.dcal import DCAL, create_model
    from dcal.model.loss import DCALLoss
    from dcal.model.output import Output
    from dcal.model.pwca import random_matching
    from dcal.notebook import show
    from dcal.preprocess import Preprocess

__all__ = [
    "ABLATIONS",
    "DCAL",
    "BranchKind",
    "CheckpointError",
    "DCALError",
    "DCALLoss",
    "DecodedImage",
    "Evidence",
    "Gallery",
    "ImageError",
    "Inspection",
    "Item",
    "MapKind",
    "Match",
    "ModelConfig",
    "Output",
    "Preprocess",
    "QueryInfo",
    "Ranking",
    "branches",
    "class_relevance",
    "create_model",
    "explain_match",
    "fingerprint",
    "inspect",
    "load",
    "open_gallery",
    "random_matching",
    "rank",
    "read_config",
    "read_image",
    "read_metrics",
    "register_branch",
    "register_map",
    "reselect",
    "retrieval",
    "save",
    "show",
]

# Public name → the module that defines it, and its name there if that is another.
_PLACES = {
    "dcal.analysis.maps": ("MapKind", "register_map"),
    "dcal.errors": ("CheckpointError", "DCALError", "ImageError"),
    "dcal.explain.inspect": ("inspect", "reselect"),
    "dcal.explain.inspection": ("Inspection",),
    "dcal.explain.match": ("Evidence", "Match", "explain_match"),
    "dcal.explain.relevance": ("class_relevance",),
    "dcal.gallery": ("Gallery", "Item", "QueryInfo", "Ranking", "open_gallery", "rank"),
    "dcal.image": ("DecodedImage", "read_image"),
    "dcal.model.checkpoint": ("fingerprint", "read_config", "read_metrics", "load", "save"),
    "dcal.model.ablation": ("ABLATIONS", "BranchKind", "branches", "register_branch"),
    "dcal.model.config": ("ModelConfig",),
    "dcal.model.dcal": ("DCAL", "create_model"),
    "dcal.model.output": ("Output",),
    "dcal.model.loss": ("DCALLoss",),
    "dcal.model.pwca": ("random_matching",),
    "dcal.preprocess": ("Preprocess",),
    "dcal.notebook": ("show",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
_NAME_THERE = {"load": "load_checkpoint", "save": "save_checkpoint"}
_FORMER_NAMES = {
    "Known": "QueryInfo",
    "Picture": "DecodedImage",
    "PictureError": "ImageError",
    "read_picture": "read_image",
}
_SUBPACKAGES = {"analysis", "configs", "data", "draw", "gallery", "model", "retrieval", "train"}


def __getattr__(name: str) -> Any:
    name = _FORMER_NAMES.get(name, name)
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), _NAME_THERE.get(name, name))
    elif name in _SUBPACKAGES:
        return importlib.import_module(f"dcal.{name}")
    else:
        raise AttributeError(f"module 'dcal' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBPACKAGES})

"""DCAL Explorer: Dual Cross-Attention Learning (Zhu et al., CVPR 2022), and a way to see what a model looks at."""

from dcal import retrieval
from dcal.checkpoint import fingerprint, read_config, read_metrics
from dcal.checkpoint import load_checkpoint as load
from dcal.checkpoint import save_checkpoint as save
from dcal.config import ABLATIONS, ModelConfig, branches
from dcal.errors import CheckpointError, DCALError, PictureError
from dcal.gallery import Gallery, Item, Known, Ranking, open_gallery, rank
from dcal.inspection import inspect, reselect
from dcal.loss import DCALLoss
from dcal.match import Evidence, Match, explain_match
from dcal.model import DCAL, Output, create_model
from dcal.pairing import random_matching
from dcal.picture import Picture, read_picture
from dcal.preprocess import Preprocess
from dcal.record import Inspection
from dcal.relevance import class_relevance

__all__ = [
    "ABLATIONS",
    "DCAL",
    "CheckpointError",
    "DCALError",
    "DCALLoss",
    "Evidence",
    "Gallery",
    "Inspection",
    "Item",
    "Known",
    "Match",
    "ModelConfig",
    "Output",
    "Picture",
    "PictureError",
    "Preprocess",
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
    "read_metrics",
    "read_picture",
    "reselect",
    "retrieval",
    "save",
]

"""DCAL Explorer: Dual Cross-Attention Learning (Zhu et al., CVPR 2022), and a way to see what a vision transformer looks at."""

from dcal.checkpoint import fingerprint, read_config, read_metrics
from dcal.checkpoint import load_checkpoint as load
from dcal.checkpoint import save_checkpoint as save
from dcal.config import ABLATIONS, ModelConfig, branches
from dcal.errors import CheckpointError, DCALError, PictureError
from dcal.loss import DCALLoss
from dcal.model import DCAL, Output, create_model
from dcal.pairing import random_matching
from dcal.preprocess import Preprocess

__all__ = [
    "ABLATIONS",
    "DCAL",
    "CheckpointError",
    "DCALError",
    "DCALLoss",
    "ModelConfig",
    "Output",
    "PictureError",
    "Preprocess",
    "branches",
    "create_model",
    "fingerprint",
    "load",
    "random_matching",
    "read_config",
    "read_metrics",
    "save",
]

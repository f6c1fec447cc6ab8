"""The models of timm that can serve as backbone."""

from __future__ import annotations

from collections.abc import Iterator

import timm
import torch

from dcal.errors import DCALError
from dcal.model.backbone import check_backbone

MODULES = (
    "vision_transformer",
    "vision_transformer_hybrid",
    "deit",
    "eva",
    "beit",
)  # of timm, that have vision transformers


def fitting_models(word: str = "") -> Iterator[str]:
    """The names that contain `word` and that `create_model` takes, in the order of the alphabet.

    Each is built with one block and without memory for its weights, and judged as `create_model` judges it.
    """
    names = {name for module in MODULES for name in timm.list_models(module=module)}
    for name in sorted(name for name in names if word in name):
        size = timm.get_pretrained_cfg(name).input_size[-2:]
        try:
            with torch.device("meta"):
                check_backbone(timm.create_model(name, depth=1), name, size)
        except (DCALError, TypeError):  # TypeError: a model without a `depth`, which is no plain vision transformer
            continue
        yield name

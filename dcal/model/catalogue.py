"""The models of timm that can serve as backbone."""

from __future__ import annotations

from collections.abc import Iterator

import timm

from dcal.model.kinds import fitting_size, misfit, planned

MODULES = (  # of timm, that have vision transformers of the kinds that fit
    *("vision_transformer", "vision_transformer_hybrid", "vision_transformer_relpos", "vitamin"),
    *("deit", "eva", "beit", "naflexvit"),
)


def fitting_models(word: str = "") -> Iterator[tuple[str, tuple[int, int]]]:
    """The names that contain `word` and that `create_model` takes, in the order of the alphabet, and their image size.

    The size, (height, width) in pixels, is timm's, to the nearest that the model's patches divide.
    """
    for name in (name for name in transformers() if word in name):
        plan = planned(name)
        if misfit(plan) is None:
            yield name, fitting_size(plan, timm.get_pretrained_cfg(name).input_size[-2:])


def transformers() -> list[str]:
    """The names of timm's vision transformers, those among them that do not fit included."""
    return sorted({name for module in MODULES for name in timm.list_models(module=module)})


def natural_size(name: str) -> tuple[int, int]:
    """The image size that a model was made for, as `fitting_models` has it; 224 × 224 if it is no backbone."""
    found = dict(fitting_models(name)) if timm.is_model(name) else {}
    return found.get(name, (224, 224))

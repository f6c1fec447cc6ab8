"""Class evidence for an image that has been inspected: for a class, and for one class rather than another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from dcal.errors import DCALError
from dcal.explain.inspect import check_weights, class_index
from dcal.explain.inspection import Inspection, patch_part
from dcal.explain.relevance import Relevance, class_relevance, contrast_relevance
from dcal.model.dcal import DCAL
from dcal.model.shapes import describe


@dataclass(frozen=True, eq=False, repr=False)
class Contrast:
    """Evidence for class `target` rather than class `rival`: relevance of z_target − γ · z_rival, SA's logits.

    A patch counts where more attention to it would raise the margin; evidence that speaks for both classes cancels.
    """

    target: int
    rival: int
    gamma: float
    start: int  # the first layer that counts
    relevance: Float32[np.ndarray, "rows cols"]  # not negative, no fixed sum
    gradient_rollout: Float32[np.ndarray, "rows cols"]
    __repr__ = describe


def class_maps(model: DCAL, inspection: Inspection, target: int | str, start: int = 0) -> Inspection:
    """The record with the gradient-weighted rollout and the relevance for `target`, from layer `start` on.

    One forward and one backward pass; the rest of the record stays. Raises DCALError for an unknown class or layer and
    for a record of other weights.
    """
    index = class_index(model.config, target)
    maps = class_relevance(model, model_input(model, inspection), index, start)
    weighted, relevance = as_maps(maps, inspection)
    return replace(inspection, target=index, gradient_rollout=weighted, relevance=relevance)


def contrast(
    model: DCAL,
    inspection: Inspection,
    target: int | str | None = None,
    rival: int | str | None = None,
    gamma: float = 1.0,
    start: int = 0,
) -> Contrast:
    """What speaks for `target` rather than `rival`, each a class's name or index.

    By default the most probable class, and the most probable other one: the class it is confused with most. Raises
    DCALError for unknown classes or layers, a class against itself, γ < 0, and a record of other weights.
    """
    order = np.argsort(-inspection.probabilities, kind="stable").tolist()
    own = order[0] if target is None else class_index(model.config, target)
    if rival is None and len(order) < 2:
        raise DCALError("the model has one class only: there is nothing to contrast it with")
    other = next(i for i in order if i != own) if rival is None else class_index(model.config, rival)
    images = model_input(model, inspection)
    maps = contrast_relevance(model, images, own, torch.tensor([[other]], device=images.device), gamma, start)
    weighted, relevance = as_maps(maps, inspection)
    return Contrast(own, other, gamma, start, relevance, weighted)


def model_input(model: DCAL, inspection: Inspection) -> Float[Tensor, "1 3 img_h img_w"]:
    """The inspected image as the model takes it, on its device. Raises DCALError for a record of other weights."""
    check_weights(model, inspection)
    parameter = next(model.parameters())
    return model.config.preprocess.tensor(Image.fromarray(inspection.view))[None].to(parameter.device, parameter.dtype)


def as_maps(
    found: Relevance, inspection: Inspection
) -> tuple[Float32[np.ndarray, "rows cols"], Float32[np.ndarray, "rows cols"]]:
    """(gradient-weighted rollout, relevance) over the patches of a single image."""
    rows = (found.gradient_rollout[0], found.relevance[0])
    weighted, relevance = (patch_part(row.float().cpu().numpy(), inspection.layout) for row in rows)
    return weighted, relevance

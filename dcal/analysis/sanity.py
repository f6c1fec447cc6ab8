"""Does a map depend on what was learned? Cascading randomisation of the weights (Adebayo et al., NeurIPS 2018).

From the read-out down to the embedding, one part after the other loses what it learned. A map that looks the same
afterwards shows the image, not the model.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata

from dcal.model.dcal import DCAL

READOUT = ("backbone.norm.", "backbone.fc_norm.", "backbone.head", "sa_classifier.", "glca_classifier.")


def cascade(model: DCAL, seed: int) -> Iterator[tuple[str, DCAL]]:
    """(what was randomised last, the model so far), from the top to the bottom; after the last stage nothing is left.

    The values of every tensor change places by lot within the tensor, so that each layer keeps its scale and every
    stage is a network whose activations neither vanish nor explode. Always the same copy, changed further: use it
    before asking for more. `model` stays as it is.
    """
    model, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    for stage in stages(model):
        for name, parameter in model.named_parameters():
            if stage_of(name) == stage:
                shuffle(parameter, generator)
        yield stage, model


def stages(model: DCAL) -> list[str]:
    """read-out, GLCA's block where there is one, the backbone's blocks from the last to the first, the embedding."""
    blocks = [f"block {index + 1}" for index in reversed(range(len(model.backbone.blocks)))]
    return ["read-out", *(["GLCA"] if model.glca is not None else []), *blocks, "embedding"]


def stage_of(name: str) -> str:
    """The stage that a parameter belongs to, by its name; every parameter belongs to one."""
    if name.startswith("glca."):
        return "GLCA"
    if name.startswith("backbone.blocks."):
        return f"block {int(name.split('.')[2]) + 1}"
    return "read-out" if name.startswith(READOUT) else "embedding"


@torch.no_grad()
def shuffle(parameter: torch.Tensor, generator: torch.Generator) -> None:
    """Permute a tensor's values in place."""
    order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
    parameter.copy_(parameter.flatten()[order].view_as(parameter))


def rank_correlation(first: Float[np.ndarray, "n p"], second: Float[np.ndarray, "n p"]) -> Float[np.ndarray, " n"]:
    """Spearman's rank correlation of each pair of rows; 0 where one of them is flat and has no order to agree with."""
    a, b = (rankdata(rows, axis=1) - (rows.shape[1] + 1) / 2 for rows in (first, second))
    norms = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.where(norms > 0, (a * b).sum(1) / np.where(norms > 0, norms, 1), 0.0)

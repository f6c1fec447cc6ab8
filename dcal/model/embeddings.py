"""Embeddings of many images: what re-identification compares and a gallery stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.exported import ExportedModel, Model
from dcal.model.output import Output
from dcal.model.shapes import describe


@dataclass(frozen=True, eq=False, repr=False)
class Embeddings:
    """The branches' features of n images, each row of length 1, in the loader's order; None without a GLCA branch.

    `more`: further branches', by name.
    """

    sa: Float32[np.ndarray, "n width"]
    glca: Float32[np.ndarray, "n width"] | None
    more: dict[str, Float32[np.ndarray, "n width"]] = field(default_factory=dict)

    __repr__ = describe

    @property
    def joined(self) -> Float32[np.ndarray, "n d"]:
        """PAPER's embedding: both side by side. Each is of length 1, so that the branches weigh the same."""
        own = list(self._alone().values())
        return own[0] if len(own) == 1 else np.concatenate(own, axis=1)

    def branches(self) -> dict[str, Float32[np.ndarray, "n d"]]:
        """{"joined", "sa" and, where the model has them, "glca" and further ones}: what can be compared by itself."""
        return {"joined": self.joined, **self._alone()}

    def _alone(self) -> dict[str, Float32[np.ndarray, "n width"]]:
        return {"sa": self.sa, **({} if self.glca is None else {"glca": self.glca}), **self.more}


@torch.inference_mode()
def embed(model: Model, batches: Iterable[Tensor], forward: Callable[[Tensor], Output] | None = None) -> Embeddings:
    """The embeddings of batches of images (b, 3, img_h, img_w), as `Preprocess` makes them, on the model's device.

    `forward` stands in for `model(images)`, e.g. to keep maps on the way.
    Raises DCALError for a model in training mode, where its features would be noisy, and where there is no batch.
    """
    if model.training:
        raise DCALError("the model is in training mode, where its features are noisy: call model.eval() first")
    if isinstance(model, ExportedModel):
        return exported_embeddings(model, batches)
    device = next(model.parameters()).device
    features: dict[str, list[Tensor]] = {}
    for images in batches:
        for branch, answer in (forward or model)(images.to(device)).predicting().items():
            features.setdefault(branch, []).append(answer.feature)
    if not features:
        raise DCALError("nothing to embed: there was no batch")
    found = {branch: unit(own) for branch, own in features.items()}
    return Embeddings(found.pop("sa"), found.pop("glca", None), found)


def exported_embeddings(model: ExportedModel, batches: Iterable[Tensor]) -> Embeddings:
    """`embed` of an exported model, whose embedding has both branches' features side by side, each of length 1."""
    parts = [model(images).embedding for images in batches]
    if not parts:
        raise DCALError("nothing to embed: there was no batch")
    joined = torch.cat(parts)
    if "glca" not in model.config.branches:
        return Embeddings(unit([joined]), None)
    sa, glca = joined.chunk(2, dim=1)
    return Embeddings(unit([sa]), unit([glca]))


def unit(features: list[Tensor]) -> Float32[np.ndarray, "n d"]:
    """All rows, each divided by its length."""
    return torch.nn.functional.normalize(torch.cat(features).float(), dim=-1).cpu().numpy()

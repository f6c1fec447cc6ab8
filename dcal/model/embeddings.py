"""Embeddings of many images: what re-identification compares and a gallery stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.dcal import Output
from dcal.model.exported import ExportedModel, Model
from dcal.model.shapes import describe


@dataclass(frozen=True, eq=False, repr=False)
class Embeddings:
    """The branches' features of n images, each row of length 1, in the loader's order; None without a GLCA branch."""

    sa: Float32[np.ndarray, "n width"]
    glca: Float32[np.ndarray, "n width"] | None

    __repr__ = describe

    @property
    def joined(self) -> Float32[np.ndarray, "n d"]:
        """PAPER's embedding: both side by side. Each is of length 1, so that the branches weigh the same."""
        return self.sa if self.glca is None else np.concatenate([self.sa, self.glca], axis=1)

    def branches(self) -> dict[str, Float32[np.ndarray, "n d"]]:
        """{"joined", "sa" and, where the model has it, "glca"}: what can be compared by itself."""
        alone = {"sa": self.sa} if self.glca is None else {"sa": self.sa, "glca": self.glca}
        return {"joined": self.joined, **alone}


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
    sa, glca = [], []
    for images in batches:
        output = (forward or model)(images.to(device))
        sa.append(output.sa_feature)
        if output.glca_feature is not None:
            glca.append(output.glca_feature)
    if not sa:
        raise DCALError("nothing to embed: there was no batch")
    return Embeddings(unit(sa), unit(glca) if glca else None)


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

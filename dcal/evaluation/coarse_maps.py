"""Attention maps of many images on a coarse grid, taken while a model is evaluated."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from dcal.analysis.maps import attention_maps
from dcal.errors import DCALError
from dcal.model.backbone import encode
from dcal.model.dcal import DCAL
from dcal.model.output import Output
from dcal.model.rollout import class_rollout

SIDE = 7  # rows and columns of the coarse grid, or as many as the model has, if they are fewer

CoarseMaps = UInt8[np.ndarray, "n high wide"]  # parts of each image's largest value, in 255ths


class MapRecorder:
    """The forward of a model in evaluation mode, which also keeps the maps of `attention_maps`, an image a row.

    Its answers are those of `model(images)`. Of the maps it keeps `raw`, `rollout` and `glca_input`, the last where the
    model has GLCA.
    """

    kept = ("raw", "rollout", "glca_input")

    def __init__(self, model: DCAL) -> None:
        self.model = model
        self._parts: dict[str, list[CoarseMaps]] = {}

    def __call__(self, images: Float[Tensor, "b 3 img_h img_w"]) -> Output:
        model = self.model
        tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=True)
        found = attention_maps(model, tokens, layers)
        rows, cols = model.layout.rows, model.layout.cols
        for name in set(self.kept) & found.keys():
            values = found[name][:, model.layout.prefix :].float().cpu().numpy()
            self._parts.setdefault(name, []).append(coarse(values.reshape(-1, rows, cols)))
        return model.read(tokens, class_rollout(layers, model.pooled(tokens)))

    def maps(self) -> dict[str, CoarseMaps]:
        """{name: maps} of all images so far, in their order."""
        return {name: np.concatenate(self._parts[name]) for name in self.kept if name in self._parts}


def coarse(maps: Float[np.ndarray, "n rows cols"]) -> CoarseMaps:
    """Maps summed over the cells of a grid of at most `SIDE` × `SIDE`; a patch on a border counts in part on each side.

    Each map's largest cell is 255. Raises DCALError for values that are negative or not finite, and for a map of zeros.
    """
    n, rows, cols = maps.shape
    pooled = cells(rows) @ maps.astype(np.float64) @ cells(cols).T
    largest = pooled.reshape(n, -1).max(axis=1)
    if not (np.isfinite(maps).all() and (maps >= 0).all() and (largest > 0).all()):
        raise DCALError(f"maps must be finite, not negative and not all 0; they run from {maps.min()} to {maps.max()}")
    return np.rint(pooled / largest[:, None, None] * 255).astype(np.uint8)


def cells(size: int) -> Float[np.ndarray, "coarse size"]:
    """How much of each of `size` patches lies in each cell of the coarse grid, along one axis; columns sum to 1."""
    count = min(size, SIDE)
    edges = np.linspace(0, size, count + 1)
    starts = np.arange(size)
    return np.clip(np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts), 0, None)


def shares(maps: CoarseMaps) -> Float[np.ndarray, "n high wide"]:
    """What `coarse` made, as shares of each map's sum, right to about 1/510 of the map's largest cell."""
    values = maps.astype(np.float64)
    return values / values.sum(axis=(1, 2), keepdims=True)


def moved(first: UInt8[np.ndarray, "..."], second: UInt8[np.ndarray, "..."]) -> Float[np.ndarray, " n"]:
    """How much of each image's map must move to turn the one into the other (total variation), in [0, 1].

    On the coarse grid it is at most what it is on the model's own. Raises DCALError for maps of different grids.
    """
    if first.shape != second.shape:
        raise DCALError(f"maps of {first.shape} and {second.shape} cells (images, rows, columns) cannot be compared")
    return 0.5 * np.abs(shares(first) - shares(second)).sum(axis=(1, 2))

"""Patch features: which patches look alike to the model, within an image and between images, and as colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from dcal.errors import DCALError
from dcal.explain.class_maps import model_input
from dcal.explain.inspect import check_weights
from dcal.explain.inspection import Inspection, within
from dcal.model.backbone import layer_tokens
from dcal.model.dcal import DCAL
from dcal.model.shapes import describe

Features = Float32[np.ndarray, "p width"]
AnyFeatures = Float32[np.ndarray, "_ _"]  # of images with other grids, too
SPREAD = 2.0  # percent of the scores at either end that saturate a colour channel


@torch.inference_mode()
def patch_features(model: DCAL, inspection: Inspection, layer: int | None = None) -> Features:
    """Every patch's token after `layer` (default: the last, from the record, at no cost), normed, each of length 1.

    The norm is the backbone's final one at every layer. Another layer costs a forward pass. Raises DCALError for a
    layer outside the model and for a record of other weights.
    """
    check_weights(model, inspection)
    parameter = next(model.parameters())
    if layer is None or within("layer", layer, inspection.num_layers) == inspection.num_layers - 1:
        tokens = torch.from_numpy(inspection.final_tokens).to(parameter.device, parameter.dtype)
    else:
        walk = layer_tokens(model.backbone, model.embed(model_input(model, inspection)))
        tokens = next(islice(walk, layer + 1, None))[0]
    patches = model.backbone.norm(tokens)[inspection.layout.prefix :]
    return torch.nn.functional.normalize(patches.float(), dim=-1).cpu().numpy()


def similar_patches(
    features: Features, patch: int, others: Float32[np.ndarray, "q _"] | None = None
) -> Float32[np.ndarray, " _"]:
    """The cosine, in [-1, 1], of one patch's feature with every patch's of the same image, or of `others`.

    Raises DCALError for a patch that the image does not have, and for features of another width.
    """
    if others is not None and others.shape[1] != features.shape[1]:
        raise DCALError(f"features of width {features.shape[1]} and {others.shape[1]} cannot be compared")
    return (features if others is None else others) @ features[within("patch", patch, len(features))]


@dataclass(frozen=True, eq=False, repr=False)
class PatchColours:
    """Patches as colours: the three leading principal components of their features as red, green and blue."""

    colours: Float32[np.ndarray, "rows cols 3"]  # in [0, 1]; black where dropped
    foreground: Bool[np.ndarray, "rows cols"]  # all true if nothing was dropped
    explained: tuple[float, ...]  # each component's share of the variance, in [0, 1]
    __repr__ = describe


def patch_colours(
    features: Sequence[AnyFeatures], grids: Sequence[tuple[int, int]], drop_background: bool = False
) -> list[PatchColours]:
    """The patches of images shown together as colours, on one basis: the same colour is the same direction everywhere.

    `grids`: each image's (rows, cols). Signs are fixed (of each component the largest loading is positive), so that
    the same images always have the same colours. `drop_background`: the first component splits all patches in two (at
    Otsu's threshold), the half that fills more of the images' borders is dropped, and the basis is made of the rest.
    Raises DCALError for no image, for features that do not fill their grids or differ in width, for fewer than 4
    patches, and where no background can be separated.
    """
    _check_grids(features, grids)
    rows = np.concatenate(features).astype(np.float64)
    keep = np.ones(len(rows), dtype=bool)
    if drop_background:
        scores, _ = _components(rows, 1)
        keep = _foreground(scores[:, 0], np.concatenate([_border(grid) for grid in grids]))
    scores, explained = _components(rows[keep], 3)
    colours = np.zeros((len(rows), 3), dtype=np.float32)
    colours[keep] = _stretched(scores)
    found, start = [], 0
    for r, c in grids:
        own = slice(start, start + r * c)
        found.append(PatchColours(colours[own].reshape(r, c, 3), keep[own].reshape(r, c), explained))
        start += r * c
    return found


def _check_grids(features: Sequence[AnyFeatures], grids: Sequence[tuple[int, int]]) -> None:
    if not features or [len(own) for own in features] != [r * c for r, c in grids]:
        raise DCALError(f"{[len(own) for own in features]} patches do not fill grids of {list(grids)}")
    if len({own.shape[1] for own in features}) > 1:
        raise DCALError(f"features of widths {[own.shape[1] for own in features]} have no basis in common")
    if sum(map(len, features)) < 4 or features[0].shape[1] < 3:
        raise DCALError("three components need at least 4 patches and features of width 3")


def _components(
    rows: Float[np.ndarray, "m width"], count: int
) -> tuple[Float[np.ndarray, "m count"], tuple[float, ...]]:
    """(scores on the `count` leading principal components, each one's share of the variance), signs fixed."""
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    values, vectors = values[::-1][:count].clip(min=0), vectors[:, ::-1][:, :count]
    signs = np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
    total = float((centred**2).sum())
    return centred @ (vectors * signs), tuple((values / total).tolist() if total > 0 else [0.0] * count)


def _stretched(scores: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3"]:
    """Each component from its low to its high percentile as 0 to 1; one without extent as ½."""
    low, high = np.percentile(scores, [SPREAD, 100 - SPREAD], axis=0)
    extent = high - low
    stretched = (scores - low) / np.where(extent > 1e-9, extent, 1)
    return np.where(extent > 1e-9, stretched.clip(0, 1), 0.5)


def _border(grid: tuple[int, int]) -> Bool[np.ndarray, " p"]:
    border = np.ones(grid, dtype=bool)
    border[1:-1, 1:-1] = False
    return border.reshape(-1)


def _foreground(scores: Float[np.ndarray, " m"], border: Bool[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
    """The side of Otsu's threshold of which a smaller part lies on the border."""
    ordered = np.sort(scores)
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)[:-1]
    above = len(ordered) - below
    between = below * above * (sums / below - (ordered.sum() - sums) / above) ** 2  # Otsu, 1979, without bins
    high = scores > ordered[between.argmax()]
    if high.all() or not high.any() or border[high].mean() == border[~high].mean():
        raise DCALError("no background can be separated from the foreground in these images")
    foreground = high if border[high].mean() < border[~high].mean() else ~high
    if foreground.sum() < 4:
        raise DCALError(f"the foreground would be {int(foreground.sum())} patches: show the images with background")
    return foreground

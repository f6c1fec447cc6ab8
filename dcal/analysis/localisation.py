"""Does a map lie on the object? The pointing game, the energy inside the box, hits on annotated parts.

Every measure is one fraction per image, nan where the image has nothing to find. Patches of equal value share what they
score, so a flat map scores exactly the chance level, not what the order of the patches makes of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from dcal.analysis.annotations import Places
from dcal.errors import DCALError
from dcal.model.glca import selected_count

PART_SHARE = 0.10  # a part is hit if its patch is among this share of the map's largest: as many as the paper's R takes

Maps = Float[np.ndarray, "n p"]


def localisation(maps: Maps, places: Places) -> dict[str, Float[np.ndarray, " n"]]:
    """`pointing`, `energy` and `parts` of one map per image. Raises DCALError for negative or infinite values.

    For a flat map (`np.ones`) these are the chance levels: the share of patch centres inside the box, the box's share
    of the view, and the share of patches that are taken.
    """
    if not (np.isfinite(maps).all() and (maps >= 0).all()):
        raise DCALError(f"maps must be finite and not negative, these run from {maps.min()} to {maps.max()}")
    return {
        "pointing": np.where(places.cover.any(1), pointing_game(maps, places.centres), np.nan),
        "energy": np.where(places.cover.any(1), energy_inside(maps, places.cover), np.nan),
        "parts": part_hits(maps, places.parts, selected_count(maps.shape[1], PART_SHARE)),
    }


def pointing_game(maps: Maps, inside: Bool[np.ndarray, "n p"]) -> Float[np.ndarray, " n"]:
    """1 where the centre of the map's largest patch is `inside` the box, else 0 (Zhang et al. 2018, no tolerance)."""
    return (top_weights(maps, 1) * inside).sum(1)


def energy_inside(maps: Maps, cover: Float[np.ndarray, "n p"]) -> Float[np.ndarray, " n"]:
    """The share of a map's sum that lies inside the box, which holds `cover` of each patch; zeros count as flat."""
    sums = maps.sum(1, keepdims=True)
    shares = np.where(sums > 0, maps / np.where(sums > 0, sums, 1), 1 / maps.shape[1])
    return (shares * cover).sum(1)


def part_hits(maps: Maps, parts: Sequence[Int[np.ndarray, "_"]], count: int) -> Float[np.ndarray, " n"]:
    """The share of each image's `parts` (their patches) that are among the map's `count` largest; nan without parts."""
    weights = top_weights(maps, count)
    return np.array([row[own].mean() if len(own) else np.nan for row, own in zip(weights, parts, strict=True)])


def top_weights(maps: Maps, count: int) -> Float[np.ndarray, "n p"]:
    """1 for the `count` largest of every map, 0 for the others; equals at the limit share what is left.

    So a weight is the chance of being taken when ties are broken by lot. Raises DCALError unless 1 ≤ count ≤ p.
    """
    if not 1 <= count <= maps.shape[1]:
        raise DCALError(f"the {count} largest of {maps.shape[1]} patches were asked for: take 1 to {maps.shape[1]}")
    limit = -np.partition(-maps, count - 1, axis=1)[:, count - 1 : count]
    above, tied = maps > limit, maps == limit
    return above + tied * ((count - above.sum(1)) / tied.sum(1))[:, None]

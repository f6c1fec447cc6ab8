"""Query expansion: a query becomes the mean of itself and what it finds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dcal.errors import DCALError
from dcal.retrieval.distances import Matrix, check_pair, distance_blocks, features, nearest


def expand_queries(
    query_features: Matrix, gallery_features: Matrix, k: int = 5, alpha: float = 0.0
) -> Float[np.ndarray, "q d"]:
    """Queries (q, d) of length 1: each the sum, normalised, of itself and its k nearest gallery images by cosine.

    `alpha` = 0 is the average of all k + 1 (Chum et al., 2007). Otherwise an image weighs its cosine to the power
    `alpha`, and the query 1 (Radenović et al., 2018, who take 3); an image with a cosine below 0 then weighs nothing.
    """
    queries, gallery = features("query_features", query_features), features("gallery_features", gallery_features)
    queries, gallery = check_pair(queries, gallery, "cosine")
    if not 1 <= k <= len(gallery) or alpha < 0:
        raise DCALError(f"k must be 1 to {len(gallery)} (the gallery) and alpha at least 0, got {k} and {alpha}")
    gallery, first, found = unit(gallery), 0, []
    for block in distance_blocks(queries, gallery, "cosine"):
        columns = nearest(block, k)
        weights = np.maximum(1 - np.take_along_axis(block, columns, axis=1), 0) ** alpha
        own = unit(queries[first : first + len(block)])
        found.append(unit(own + np.einsum("qk,qkd->qd", weights, gallery[columns])))
        first += len(block)
    return np.concatenate(found)


def unit(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Each row divided by its length."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

"""A gallery's embeddings in the plane, to look at: principal components, or t-SNE."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from dcal.errors import DCALError, check_choice
from dcal.gallery.base import Gallery
from dcal.gallery.t_sne import t_sne, t_sne_steps

METHODS = ("pca", "t-sne")
MOST = 2000  # images; of a larger gallery so many, evenly spaced
PERPLEXITY = 30.0


@dataclass(frozen=True, eq=False)
class Projection:
    """Points of the gallery's images `indices`. `explained`: the two components' shares of the variance (PCA only)."""

    indices: Int64[np.ndarray, " n"]
    points: Float32[np.ndarray, "n 2"]
    explained: tuple[float, float] | None = None


def projection(gallery: Gallery, method: str = "pca", seed: int = 0, most: int = MOST) -> Projection:
    """The images' embeddings, of length 1, in the plane. Raises DCALError for fewer than four images.

    t-SNE starts from the principal components and keeps neighbours together; distances between its groups, and their
    sizes, mean nothing. The same seed gives the same map on the same machine.
    """
    check_choice("projection", method, METHODS)
    indices, rows = sampled(gallery, most)
    if method == "pca":
        return principal(indices, rows.astype(np.float64))
    return Projection(indices, t_sne(rows, perplexity_of(rows), seed))


def projection_steps(
    gallery: Gallery, method: str = "pca", seed: int = 0, most: int = MOST
) -> Generator[float, None, Projection]:
    """`projection`, which it returns at the end; before, the share of t-SNE's work done. Closing it ends the work."""
    if method != "t-sne":
        return projection(gallery, method, seed, most)
    indices, rows = sampled(gallery, most)
    return Projection(indices, (yield from t_sne_steps(rows, perplexity_of(rows), seed)))


def sampled(gallery: Gallery, most: int) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, "n d"]]:
    """(which images, their embeddings): all, or `most` of them, evenly spaced. Raises DCALError for fewer than four."""
    if len(gallery) < 4:
        raise DCALError(f"a map needs four images at least, the gallery has {len(gallery)}")
    indices = np.unique(np.linspace(0, len(gallery) - 1, min(most, len(gallery))).round().astype(np.int64))
    return indices, gallery.rows(indices).astype(np.float32)


def perplexity_of(rows: Float32[np.ndarray, "n d"]) -> float:
    return min(PERPLEXITY, (len(rows) - 1) / 3)


def principal(indices: Int64[np.ndarray, " n"], rows: Float[np.ndarray, "n d"]) -> Projection:
    """The first two principal components, each with its largest coordinate positive."""
    from sklearn.decomposition import PCA

    fitted = PCA(2, svd_solver="full").fit(rows)
    points = fitted.transform(rows)
    points *= np.sign(points[abs(points).argmax(axis=0), range(2)])
    first, second = fitted.explained_variance_ratio_.tolist()
    return Projection(indices, points.astype(np.float32), (first, second))

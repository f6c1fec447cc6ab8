"""Groups of images that show the same identity, for images whose identities are unknown."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64, Shaped
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

from dcal.errors import DCALError

MOST = 20_000  # images: their pairs take 1.6 GB


def tree(embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "merges 4"]:
    """Agglomerative clustering by the mean cosine distance between groups, as scipy's linkage matrix."""
    if not 2 <= len(embeddings) <= MOST:
        raise DCALError(f"grouping takes 2 to {MOST:,} images, got {len(embeddings):,}")
    return linkage(pdist(embeddings.astype(np.float64), "cosine").clip(min=0), "average")


def group(embeddings: Float[np.ndarray, "n d"], above: float) -> Int64[np.ndarray, " n"]:
    """Each image's group, numbered from 0 in order of its first image; groups merge while their mean similarity is
    `above` or higher."""
    return cut(tree(embeddings), above)


def cut(merges: Float[np.ndarray, "merges 4"], above: float) -> Int64[np.ndarray, " n"]:
    found = fcluster(merges, 1 - above, "distance")
    _, first, numbers = np.unique(found, return_index=True, return_inverse=True)
    return first.argsort().argsort()[numbers].astype(np.int64)


def best_threshold(merges: Float[np.ndarray, "merges 4"], identities: Shaped[np.ndarray, " n"]) -> tuple[float, float]:
    """(the similarity at which the groups agree best with identities, their adjusted Rand index there)."""
    heights = np.unique(merges[:, 2])
    tried = 1 - np.concatenate([(heights[1:] + heights[:-1]) / 2, heights[-1:] + 1e-6])
    if len(tried) > 200:
        tried = tried[np.linspace(0, len(tried) - 1, 200).astype(int)]
    scores = [adjusted_rand_score(identities, cut(merges, float(above))) for above in tried]
    best = int(np.argmax(scores))
    return float(tried[best]), float(scores[best])


def grouping_summary(
    embeddings: Float[np.ndarray, "n d"], identities: Shaped[np.ndarray, " n"], above: float
) -> dict[str, float | int]:
    """{images, identities, groups, threshold, ari; best_threshold, best_ari}: how well the groups at the chosen
    threshold agree with identities (adjusted Rand index), and at the best one, which only the answers can tell."""
    merges = tree(embeddings)
    groups, (best, best_ari) = cut(merges, above), best_threshold(merges, identities)
    counts = {"images": len(groups), "identities": len(np.unique(identities)), "groups": int(groups.max()) + 1}
    chosen = {"threshold": above, "ari": float(adjusted_rand_score(identities, groups))}
    return {**counts, **chosen, "best_threshold": best, "best_ari": best_ari}

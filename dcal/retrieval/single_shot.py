"""The CMC with one image of each identity in the gallery: the exact expectation over all draws."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from dcal.retrieval.protocol import GroundTruth


def single_shot_hits(
    distances: Float[np.ndarray, "rows kept"],
    rows: Int64[np.ndarray, " n"],
    columns: Int64[np.ndarray, " n"],
    truth: GroundTruth,
    max_rank: int,
) -> Float[np.ndarray, "rows max_rank"]:
    """The probability that a random match is within the first k, when every other identity shows one random image too.

    `rows` and `columns` name the matches; each is drawn with equal chance. Another identity is before it with the
    probability f of its images that are nearer (equals by index), independently of the others, so the number of those
    before it has the Poisson binomial distribution. NaN for a row without a match.
    """
    sums, counts = np.zeros((len(distances), max_rank)), np.bincount(rows, minlength=len(distances))
    sizes = np.bincount(truth.identities)
    for row in np.flatnonzero(counts):
        own = columns[rows == row]
        nearer = np.stack([nearer_fractions(distances[row], column, truth, sizes) for column in own.tolist()])
        nearer[:, truth.identities[own[0]]] = 0
        sums[row] = at_most(nearer, max_rank).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return (sums / counts[:, None]).astype(np.float32)


def nearer_fractions(
    distances: Float[np.ndarray, " kept"], column: int, truth: GroundTruth, sizes: Int64[np.ndarray, " identities"]
) -> Float[np.ndarray, " identities"]:
    """Which fraction of each identity's images is nearer than the one in `column`."""
    nearer = distances < distances[column]
    nearer[:column] |= distances[:column] == distances[column]
    return np.bincount(truth.identities[nearer], minlength=len(sizes)) / sizes


def at_most(chances: Float[np.ndarray, "n events"], counts: int) -> Float[np.ndarray, "n counts"]:
    """The probabilities that none, at most one, …, at most counts − 1 of independent events happen, for each row."""
    chances = -np.sort(-chances, axis=1)
    exactly = np.zeros((len(chances), counts))
    exactly[:, 0] = 1
    for chance in chances.T[chances.any(axis=0)][:, :, None]:
        happens = exactly * chance
        exactly -= happens
        exactly[:, 1:] += happens[:, :-1]
    return exactly.cumsum(axis=1)

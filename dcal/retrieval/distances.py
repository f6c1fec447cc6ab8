"""Distances in blocks of queries, so that the whole matrix never has to exist."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dcal.errors import DCALError, check_choice

Matrix = np.ndarray | Tensor
DISTANCES = ("cosine", "euclidean")
GROUP = 64  # columns whose minimum bounds the k-th least value
BLOCK_BYTES = 2**25  # of one block of distances: large enough for fast products, small beside any features


def block_rows(columns: int, itemsize: int) -> int:
    """How many rows of so many columns make a block."""
    return max(1, BLOCK_BYTES // (columns * itemsize))


def given_blocks(distances: Matrix, kept: np.ndarray) -> Iterator[Float[np.ndarray, "rows kept"]]:
    """Copies of a distance matrix's rows, a block at a time, with the columns `kept`, as float32 or float64."""
    step = block_rows(distances.shape[1], 8)
    for start in range(0, len(distances), step):
        block = as_floats(distances[start : start + step])
        yield block[:, kept] if len(kept) < block.shape[1] else block.copy()


def distance_blocks(
    queries: Float[np.ndarray, "q d"], gallery: Float[np.ndarray, "g d"], distance: str
) -> Iterator[Float[np.ndarray, "rows g"]]:
    """Squared Euclidean or cosine distances of a block of queries, none below 0; the block is reused."""
    own, others = scales(queries, distance), scales(gallery, distance)
    step = block_rows(len(gallery), gallery.itemsize)
    room = np.empty((min(step, len(queries)), len(gallery)), dtype=gallery.dtype)
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        part = queries[rows]
        yield distances_into(room[: len(part)], part, gallery, own[rows], others, distance)


def triangle_blocks(
    images: Float[np.ndarray, "n d"], distance: str
) -> Iterator[tuple[int, Float[np.ndarray, "rows rest"]]]:
    """(first, distances of images `first`, `first` + 1, … to images `first` to the last); the block is reused."""
    own, start = scales(images, distance), 0
    room = np.empty(max(BLOCK_BYTES // images.itemsize, len(images)), dtype=images.dtype)
    while start < len(images):
        others = images[start:]
        part = others[: block_rows(len(others), images.itemsize)]
        block = room[: len(part) * len(others)].reshape(len(part), len(others))
        yield start, distances_into(block, part, others, own[start : start + len(part)], own[start:], distance)
        start += len(part)


def scales(images: Float[np.ndarray, "n d"], distance: str) -> Float[np.ndarray, " n"]:
    """What a product with another image needs of each to become a distance: its squared length, or 1 / its length."""
    return squares(images) if distance == "euclidean" else 1 / np.sqrt(squares(images))


def distances_into(
    block: Float[np.ndarray, "rows g"],
    part: Float[np.ndarray, "rows d"],
    gallery: Float[np.ndarray, "g d"],
    own: Float[np.ndarray, " rows"],
    others: Float[np.ndarray, " g"],
    distance: str,
) -> Float[np.ndarray, "rows g"]:
    """`block`, filled with the distances of `part` to `gallery`; `own` and `others` are their `scales`."""
    np.matmul(part * (-2 if distance == "euclidean" else -own[:, None]), gallery.T, out=block)
    if distance == "euclidean":
        block += others
        block += own[:, None]
    else:
        block *= others
        block += 1
    return np.maximum(block, 0, out=block)


def exact_distances(
    image: Float[np.ndarray, " d"], others: Float[np.ndarray, "k d"], kind: str
) -> Float[np.ndarray, " k"]:
    """In double precision, equal for equal images; squared where they are Euclidean."""
    image, others = image.astype(np.float64), others.astype(np.float64)
    if kind == "euclidean":
        return squares(others - image)
    return 1 - (others * image).sum(axis=1) / np.sqrt(squares(others) * (image @ image))  # a row's sum is its own


def rounding(features: Float[np.ndarray, "n d"], kind: str) -> float:
    """How far rounding may move two distances against each other; 0 in double precision, which counts as exact here.

    A sum of d products is off by about √d units in the last place of the longest squared length (Higham & Mary, 2019).
    """
    if features.dtype == np.float64:
        return 0.0
    longest = 1.0 if kind == "cosine" else float(squares(features).max())
    return 2 * float(np.sqrt(features.shape[1])) * float(np.finfo(features.dtype).eps) * longest


def squares(features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """The squared length of each row."""
    return np.einsum("nd,nd->n", features, features)


def nearest(distances: Float[np.ndarray, "rows g"], k: int) -> Int64[np.ndarray, "rows k"]:
    """The columns of each row's k least values, least first, equals by index; all of them if there are fewer.

    The k-th least of the minima of groups of columns bounds the k-th least value, so that few values are left to sort.
    """
    rows, columns = distances.shape
    k = min(k, columns)
    group = GROUP if columns >= GROUP * k else 1
    minima = distances[:, : columns // group * group].reshape(rows, -1, group).min(axis=2)
    bounds = np.partition(minima, k - 1, axis=1)[:, k - 1, None]
    own, found = at_most(distances, minima, bounds, group)
    order = np.lexsort((found, distances[own, found], own))
    return found[order[np.searchsorted(own[order], np.arange(rows))[:, None] + np.arange(k)]]


def at_most(
    distances: Float[np.ndarray, "rows g"],
    minima: Float[np.ndarray, "rows groups"],
    bounds: Float[np.ndarray, "rows 1"],
    group: int,
) -> tuple[Int64[np.ndarray, " found"], Int64[np.ndarray, " found"]]:
    """(rows, columns) of all values up to their row's bound; only groups with a minimum up to it are looked through."""
    grouped = minima.shape[1] * group
    own, place = np.nonzero(minima <= bounds)
    inside, offset = np.nonzero(distances[:, :grouped].reshape(len(distances), -1, group)[own, place] <= bounds[own])
    rest, column = np.nonzero(distances[:, grouped:] <= bounds)
    columns = np.concatenate([place[inside] * group + offset, column + grouped])
    return np.concatenate([own[inside], rest]), columns


def features(what: str, values: Matrix) -> Float[np.ndarray, "n d"]:
    """Embeddings as a C-ordered array of float32 or float64 in the CPU's memory, without a copy where they are one.

    Raises DCALError for values that are not finite, or so large that their squared length is not: every distance to
    such a row would be NaN, which comparisons and sorting pass over in silence.
    """
    array = np.ascontiguousarray(as_floats(values))
    if array.ndim != 2 or 0 in array.shape:
        raise DCALError(f"{what} must be (images, width), neither of them 0, got {tuple(values.shape)}")
    if bad := int((~np.isfinite(squares(array))).sum()):
        raise DCALError(f"{bad} of {len(array)} {what} are not finite: they are broken, or of another model")
    return array


def check_pair(queries: np.ndarray, gallery: np.ndarray, distance: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sides in the wider of their types. Raises DCALError if they cannot be compared by `distance`."""
    check_choice("distance", distance, DISTANCES)
    if queries.shape[1] != gallery.shape[1]:
        raise DCALError(
            f"query features are {queries.shape[1]} wide, gallery features {gallery.shape[1]}: are they of one model?"
        )
    if distance == "cosine":
        for what, side in (("query", queries), ("gallery", gallery)):
            if empty := int((squares(side) == 0).sum()):
                raise DCALError(f"{empty} {what} features are all zeros, or nearly: their cosine is not defined")
    both = np.result_type(queries, gallery)
    return queries.astype(both, copy=False), gallery.astype(both, copy=False)


def as_floats(values: Matrix) -> Float[np.ndarray, "..."]:
    """An array or tensor as float32, or as float64 if it is that or holds integers (which float32 might round)."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).numpy()
    if values.dtype.kind not in "fiu":
        raise DCALError(f"numbers are expected, got {values.dtype}")
    return values.astype(np.float32 if values.dtype in (np.float16, np.float32) else np.float64, copy=False)

"""Re-ranking by k-reciprocal neighbours (Zhong et al., CVPR 2017) on sparse matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32, Int64
from scipy import sparse

from dcal.errors import DCALError, check_choice
from dcal.retrieval.distances import (
    Matrix,
    check_pair,
    distance_blocks,
    exact_distances,
    features,
    squares,
    triangle_blocks,
)
from dcal.retrieval.neighbours import Neighbours

INPUTS = ("euclidean", "squared", "cosine")
SPARE = 8  # neighbours beyond those that count, among which rounding may have mixed up the last
ROUNDING = 64  # units in the last place that a distance may be off by, of the longest image's squared length
Keep = Callable[[int, np.ndarray], object]


def forget(first: int, block: np.ndarray) -> None:
    """Keeps nothing of the distances."""


@dataclass(frozen=True)
class Reranking:
    """The settings of k-reciprocal re-ranking; the defaults are the paper's for Market-1501.

    Where the paper and the widely copied code (its authors' and luohao's) differ, this follows the code:

    - An image is among its own neighbours, so that there are k1 + 1, and round(k1 / 2) + 1 where it is expanded, halves
      rounded to even. A candidate's set joins if strictly more than two thirds of it are in common (paper: at least).
    - The code squares the distances that it is given and divides each image's by its greatest. `distance` names
      which it is given: "euclidean" (luohao's; so the weights are exp(−d² / max d²)), "squared" (what torchreid gives
      it: d⁴ results) or "cosine" (1 − cosine, squared too).
    - `weight` is λ, the share of the (squared, divided) distance in the result; 1 − λ is the Jaccard distance's.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3
    distance: str = "euclidean"

    def __post_init__(self) -> None:
        check_choice("distance", self.distance, INPUTS)
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise DCALError(f"k1 and k2 must be at least 1 and weight in [0, 1]: {self}")

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many nearest images count: as neighbours, as those of a candidate, and in the average."""
        return self.k1 + 1, int(np.around(self.k1 / 2)) + 1, self.k2

    @property
    def kind(self) -> str:
        """What the blocks of distances hold: the cosine, or the squared Euclidean distance."""
        return "cosine" if self.distance == "cosine" else "euclidean"

    def square(self, distances: np.ndarray) -> np.ndarray:
        """Distances, in place, as the square of what the known code would be given."""
        return distances if self.distance == "euclidean" else np.square(distances, out=distances)


def rerank(query_features: Matrix, gallery_features: Matrix, settings: Reranking | None = None) -> np.ndarray:
    """Re-ranked distances (q, g) in [0, 1], float32. For their quality alone, `evaluate_features` needs less memory.

    Equal to the dense code for the distances of the same features to 1e-6. Beside the result, memory grows with the
    number of images times the neighbours kept, not with its square.
    """
    queries, gallery = features("query_features", query_features), features("gallery_features", gallery_features)
    settings = settings or Reranking()
    queries, gallery = check_pair(queries, gallery, settings.kind)
    result = np.empty((len(queries), len(gallery)), dtype=queries.dtype)

    def keep(first: int, block: Float[np.ndarray, "rows rest"]) -> None:
        if first < len(queries):
            own = result[first : first + len(block)]
            own[:] = block[: len(own), len(queries) - first :]

    every, queries_at, gallery_at = side_by_side(queries, gallery)
    mixed = Mixing(every, queries_at, gallery_at, settings, keep).mix(0, result)
    return mixed.astype(np.float32, copy=False)


def side_by_side(
    queries: Float[np.ndarray, "q d"], gallery: Float[np.ndarray, "g d"]
) -> tuple[Float[np.ndarray, "n d"], slice, slice]:
    """(all images, where the queries are among them, and the gallery), for images that are each on one side only."""
    return np.concatenate([queries, gallery]), slice(0, len(queries)), slice(len(queries), None)


def reranked_blocks(
    every: Float[np.ndarray, "n d"],
    queries: Int64[np.ndarray, " q"] | slice,
    gallery: Int64[np.ndarray, " g"] | slice,
    settings: Reranking,
) -> Iterator[Float[np.ndarray, "rows g"]]:
    """Re-ranked distances of some of the images to others, a block of queries at a time.

    An image that is query and gallery is one image: counted twice, its nearest neighbour would be its copy.
    """
    mixing, first = Mixing(every, queries, gallery, settings), 0
    for block in distance_blocks(every[queries], every[gallery], settings.kind):
        yield mixing.mix(first, block)
        first += len(block)


class Mixing:
    """What makes distances of some of the images to others re-ranked ones; `keep` is given the distances of all."""

    def __init__(
        self,
        every: Float[np.ndarray, "n d"],
        queries: Int64[np.ndarray, " q"] | slice,
        gallery: Int64[np.ndarray, " g"] | slice,
        settings: Reranking,
        keep: Keep = forget,
    ) -> None:
        self.settings = settings
        neighbours, greatest = neighbourhood(every, settings, keep)
        self.encoding = encode(every, neighbours, greatest, settings)
        self.by_neighbour = self.encoding[gallery].tocsc()
        self.places, self.greatest = np.arange(len(every))[queries].tolist(), greatest[queries]

    def mix(self, first: int, block: Float[np.ndarray, "rows g"]) -> Float[np.ndarray, "rows g"]:
        """The distances of queries `first`, `first` + 1, …, re-ranked in place."""
        weight = self.settings.weight
        self.settings.square(block)
        block *= weight / self.greatest[first : first + len(block), None]
        for place, row in zip(self.places[first:], block, strict=False):
            row += (1 - weight) * jaccard_distances(self.encoding, self.by_neighbour, place)
        return block


def neighbourhood(
    every: Float[np.ndarray, "n d"], settings: Reranking, keep: Keep = forget
) -> tuple[Int32[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """(each image's max(k1 + 1, k2) nearest, itself included and nearest first; its greatest distance, squared).

    `keep` is given every block of `triangle_blocks`.
    """
    most = max(settings.counts)
    longest = 1.0 if settings.kind == "cosine" else float(squares(every).max())
    slack = ROUNDING * float(np.finfo(every.dtype).eps) * longest
    found = Neighbours(len(every), most + SPARE, every.dtype)
    for first, block in triangle_blocks(every, settings.kind):
        keep(first, block)
        rows = found.add(first, block)
        settle(every, first, found.images[rows], found.distances[rows], slack, settings)
    return found.images[:, :most].astype(np.int32), settings.square(found.greatest)


def settle(
    every: Float[np.ndarray, "n d"],
    first: int,
    near: Int64[np.ndarray, "rows k"],
    distances: Float[np.ndarray, "rows k"],
    slack: float,
    settings: Reranking,
) -> None:
    """Put the neighbours of images `first`, `first` + 1, … in exact order where rounding may decide which they are.

    Two distances may have changed places in rounding if they are no more than `slack` apart.
    A set of neighbours is all or nothing: one that rounding lets in changes distances by far more than itself.
    """
    borders = [count for count in settings.counts if count < near.shape[1]]
    if not borders:
        return
    gaps = np.min([distances[:, count] - distances[:, count - 1] for count in borders], axis=0)
    for row in np.flatnonzero(gaps <= slack):
        exact = exact_distances(every[first + row], every[near[row]], settings.kind)
        near[row] = near[row][np.lexsort((near[row], exact))]


def encode(
    every: Float[np.ndarray, "n d"],
    neighbours: Int32[np.ndarray, "n k"],
    greatest: Float[np.ndarray, " n"],
    settings: Reranking,
) -> sparse.csr_array:
    """Each image as weights over images (n × n): exp(−distance) on its expanded reciprocal neighbours, of sum 1, then
    averaged over its k2 nearest images."""
    all_of_them, half, few = settings.counts
    members = expanded(reciprocal(neighbours[:, :all_of_them]), reciprocal(neighbours[:, :half]))
    weights = np.exp(-pair_distances(every, members, settings) / np.repeat(greatest, np.diff(members.indptr)))
    sums = np.add.reduceat(weights, members.indptr[:-1])  # no row is empty: an image is its own neighbour
    weights /= np.repeat(sums, np.diff(members.indptr))
    encoding = sparse.csr_array((weights, members.indices, members.indptr), shape=members.shape)
    if few == 1:
        return encoding
    mean = adjacency(neighbours[:, :few], np.float32)
    return (mean @ encoding) / mean[0].sum()


def adjacency(neighbours: Int32[np.ndarray, "n k"], kind: type) -> sparse.csr_array:
    """Ones at (i, its neighbours)."""
    n, k = neighbours.shape
    indices = np.sort(neighbours, axis=1).ravel()
    return sparse.csr_array((np.ones(n * k, kind), indices, np.arange(n + 1, dtype=np.int32) * k), shape=(n, n))


def reciprocal(neighbours: Int32[np.ndarray, "n k"]) -> sparse.csr_array:
    """Ones at (i, j) if each is the other's neighbour."""
    forward = adjacency(neighbours, np.int32)
    return forward.multiply(forward.T.tocsr()).tocsr()


def expanded(own: sparse.csr_array, halves: sparse.csr_array) -> sparse.csr_array:
    """R*: the reciprocal neighbours `own`, and the sets of those candidates that share over two thirds of theirs with
    them; a candidate's set is its row in `halves`."""
    shared = (own @ halves.T.tocsr()).multiply(own).tocsr()
    sizes = np.diff(halves.indptr)
    shared.data = (shared.data > 2.0 / 3 * sizes[shared.indices]).astype(np.int32)
    shared.eliminate_zeros()
    members = (own + shared @ halves).tocsr()
    members.sort_indices()
    return members


def pair_distances(
    every: Float[np.ndarray, "n d"], members: sparse.csr_array, settings: Reranking
) -> Float[np.ndarray, " pairs"]:
    """The squared distance of each image to each of its members, in the order of the matrix's entries."""
    lengths, found = squares(every), np.empty(members.nnz, dtype=every.dtype)
    for i in range(len(every)):
        entries = slice(members.indptr[i], members.indptr[i + 1])
        others = members.indices[entries]
        dots = every[others] @ every[i]
        if settings.kind == "cosine":
            found[entries] = 1 - dots / np.sqrt(lengths[others] * lengths[i])
        else:
            found[entries] = lengths[others] + lengths[i] - 2 * dots
    return settings.square(np.maximum(found, 0, out=found))


def jaccard_distances(
    encoding: sparse.csr_array, by_neighbour: sparse.csc_array, query: int
) -> Float[np.ndarray, " g"]:
    """1 − Σ min / Σ max of the query's weights and each gallery image's, from the entries that both have.

    The weights of an image have the sum 1, so Σ max = 2 − Σ min.
    """
    entries = slice(encoding.indptr[query], encoding.indptr[query + 1])
    columns, weights = encoding.indices[entries], encoding.data[entries]
    starts, ends = by_neighbour.indptr[columns], by_neighbour.indptr[columns + 1]
    runs = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    common = np.concatenate([by_neighbour.data[run] for run in runs])
    np.minimum(common, np.repeat(weights, ends - starts), out=common)
    images = np.concatenate([by_neighbour.indices[run] for run in runs])
    least = np.bincount(images, common, minlength=by_neighbour.shape[0])
    return 1 - least / (2 - least)

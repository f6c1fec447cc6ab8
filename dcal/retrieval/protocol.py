"""Ground truth: each query's matches and excluded images, and the conventions of a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Shaped
from torch import Tensor

from dcal.errors import DCALError, check_choice

Labels = Sequence[int] | Sequence[str] | np.ndarray | Tensor
AVERAGE_PRECISIONS = ("hits", "trapezoid")
SHOTS = ("multiple", "single")


@dataclass(frozen=True)
class Protocol:
    """How a ranking is judged. The defaults are Market-1501's, which DukeMTMC-reID, MSMT17 and VeRi-776 follow.

    `average_precision`: "hits", the mean over the matches of the precision at each (torchreid, fast-reid and
    scikit-learn have it so, and recent papers); "trapezoid", the area under the precision-recall curve with straight
    lines between ranks, as Market-1501's and Oxford Buildings' own programs compute it: always a little less, or equal.

    `shots`: with "multiple" the CMC counts all images of the gallery. With "single" (CUHK03's first protocol) it
    counts one random image of each identity, and is the exact expectation over all such draws, where public code
    averages ten of them. AP and INP use all images in both.

    `exclude_same_camera`: gallery images of the query's identity from the query's camera are no answer, neither right
    nor wrong. Set it to False for data of one camera.

    `junk`: the identity of gallery images that are no answer to any query, Market-1501's −1; None if there is none.
    Distractors (its identity 0) are wrong answers like any other. A number also means its text where ids are text.
    """

    average_precision: str = "hits"
    shots: str = "multiple"
    max_rank: int = 50
    exclude_same_camera: bool = True
    junk: int | str | None = -1

    def __post_init__(self) -> None:
        check_choice("average_precision", self.average_precision, AVERAGE_PRECISIONS)
        check_choice("shots", self.shots, SHOTS)
        if self.max_rank < 1:
            raise DCALError(f"max_rank must be at least 1, got {self.max_rank}")


STANDARD = Protocol()


@dataclass(frozen=True)
class GroundTruth:
    """Which gallery images are each query's matches and which are left out, before any distance is known.

    `kept` are the gallery's columns without junk, ascending; every column number below counts in `kept`. `by_identity`
    lists the columns identity by identity, ascending within one; query i's identity has those from `start[i]` to
    `end[i]`. Cameras are None where nothing is excluded.
    """

    kept: Int64[np.ndarray, " kept"]
    identities: Int64[np.ndarray, " kept"]  # numbered from 0
    by_identity: Int64[np.ndarray, " kept"]
    start: Int64[np.ndarray, " q"]
    end: Int64[np.ndarray, " q"]
    query_cameras: Shaped[np.ndarray, " q"] | None
    gallery_cameras: Shaped[np.ndarray, " kept"] | None

    def of(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row, column, is it a match) of every image of the queries' identities, for the queries first ≤ i < last.

        Rows count from `first`. What is no match is left out: it is the same identity from the same camera.
        """
        start, counts = self.start[first:last], self.end[first:last] - self.start[first:last]
        rows = np.repeat(np.arange(last - first), counts)
        before = np.repeat(counts.cumsum() - counts, counts)
        columns = self.by_identity[start[rows] + np.arange(len(rows)) - before]
        if self.query_cameras is None or self.gallery_cameras is None:
            return rows, columns, np.ones(len(rows), dtype=bool)
        return rows, columns, self.gallery_cameras[columns] != self.query_cameras[first + rows]


def relevance(
    query_ids: Labels,
    gallery_ids: Labels,
    query_cameras: Labels | None = None,
    gallery_cameras: Labels | None = None,
    protocol: Protocol = STANDARD,
) -> GroundTruth:
    """The `GroundTruth` of labels under a protocol. Raises DCALError for labels that do not fit each other."""
    queries, gallery = labels("query_ids", query_ids), labels("gallery_ids", gallery_ids)
    check_kinds("ids", queries, gallery)
    if (query_cameras is None) != (gallery_cameras is None):
        missing = "query_cameras" if query_cameras is None else "gallery_cameras"
        raise DCALError(f"{missing} are missing: give the cameras of both sides, or of neither")
    kept = np.flatnonzero(~is_junk(gallery, protocol))
    if not len(kept) or not len(queries):
        raise DCALError(
            f"nothing to rank: {len(queries)} queries, {len(kept)} of {len(gallery)} gallery images no junk"
        )
    if count := int(is_junk(queries, protocol).sum()):
        raise DCALError(f"{count} queries have the identity {protocol.junk!r}, which marks junk (Protocol.junk)")
    names, identities = np.unique(gallery[kept], return_inverse=True)
    by_identity = np.argsort(identities, kind="stable")
    ends = np.bincount(identities, minlength=len(names)).cumsum()
    place = np.searchsorted(names, queries).clip(max=len(names) - 1)
    present = names[place] == queries
    start, end = np.where(present, np.append(0, ends)[place], 0), np.where(present, ends[place], 0)
    cameras: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
    if query_cameras is not None and gallery_cameras is not None and protocol.exclude_same_camera:
        cameras = paired_cameras(query_cameras, gallery_cameras, len(queries), kept, len(gallery))
    return GroundTruth(kept, identities, by_identity, start, end, *cameras)


def paired_cameras(
    query: Labels, gallery: Labels, queries: int, kept: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    one, other = labels("query_cameras", query), labels("gallery_cameras", gallery)
    check_kinds("cameras", one, other)
    if len(one) != queries or len(other) != size:
        raise DCALError(f"{queries} queries and {size} gallery images, but {len(one)} and {len(other)} cameras")
    return one, other[kept]


def labels(what: str, values: Labels) -> Shaped[np.ndarray, " n"]:
    """Identities or cameras as an array of integers or of text. Raises DCALError for anything else."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuUT":
        if array.dtype.kind == "O" and array.ndim == 1 and all(isinstance(value, str) for value in array):
            return array.astype(str)  # pandas' columns of text
        raise DCALError(f"{what} must be one integer or text per image, got {array.dtype} of shape {array.shape}")
    return array


def check_kinds(what: str, query: np.ndarray, gallery: np.ndarray) -> None:
    if (query.dtype.kind in "iu") != (gallery.dtype.kind in "iu"):
        raise DCALError(f"query {what} are {query.dtype}, gallery {what} {gallery.dtype}: none could be equal")


def is_junk(identities: Shaped[np.ndarray, " n"], protocol: Protocol) -> Bool[np.ndarray, " n"]:
    """Which identities are `protocol.junk`."""
    if protocol.junk is None:
        return np.zeros(len(identities), dtype=bool)
    if identities.dtype.kind in "iu":
        if isinstance(protocol.junk, str):
            raise DCALError(f"Protocol.junk is the text {protocol.junk!r}, but the identities are numbers")
        return identities == protocol.junk
    return identities == str(protocol.junk)

"""Re-identification's evaluation: how well a model's embeddings rank a gallery, branch by branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from dcal.data.reid.base import ReIDRecord
from dcal.errors import DCALError
from dcal.evaluation.classification import interleaved
from dcal.intervals import mean_interval
from dcal.model.embeddings import Embeddings
from dcal.retrieval import STANDARD, Protocol, Quality, Reranking, evaluate_rows


def prefix(branch: str) -> str:
    """What the names of a branch's figures begin with."""
    return "" if branch == "joined" else f"{branch}_"


HARDEST = 10  # identities that are listed


@dataclass(frozen=True, eq=False)
class BranchQualities:
    """What every way of comparing is worth: "joined", the paper's, and "sa" and "glca" by themselves."""

    qualities: dict[str, Quality]

    def summary(self) -> dict[str, float | int]:
        """{queries, skipped, mAP, mINP, rank1, rank5, rank10} of the joined embedding, and sa_mAP … of each branch."""
        found: dict[str, float | int] = {}
        for branch, quality in self.qualities.items():
            own = quality.summary()
            counts = {name: own.pop(name) for name in ("queries", "skipped")}
            found |= counts if branch == "joined" else {}
            found |= {prefix(branch) + name: value for name, value in own.items()}
        return found


@dataclass(frozen=True)
class QueryGallery:
    """Queries and gallery of one evaluation. `images` holds each image once, though it may stand on both sides.

    With `one_camera`, all images are of one camera or cameras are unknown, and matches by the query's own camera count.
    """

    query: tuple[ReIDRecord, ...]
    gallery: tuple[ReIDRecord, ...]
    one_camera: bool = False

    @property
    def images(self) -> tuple[ReIDRecord, ...]:
        return tuple({record.path: record for record in (*self.query, *self.gallery)}.values())

    @property
    def mixed(self) -> bool:
        """Whether the gallery has images of a query's own camera, and each query a camera beside its own."""
        if self.one_camera:
            return False
        query, gallery = ({record.camera for record in side} for side in (self.query, self.gallery))
        return bool(query & gallery) and len(gallery) > 1

    def check(self) -> None:
        """Raises DCALError, saying what to do, if no query has a match."""
        cameras = {record.path: camera for record, camera in zip(self.images, self.cameras.tolist(), strict=True)}
        seen: dict[int, set[int]] = {}
        for record in self.gallery:
            seen.setdefault(record.identity, set()).add(cameras[record.path])
        if any(seen.get(record.identity, set()) - {cameras[record.path]} for record in self.query):
            return
        there = any(record.identity in seen for record in self.query)
        why = "by another camera. If all images are of one camera, use --one-camera" if there else "in the gallery"
        raise DCALError(f"none of the {len(self.query)} queries has a match {why}")

    @property
    def cameras(self) -> Int64[np.ndarray, " images"]:
        """The cameras of `images`; with `one_camera` each image's own number, so that none but itself is left out."""
        return np.array([place if self.one_camera else record.camera for place, record in enumerate(self.images)])

    def judge(
        self, found: Embeddings, protocol: Protocol = STANDARD, rerank: Reranking | None = None
    ) -> BranchQualities:
        """The quality of rankings by the embeddings of `images`, in that order. `rerank`: see `dcal.retrieval`.

        Raises DCALError if no query has a match.
        """
        query, gallery = self.rows()

        def quality(values: Float32[np.ndarray, "n d"]) -> Quality:
            return self.quality(values, query, gallery, protocol, rerank)

        return BranchQualities({branch: quality(values) for branch, values in found.branches().items()})

    def judge_across(self, found: Embeddings, protocol: Protocol = STANDARD) -> BranchQualities:
        """`judge`, each query among the images of the other cameras alone.

        The standard protocol leaves the query's own camera to all other identities, so that another identity on
        the same background can rank before every match. Queries come camera by camera.
        """
        query, gallery = self.rows()
        cameras = np.array([record.camera for record in self.images])

        identities = np.array([record.identity for record in self.images])

        def by_camera(values: Float32[np.ndarray, "n d"], camera: int) -> Quality:
            chosen, others = query[cameras[query] == camera], gallery[cameras[gallery] != camera]
            if not np.isin(identities[chosen], identities[others]).any():  # none was seen by another
                return unmatched(len(chosen), protocol)
            return self.quality(values, chosen, others, protocol)

        def quality(values: Float32[np.ndarray, "n d"]) -> Quality:
            parts = [by_camera(values, camera) for camera in np.unique(cameras[query]).tolist()]
            return Quality(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Quality)))

        return BranchQualities({branch: quality(values) for branch, values in found.branches().items()})

    def rows(self) -> tuple[Int64[np.ndarray, " q"], Int64[np.ndarray, " g"]]:
        """Where the queries and the gallery are among `images`."""
        place = {record.path: index for index, record in enumerate(self.images)}
        query, gallery = (np.array([place[r.path] for r in side]) for side in (self.query, self.gallery))
        return query, gallery

    def quality(
        self,
        values: Float32[np.ndarray, "n d"],
        query: Int64[np.ndarray, " q"],
        gallery: Int64[np.ndarray, " g"],
        protocol: Protocol = STANDARD,
        rerank: Reranking | None = None,
    ) -> Quality:
        """Of the rankings of some of the images by others, from the images' embeddings."""
        identities = np.array([record.identity for record in self.images])
        return evaluate_rows(values, query, gallery, identities, self.cameras, protocol, rerank=rerank)


def unmatched(queries: int, protocol: Protocol) -> Quality:
    """The quality of rankings in which there is nothing to find."""
    none, zeros = np.full(queries, np.nan), np.zeros(queries, dtype=np.int64)
    return Quality(none, none, zeros, zeros, np.full((queries, protocol.max_rank), np.nan))


def ranked_figures(found: BranchQualities, sides: QueryGallery, names: dict[int, str], seed: int = 0) -> dict[str, Any]:
    """All figures of one evaluation, JSON-ready; shares are fractions.

    `BranchQualities.summary`'s keys; `intervals` under the same keys; `per_camera`, each camera's means;
    `hardest`, the identities with the lowest mean AP. The last two are by the joined embedding. `names` maps identities
    to what the data set's files call them.
    """
    whole = found.qualities["joined"]
    counted = np.flatnonzero(whole.matches > 0)
    identities = np.array([record.identity for record in sides.query])[counted]
    cameras = np.array([record.camera for record in sides.query])[counted]
    ap, first = whole.ap[counted], whole.hits[counted, 0]
    of_identity = sorted((float(ap[identities == own].mean()), int(own)) for own in np.unique(identities))
    return {
        **found.summary(),
        "intervals": intervals(found, seed),
        "per_camera": [
            {
                "camera": int(own),
                "queries": int(here.sum()),
                "mAP": float(ap[here].mean()),
                "rank1": float(first[here].mean()),
            }
            for own in np.unique(cameras)
            for here in [cameras == own]
        ],
        "hardest": [
            {"identity": names[own], "queries": int((identities == own).sum()), "mAP": mean}
            for mean, own in of_identity[:HARDEST]
        ],
    }


def intervals(found: BranchQualities, seed: int) -> dict[str, list[float]]:
    """The 95 % interval of every share in `BranchQualities.summary`, by its name: queries drawn anew with replacement.

    A query without a match is none to draw. Queries of one identity are alike, so the truth is somewhat wider.
    """
    wide: dict[str, list[float]] = {}
    for branch, quality in found.qualities.items():
        counted = quality.matches > 0
        columns = {"mAP": quality.ap, "mINP": quality.inp}
        columns |= {f"rank{k}": quality.hits[:, k - 1] for k in (1, 5, 10) if k <= quality.hits.shape[1]}
        for name, values in columns.items():
            low, high = mean_interval(values[counted].astype(np.float64), seed)
            if not np.isnan(low):  # one query has no spread
                wide[prefix(branch) + name] = [low, high]
    return wide


def joined_embeddings(parts: Sequence[Embeddings]) -> Embeddings:
    """One of several, each a process's share of the images as `interleaved` has them."""
    glca = [part.glca for part in parts if part.glca is not None]
    more = {name: interleaved([part.more[name] for part in parts]) for name in parts[0].more}
    return Embeddings(interleaved([part.sa for part in parts]), interleaved(glca) if glca else None, more)

"""Re-identification's evaluation: how well a model's embeddings rank a gallery, branch by branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from dcal.data.reid import ReIDRecord
from dcal.embedding import Embeddings
from dcal.evaluate import interleaved
from dcal.intervals import mean_interval
from dcal.retrieval import STANDARD, Protocol, Quality, Reranking, evaluate_features

PREFIXES = {"joined": "", "sa": "sa_", "glca": "glca_"}  # of the figures' names
HARDEST = 10  # identities that are listed


@dataclass(frozen=True, eq=False)
class Ranked:
    """What every way of comparing is worth: "joined", the paper's, and "sa" and "glca" by themselves."""

    qualities: dict[str, Quality]

    def summary(self) -> dict[str, float | int]:
        """{queries, skipped, mAP, mINP, rank1, rank5, rank10} of the joined embedding, and sa_mAP … of each branch."""
        found: dict[str, float | int] = {}
        for branch, quality in self.qualities.items():
            own = quality.summary()
            counts = {name: own.pop(name) for name in ("queries", "skipped")}
            found |= counts if branch == "joined" else {}
            found |= {PREFIXES[branch] + name: value for name, value in own.items()}
        return found


@dataclass(frozen=True)
class Sides:
    """Queries and gallery of one evaluation. `photos` holds each photo once, though it may stand on both sides."""

    query: tuple[ReIDRecord, ...]
    gallery: tuple[ReIDRecord, ...]

    @property
    def photos(self) -> tuple[ReIDRecord, ...]:
        return tuple({record.path: record for record in (*self.query, *self.gallery)}.values())

    @property
    def mixed(self) -> bool:
        """Whether the gallery has pictures of a query's own camera, and each query a camera beside its own."""
        query, gallery = ({record.camera for record in side} for side in (self.query, self.gallery))
        return bool(query & gallery) and len(gallery) > 1

    def judge(self, found: Embeddings, protocol: Protocol = STANDARD, rerank: Reranking | None = None) -> Ranked:
        """The quality of rankings by the embeddings of `photos`, in that order. `rerank`: see `dcal.retrieval`.

        Raises DCALError if no query has a match.
        """
        query, gallery = self.rows()

        def quality(values: Float32[np.ndarray, "n d"]) -> Quality:
            return self.quality(values, query, gallery, protocol, rerank)

        return Ranked({branch: quality(values) for branch, values in found.branches().items()})

    def judge_across(self, found: Embeddings, protocol: Protocol = STANDARD) -> Ranked:
        """`judge`, each query among the pictures of the other cameras alone.

        The standard protocol leaves the query's own camera to all other identities, so that who looks alike before the
        same background stands in front of every match. Queries come camera by camera.
        """
        query, gallery = self.rows()
        cameras = np.array([record.camera for record in self.photos])

        def quality(values: Float32[np.ndarray, "n d"]) -> Quality:
            parts = [
                self.quality(values, query[cameras[query] == own], gallery[cameras[gallery] != own], protocol)
                for own in np.unique(cameras[query])
            ]
            return Quality(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Quality)))

        return Ranked({branch: quality(values) for branch, values in found.branches().items()})

    def rows(self) -> tuple[Int64[np.ndarray, " q"], Int64[np.ndarray, " g"]]:
        """Where the queries and the gallery are among `photos`."""
        place = {record.path: index for index, record in enumerate(self.photos)}
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
        """Of the rankings of some of the photos by others, from the photos' embeddings."""
        identities = np.array([record.identity for record in self.photos])
        cameras = np.array([record.camera for record in self.photos])
        if not np.isin(identities[query], identities[gallery]).any():  # a camera whose vehicles no other one has seen
            return unmatched(len(query), protocol)
        who = (identities[query], identities[gallery], cameras[query], cameras[gallery])
        return evaluate_features(values[query], values[gallery], *who, protocol=protocol, rerank=rerank)


def unmatched(queries: int, protocol: Protocol) -> Quality:
    """The quality of rankings in which there is nothing to find."""
    none, zeros = np.full(queries, np.nan), np.zeros(queries, dtype=np.int64)
    return Quality(none, none, zeros, zeros, np.full((queries, protocol.max_rank), np.nan))


def ranked_figures(found: Ranked, sides: Sides, names: dict[int, str], seed: int = 0) -> dict[str, Any]:
    """All figures of one evaluation, JSON-ready; shares are fractions.

    `Ranked.summary`'s keys; `intervals` under the same keys; `per_camera`, the means over each camera's queries;
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


def intervals(found: Ranked, seed: int) -> dict[str, list[float]]:
    """The 95 % interval of every share in `Ranked.summary`, under its name: queries drawn again with replacement.

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
                wide[PREFIXES[branch] + name] = [low, high]
    return wide


def joined_embeddings(parts: Sequence[Embeddings]) -> Embeddings:
    """One of several, each a process's share of the photos as `interleaved` has them."""
    glca = [part.glca for part in parts if part.glca is not None]
    return Embeddings(interleaved([part.sa for part in parts]), interleaved(glca) if glca else None)

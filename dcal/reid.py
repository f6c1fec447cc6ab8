"""Re-identification's evaluation: how well a model's embeddings rank a gallery, branch by branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcal.data.reid import ReIDRecord
from dcal.embedding import Embeddings
from dcal.evaluate import interleaved
from dcal.retrieval import STANDARD, Protocol, Quality, Reranking, evaluate_features

PREFIXES = {"joined": "", "sa": "sa_", "glca": "glca_"}  # of the figures' names


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

    def judge(self, found: Embeddings, protocol: Protocol = STANDARD, rerank: Reranking | None = None) -> Ranked:
        """The quality of rankings by the embeddings of `photos`, in that order. `rerank`: see `dcal.retrieval`.

        Raises DCALError if no query has a match.
        """
        place = {record.path: index for index, record in enumerate(self.photos)}
        rows = [np.array([place[record.path] for record in side]) for side in (self.query, self.gallery)]
        identities = [[record.identity for record in side] for side in (self.query, self.gallery)]
        cameras = [[record.camera for record in side] for side in (self.query, self.gallery)]
        return Ranked(
            {
                branch: evaluate_features(
                    *(values[own] for own in rows), *identities, *cameras, protocol=protocol, rerank=rerank
                )
                for branch, values in found.branches().items()
            }
        )


def joined_embeddings(parts: Sequence[Embeddings]) -> Embeddings:
    """One of several, each a process's share of the photos as `interleaved` has them."""
    glca = [part.glca for part in parts if part.glca is not None]
    return Embeddings(interleaved([part.sa for part in parts]), interleaved(glca) if glca else None)

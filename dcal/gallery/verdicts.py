"""Which images of a gallery are right answers to a query, by the rule of `dcal.retrieval`'s protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from dcal.gallery.base import Gallery
from dcal.gallery.exact import Candidates, cosines
from dcal.retrieval import Protocol, Quality, evaluate
from dcal.retrieval.protocol import relevance

Verdict = Literal["match", "wrong", "junk"]


@dataclass(frozen=True)
class QueryInfo:
    """What is known of a query. `path`: it is the gallery's own image of that path, which is then never its answer."""

    identity: str | None = None
    camera: str | None = None
    path: str | None = None
    viewpoint: str | None = None


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdict on each image for one query. Junk: by the protocol, or if its identity is unknown."""

    names: Shaped[np.ndarray, " n"]  # Verdict of each image; of one that was not admitted, junk
    judged: Int64[np.ndarray, " m"]  # the images that `arguments` lists
    arguments: dict[str, Any]  # of `evaluate` and `relevance`

    @classmethod
    def of(cls, gallery: Gallery, admitted: Bool[np.ndarray, " n"], known: QueryInfo, protocol: Protocol) -> Verdicts:
        """The verdicts on the images that are admitted, for a query whose identity is known."""
        judged = np.flatnonzero(admitted & (gallery.labels.identities.numbers >= 0))
        items = [gallery.items[index] for index in judged.tolist()]
        arguments: dict[str, Any] = {"query_ids": [known.identity], "gallery_ids": [item.identity for item in items]}
        if known.camera is not None:  # an unknown camera equals no other: the empty name
            cameras = [item.camera or "" for item in items]
            arguments |= {"query_cameras": [known.camera], "gallery_cameras": cameras}
        arguments["protocol"] = protocol
        names = np.full(len(gallery), "junk", dtype=object)
        if items:
            truth = relevance(**arguments)
            _, columns, matches = truth.of(0, 1)
            names[judged[truth.kept]] = "wrong"
            names[judged[truth.kept[columns]]] = np.where(matches, "match", "junk")
        return cls(names, judged, arguments)

    @property
    def matches(self) -> int:
        return int((self.names == "match").sum())

    def least_match(self, gallery: Gallery, embedding: Float32[np.ndarray, " d"]) -> float:
        """The cosine of the match that is least similar to the query; ∞ where there is none."""
        own = np.flatnonzero(self.names == "match")
        return float(cosines(gallery.rows(own), embedding).min()) if len(own) else np.inf

    def quality(self, found: Candidates) -> Quality | None:
        """The quality of a ranking that reaches down to the last match; None where there is none."""
        if not self.matches:
            return None
        distances = np.full(len(self.names), len(self.names), dtype=np.int64)  # beyond the candidates: last
        distances[found.indices] = np.arange(len(found.indices))  # their order is exact, equals by index
        return evaluate(distances[None, self.judged], **self.arguments)

"""Every pair of the yard's twins by itself: is it told apart, and does the evidence lie on the part that differs?

The measures are those of `dcal.analysis.twins`, pair by pair and for one question each, so that a page can list them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from dcal.analysis.twins import OnPart, on_part, pairs_of, questions, told_apart
from dcal.data.reid.yard import YardRecord
from dcal.explain.match import Match, explain_match
from dcal.model.dcal import DCAL

Question = tuple[YardRecord, YardRecord, YardRecord]  # a query, its own vehicle by another camera, the twin by that one


@dataclass(frozen=True)
class TwinPair:
    """Two vehicles, the part in which they differ, and a question about them; None where no two cameras see it."""

    identities: tuple[int, int]
    differs: str
    question: Question | None


def twin_pairs(records: Sequence[YardRecord], seed: int = 0) -> list[TwinPair]:
    """The pairs in order; questions are the first that `questions` draws by `seed`, of images that show the part."""
    found = []
    for own in pairs_of(records):
        seeing = [records[index] for index in own if records[index].visible]
        asked = questions(seeing, seed)
        first, second = sorted({records[index].identity for index in own})
        found.append(TwinPair((first, second), records[own[0]].differs, asked[0] if asked else None))
    return found


def told_apart_by_pair(
    records: Sequence[YardRecord], embeddings: Float32[np.ndarray, "n d"]
) -> dict[tuple[int, int], float]:
    """{pair: the share of (query, other camera) where the vehicle is nearer to itself than to its twin}.

    `embeddings`, of length 1, are those of the records. nan where no two cameras see the part.
    """
    found = {}
    for own in pairs_of(records):
        first, second = sorted({records[index].identity for index in own})
        seen = {index: records[index] for index in own if records[index].visible}
        found[first, second] = told_apart(seen, embeddings)
    return found


def on_difference(model: DCAL, question: Question) -> tuple[Match, OnPart]:
    """(why the query is its own vehicle rather than the twin, what of the query's evidence for that lies on the part).

    By the fused embedding; what speaks for the twin does not count.
    """
    query, same, twin = question
    match = explain_match(model, query.path, same.path, against=twin.path)
    return match, on_part(query, match.query, match.evidence().query_map.clip(min=0))

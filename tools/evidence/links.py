"""Do linked patches show the same part of a vehicle? The yard's masks know which part every pixel shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int

from dcal.analysis.pairs import Triple
from dcal.data.reid.base import ReIDRecord
from dcal.data.reid.yard import YardRecord
from dcal.data.yard_table import PARTS
from dcal.explain.inspect import inspect
from dcal.explain.inspection import Inspection
from dcal.explain.match import Evidence, explain_match, mean_token
from dcal.model.dcal import DCAL

LINKS = 10  # the strongest of each pair
OTHERS = 6  # images whose mean token stands for a gallery's
Links = Sequence[tuple[int, int, float]]
BY_LOT = "two patches of the vehicles by lot"


def same_part(model: DCAL, triples: Sequence[Triple]) -> dict[str, list[float]]:
    """{way of linking: of every pair, the share of its strongest links whose ends show the same part of a vehicle}."""
    seen = {own.path: inspect(model, own.path) for triple in triples for own in (triple.query, triple.match)}
    mean = mean_token(model, [inspect(model, triple.other.path) for triple in triples[:OTHERS]])
    found: dict[str, list[float]] = {}
    for triple in triples:
        query, match = seen[triple.query.path], seen[triple.match.path]
        parts = part_of_patches(triple.query, query), part_of_patches(triple.match, match)
        for name, links in ways(model, query, match, mean).items():
            found.setdefault(name, []).append(share_of_same(links, *parts))
        found.setdefault(BY_LOT, []).append(chance(*parts))
    return found


def ways(model: DCAL, query: Inspection, match: Inspection, mean: Float32[np.ndarray, " width"]) -> dict[str, Links]:
    """The strongest links by every way that was tried, the first being the one that is taken."""
    centred = explain_match(model, query, match).evidence("fused")
    plain = explain_match(model, query, match, token_mean=np.zeros_like(mean)).evidence("fused")
    gallery = explain_match(model, query, match, token_mean=mean).evidence("fused")
    return {
        "**mutual nearest, by relevance of both sides × cosine, centred on both images' mean**": centred.links(LINKS),
        f"centred on the mean of {OTHERS} other images": gallery.links(LINKS),
        "not centred": plain.links(LINKS),
        "mutual nearest, by the cosine alone, centred": without_relevance(centred).links(LINKS),
        "by the cosine alone, not centred": without_relevance(plain).links(LINKS),
    }


def without_relevance(evidence: Evidence) -> Evidence:
    even = np.ones_like(evidence.query_map)
    return replace(evidence, query_map=even, match_map=even)


def part_of_patches(record: ReIDRecord, seen: Inspection) -> Int[np.ndarray, " p"]:
    """The part that most of a patch's pixels show, an index of PARTS; 0 is the background."""
    assert isinstance(record, YardRecord)  # other data has no masks
    parts, (left, top, right, bottom) = record.parts(), (round(edge) for edge in seen.box)
    rows, cols = seen.layout.rows, seen.layout.cols
    cells = parts[top:bottom, left:right].reshape(rows, (bottom - top) // rows, cols, (right - left) // cols)
    flat = cells.transpose(0, 2, 1, 3).reshape(rows * cols, -1)
    return np.array([np.bincount(cell, minlength=len(PARTS)).argmax() for cell in flat])


def share_of_same(links: Links, query: Int[np.ndarray, " p"], match: Int[np.ndarray, " p"]) -> float:
    """Of the links, those whose ends show one part; on the background nothing is shown. 0 without links."""
    return float(np.mean([query[i] == match[j] and query[i] > 0 for i, j, _ in links])) if links else 0.0


def chance(query: Int[np.ndarray, " p"], match: Int[np.ndarray, " p"]) -> float:
    """How often two patches of the vehicles, one from each image, show the same part."""
    one, two = (np.bincount(own[own > 0], minlength=len(PARTS)) for own in (query, match))
    return float((one / one.sum()) @ (two / two.sum()))

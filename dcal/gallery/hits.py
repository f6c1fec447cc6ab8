"""The images that a query found, in order: with ranks, verdicts and probabilities, image by image or by identity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int64

from dcal.gallery.base import Gallery
from dcal.gallery.exact import Candidates
from dcal.gallery.item import Item
from dcal.gallery.verdicts import Verdict, Verdicts
from dcal.retrieval.calibration import TOP


@dataclass(frozen=True)
class Hit:
    """One image that was found.

    `verdict`, None unless the query's identity is known: "match", "wrong", or "junk", which is neither (the same
    identity from the query's own camera, junk by the data set's mark, an image of unknown identity). `rank`
    counts from 1 as the protocol does: junk has none. `probability` is that of the same identity, by the gallery's
    calibration; None without one, and beyond the ten most similar images that it was fitted for. `images`: how many of
    its identity it stands for, where a ranking has one image of each.
    """

    index: int  # into the gallery's items
    item: Item
    similarity: float  # cosine, in [-1, 1]
    rank: int | None
    verdict: Verdict | None = None
    probability: float | None = None
    images: int = 1


def probabilities(
    gallery: Gallery,
    indices: Int64[np.ndarray, " m"],
    similarities: Float32[np.ndarray, " m"],
    camera: str | None = None,
) -> dict[int, float]:
    """{index: the probability of the query's identity} of the ten most similar images, and of the ten of other cameras.

    Images are given most similar first. `camera` is the query's, None where unknown; then none is of another.
    """
    if gallery.calibration is None:
        return {}
    found: dict[int, float] = {}
    shown = {True: 0, False: 0}  # images of other cameras, and all, so far
    theirs = [None] * len(indices) if camera is None else [item.camera for item in gallery.items_at(indices)]
    for index, own, similarity in zip(indices.tolist(), theirs, similarities.tolist(), strict=True):
        other = None not in (camera, own) and own != camera
        shown[False] += 1
        shown[True] += other
        if shown[other] <= TOP:
            found[index] = gallery.calibration.probability(similarity, other)
        if min(shown.values()) >= TOP:
            break
    return found


def listed(
    gallery: Gallery, found: Candidates, verdicts: Verdicts | None, probable: Mapping[int, float]
) -> tuple[Hit, ...]:
    """Images in order as hits. Ranks count what is no junk."""
    hits, rank, items = [], 0, gallery.items_at(found.indices)
    for index, item, similarity in zip(found.indices.tolist(), items, found.similarities.tolist(), strict=True):
        verdict = None if verdicts is None else verdicts.names[index]
        rank += verdict != "junk"
        own = None if verdict == "junk" else rank
        hits.append(Hit(index, item, similarity, own, verdict, probable.get(index)))
    return tuple(hits)


def one_per_identity(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The first hit of each identity that is no junk, at its own rank, `images` of that identity counted.

    Junk stands for an identity of which there is nothing else; every image of unknown identity for itself.
    """
    counts = Counter(hit.item.identity for hit in hits)
    chosen: dict[str, Hit] = {}
    for hit in hits:
        if (identity := hit.item.identity) is not None:
            kept = chosen.setdefault(identity, hit)
            if kept.verdict == "junk" != hit.verdict:
                chosen[identity] = hit
    indices = {hit.index for hit in chosen.values()}
    return tuple(
        hit if hit.item.identity is None else replace(hit, images=counts[hit.item.identity])
        for hit in hits
        if hit.item.identity is None or hit.index in indices
    )

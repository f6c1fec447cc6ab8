"""One query's ranking of a gallery, judged where it can be: the result that the apps and the command line show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from dcal.errors import DCALError
from dcal.gallery.base import Choice, Gallery
from dcal.gallery.exact import Candidates, cosines
from dcal.gallery.hits import Hit, listed, one_per_identity, probabilities
from dcal.gallery.query import Single, probably_new, together
from dcal.gallery.verdicts import QueryInfo, Verdicts
from dcal.model.exported import Model
from dcal.retrieval import STANDARD, Protocol, Quality, Reranking, rerank

NOTHING_KNOWN = QueryInfo()
MOST_RERANKED = 20_000  # images: re-ranking compares each with each, which takes half a minute for so many


@dataclass(frozen=True, eq=False)
class Ranking:
    """The results of a query, best first, and their quality by the protocol.

    `quality` is `dcal.retrieval.evaluate`'s over all images that the filters admit, not only those in `hits`; it is
    None where the query's identity is not known, and where the images have no match. `probably_new`, with a
    calibration: no admitted image of another (or unknown) camera reaches its threshold. How often that is wrong, either
    way, is in `dcal eval --task reid`.
    """

    known: QueryInfo
    hits: tuple[Hit, ...]
    candidates: int  # images that the filters admit, the query itself not counted
    matches: int | None  # matches among them; None where the query's identity is not known
    quality: Quality | None
    embedding: Float32[np.ndarray, " d"]  # the query's
    probably_new: bool | None = None  # the query's identity is probably not in the gallery; None: cannot be told
    reranked: bool = False  # whether the order is that of re-ranking; similarities are cosines in any case

    @property
    def ap(self) -> float | None:
        """The query's average precision, a fraction."""
        return None if self.quality is None else float(self.quality.ap[0])

    @property
    def first(self) -> int | None:
        """The rank of the first match, from 1, junk not counted."""
        return None if self.quality is None else int(self.quality.first[0])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: {query, candidates, matches, ap, first, probably_new, reranked, hits}; hits have their items'
        keys too."""
        names = ("rank", "similarity", "probability", "verdict", "index", "images")
        hits = [{name: getattr(hit, name) for name in names} | vars(hit.item) for hit in self.hits]
        judged = {"candidates": self.candidates, "matches": self.matches, "ap": self.ap, "first": self.first}
        judged |= {"probably_new": self.probably_new, "reranked": self.reranked}
        return {"query": vars(self.known), **judged, "hits": hits}


def rank(
    gallery: Gallery,
    query: Single | Sequence[Single],
    model: Model | None = None,
    *,
    k: int = 10,
    known: QueryInfo = NOTHING_KNOWN,
    cameras: Collection[str | None] | None = None,
    identities: Collection[str | None] | None = None,
    viewpoints: Collection[str | None] | None = None,
    leave_out_junk: bool = False,
    per_identity: bool = False,
    reranking: Reranking | None = None,
    protocol: Protocol = STANDARD,
) -> Ranking:
    """The k images of a gallery nearest to a query, and what that ranking is worth.

    The query is an image (then `model` embeds it), a record of `dcal.inspect`, an embedding (d,), or an item of the
    gallery, whose identity and camera are known and which is itself excluded; or a list of these, whose mean embedding
    is the query. `known` holds what is known of any other. Junk is among the hits, marked, unless `leave_out_junk`; it
    is out of `quality` in any case. `cameras`, `identities` and `viewpoints` restrict both to images of these, and of
    unknown ones if None is among them. `per_identity` keeps the best image of each identity among the hits. With
    `reranking`, the admitted images are put in the order of `dcal.retrieval.rerank`. Raises DCALError where the model
    or the record is of other weights than the gallery, for more than `MOST_RERANKED` images to re-rank, and what
    `Gallery.search` raises.
    """
    if k < 1:
        raise DCALError(f"k must be at least 1, got {k}")
    queries: Sequence[Any] = query if isinstance(query, list | tuple) else [query]
    embedding, known, own = together(gallery, queries, model, known)
    choice = gallery.choose(cameras, identities)
    admitted = admit(gallery, choice, viewpoints, own)
    verdicts = None if known.identity is None else Verdicts.of(gallery, admitted, known, protocol)
    shown = admitted if verdicts is None or not leave_out_junk else admitted & (verdicts.names != "junk")
    if reranking is None:
        least = np.inf if verdicts is None else verdicts.least_match(gallery, embedding)
        found = gallery.down_to(embedding, least, choice.size if per_identity else k + hidden(choice, shown), choice)
    else:
        found = reranked(gallery, embedding, admitted, reranking)
    kept = only(found, shown)
    probable = probabilities(gallery, *by_similarity(kept), known.camera)
    hits = listed(gallery, kept if per_identity else first(kept, k), verdicts, probable)
    matches, worth = (None, None) if verdicts is None else (verdicts.matches, verdicts.quality(found))
    new = probably_new(gallery, embedding, own, known.camera, cameras, identities)
    return Ranking(
        known,
        one_per_identity(hits)[:k] if per_identity else hits,
        int(admitted.sum()),
        matches,
        worth,
        embedding,
        new,
        reranking is not None,
    )


def admit(
    gallery: Gallery, choice: Choice, viewpoints: Collection[str | None] | None, own: Collection[str]
) -> Bool[np.ndarray, " n"]:
    """Which images may be found: those of the choice and of the viewpoints, but for the query's own."""
    admitted = np.ones(len(gallery), dtype=bool) if choice.mask is None else choice.mask.copy()
    if viewpoints is not None:
        admitted &= gallery.labels.viewpoints.are(viewpoints)
    for path in own:
        if (index := gallery.index_of(path)) is not None:
            admitted[index] = False
    return admitted


def reranked(
    gallery: Gallery, embedding: Float32[np.ndarray, " d"], admitted: Bool[np.ndarray, " n"], settings: Reranking
) -> Candidates:
    """The admitted images in the order of re-ranked distances, equals by index; similarities are their cosines."""
    indices = np.flatnonzero(admitted)
    if len(indices) > MOST_RERANKED:
        raise DCALError(
            f"re-ranking compares every image with every other, of {MOST_RERANKED:,} at most; the filters admit "
            f"{len(indices):,}: choose fewer cameras, or rank without it"
        )
    if not len(indices):
        return Candidates(indices, np.empty(0, dtype=np.float32), -np.inf)
    rows = gallery.rows(indices)
    order = np.lexsort((indices, rerank(embedding[None], rows, settings)[0]))
    return Candidates(indices[order], cosines(rows[order], embedding), -np.inf)


def hidden(choice: Choice, shown: Bool[np.ndarray, " n"]) -> int:
    """How many images a search may find that are not to be shown."""
    return choice.size - int(shown.sum())


def only(found: Candidates, shown: Bool[np.ndarray, " n"]) -> Candidates:
    kept = shown[found.indices]
    return found._replace(indices=found.indices[kept], similarities=found.similarities[kept])


def first(found: Candidates, k: int) -> Candidates:
    return found._replace(indices=found.indices[:k], similarities=found.similarities[:k])


def by_similarity(found: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """(indices, similarities), the most similar first, whatever order they came in."""
    order = np.lexsort((found.indices, -found.similarities))
    return found.indices[order], found.similarities[order]

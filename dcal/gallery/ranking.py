"""One query's ranking of a gallery, judged where it can be: the result that the apps and the command line show."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from dcal.errors import DCALError
from dcal.explain.inspection import Inspection
from dcal.gallery.base import Gallery
from dcal.gallery.exact import unit_rows
from dcal.gallery.filters import Exclusion
from dcal.gallery.item import Item
from dcal.gallery.verdicts import QueryInfo, Verdict, Verdicts
from dcal.image import Source, read_image
from dcal.model.dcal import DCAL
from dcal.model.embeddings import embed
from dcal.retrieval import STANDARD, Protocol, Quality
from dcal.retrieval.calibration import TOP

NOTHING_KNOWN = QueryInfo()


@dataclass(frozen=True)
class Hit:
    """One image that was found.

    `verdict`, None unless the query's identity is known: "match", "wrong", or "junk", which is neither (the same
    identity from the query's own camera, junk by the data set's mark, an image of unknown identity). `rank`
    counts from 1 as the protocol does: junk has none. `probability` is that of the same identity, by the gallery's
    calibration; None without one, and beyond the ten most similar images that it was fitted for.
    """

    index: int  # into the gallery's items
    item: Item
    similarity: float  # cosine, in [-1, 1]
    rank: int | None
    verdict: Verdict | None = None
    probability: float | None = None


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

    @property
    def ap(self) -> float | None:
        """The query's average precision, a fraction."""
        return None if self.quality is None else float(self.quality.ap[0])

    @property
    def first(self) -> int | None:
        """The rank of the first match, from 1, junk not counted."""
        return None if self.quality is None else int(self.quality.first[0])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: {query, candidates, matches, ap, first, probably_new, hits}; hits have their items' keys too."""
        names = ("rank", "similarity", "probability", "verdict", "index")
        hits = [{name: getattr(hit, name) for name in names} | vars(hit.item) for hit in self.hits]
        judged = {"candidates": self.candidates, "matches": self.matches, "ap": self.ap, "first": self.first}
        judged |= {"probably_new": self.probably_new}
        return {"query": vars(self.known), **judged, "hits": hits}


def rank(
    gallery: Gallery,
    query: Source | Inspection | Float32[np.ndarray, " d"] | Item,
    model: DCAL | None = None,
    *,
    k: int = 10,
    known: QueryInfo = NOTHING_KNOWN,
    cameras: Collection[str | None] | None = None,
    identities: Collection[str | None] | None = None,
    leave_out_junk: bool = False,
    protocol: Protocol = STANDARD,
) -> Ranking:
    """The k images of a gallery nearest to a query, and what that ranking is worth.

    The query is an image (then `model` embeds it), a record of `dcal.inspect`, an embedding (d,), or an item of the
    gallery, whose identity and camera are known and which is itself excluded. `known` holds what is known of any other.
    Junk is among the hits, marked, unless `leave_out_junk`; it is out of `quality` in any case. `cameras` and
    `identities` restrict both to images of these, and of unknown ones if None is among them. Raises DCALError where the
    model or the record is of other weights than the gallery, and what `Gallery.search` raises.
    """
    if k < 1:
        raise DCALError(f"k must be at least 1, got {k}")
    embedding, known = resolve(gallery, query, model, known)
    choice = gallery.choose(cameras, identities)
    admitted = np.ones(len(gallery), dtype=bool) if choice.mask is None else choice.mask.copy()
    if known.path is not None and (own := gallery.index_of(known.path)) is not None:
        admitted[own] = False
    verdicts = None if known.identity is None else Verdicts.of(gallery, admitted, known, protocol)
    shown = admitted if verdicts is None or not leave_out_junk else admitted & (verdicts.names != "junk")
    least = np.inf if verdicts is None else verdicts.least_match(gallery, embedding)
    found = gallery.down_to(embedding, least, k + choice.size - int(shown.sum()), choice)
    places = np.flatnonzero(shown[found.indices])[:k]
    hits = listed(gallery, found.indices[places], found.similarities[places], verdicts, known.camera)
    matches, worth = (None, None) if verdicts is None else (verdicts.matches, verdicts.quality(found))
    new = probably_new(gallery, embedding, known, cameras, identities)
    return Ranking(known, hits, int(admitted.sum()), matches, worth, embedding, new)


def probably_new(
    gallery: Gallery,
    embedding: Float32[np.ndarray, " d"],
    known: QueryInfo,
    cameras: Collection[str | None] | None,
    identities: Collection[str | None] | None,
) -> bool | None:
    """`Ranking.probably_new`: the most similar image decides, the query's own camera and the query itself left out."""
    if gallery.calibration is None:
        return None
    if known.camera is not None:
        among = (*gallery.cameras, None) if cameras is None else cameras
        cameras = [camera for camera in among if camera != known.camera]
    best = gallery.search(embedding[None], 1, cameras=cameras, identities=identities, exclude=[Exclusion(known.path)])
    if best.indices[0, 0] < 0:  # nothing is left to compare with
        return None
    return bool(best.similarities[0, 0] < gallery.calibration.new_below)


def resolve(
    gallery: Gallery,
    query: Source | Inspection | Float32[np.ndarray, " d"] | Item,
    model: DCAL | None,
    known: QueryInfo,
) -> tuple[Float32[np.ndarray, " d"], QueryInfo]:
    """A query's embedding, of length 1, and what is known of it."""
    if isinstance(query, Item):
        index = gallery.index_of(query.path)
        if index is None:
            raise DCALError(f"the gallery has no image {query.path}: give the file itself")
        own = gallery.items[index]
        return gallery.rows(np.array([index]))[0], QueryInfo(own.identity, own.camera, own.path)
    if isinstance(query, Inspection):
        gallery.check_model(query.fingerprint)
        vector = query.embedding
    elif isinstance(query, np.ndarray) and query.ndim == 1:
        vector = query
    elif model is None:
        raise DCALError("an image needs the model that embeds it")
    else:
        gallery.check_model(model)
        preprocess = model.config.preprocess
        vector = embed(model, [preprocess.tensor(preprocess.render(read_image(query).image))[None]]).joined[0]
    return unit_rows("query embeddings", vector[None], gallery.width)[0], known


def listed(
    gallery: Gallery,
    indices: Int64[np.ndarray, " m"],
    similarities: Float32[np.ndarray, " m"],
    verdicts: Verdicts | None,
    camera: str | None = None,
) -> tuple[Hit, ...]:
    """Images in order as hits. Ranks count what is no junk; `camera` is the query's, None where unknown."""
    names = [None if verdicts is None else verdicts.names[index] for index in indices]
    hits, rank, shown = [], 0, {True: 0, False: 0}  # images of other cameras, and all, so far
    for index, similarity, verdict in zip(indices, similarities, names, strict=True):
        rank += verdict != "junk"
        item, own = gallery.items[index], None if verdict == "junk" else rank
        other = None not in (camera, item.camera) and item.camera != camera
        shown[False] += 1
        shown[True] += other
        probability = None
        if gallery.calibration is not None and shown[other] <= TOP:
            probability = gallery.calibration.probability(float(similarity), other)
        hits.append(Hit(int(index), item, float(similarity), own, verdict, probability))
    return tuple(hits)

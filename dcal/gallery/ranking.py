"""One query's ranking of a gallery, judged where it can be: the record that the apps and the command line draw from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

from dcal import retrieval
from dcal.embedding import embed
from dcal.errors import DCALError
from dcal.gallery.exact import unit_rows
from dcal.gallery.gallery import Gallery
from dcal.gallery.item import Item
from dcal.gallery.labels import Exclusion
from dcal.model import DCAL
from dcal.picture import Source, read_picture
from dcal.record import Inspection
from dcal.retrieval import STANDARD, Protocol, Quality
from dcal.retrieval.protocol import relevance

Verdict = Literal["match", "wrong", "junk"]


@dataclass(frozen=True)
class Known:
    """What is known of a query. `path`: it is the gallery's own image of that path, which is then never its answer."""

    identity: str | None = None
    camera: str | None = None
    path: str | None = None


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Hit:
    """One image that was found.

    `verdict`, None unless the query's identity is known: "match", "wrong", or "junk", which is neither (the same
    identity from the query's own camera, junk by the data set's mark, an image whose identity nobody knows). `rank`
    counts from 1 as the protocol does: junk has none.
    """

    index: int  # into the gallery's items
    item: Item
    similarity: float  # cosine, in [-1, 1]
    rank: int | None
    verdict: Verdict | None = None


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a query found in a gallery, best first, and what that is worth by the protocol.

    `quality` is `dcal.retrieval.evaluate`'s over all images that the filters admit, not only those in `hits`; it is
    None where the query's identity is not known, and where the images have no match.
    """

    known: Known
    hits: tuple[Hit, ...]
    candidates: int  # images that the filters admit, the query itself not counted
    matches: int | None  # matches among them; None where the query's identity is not known
    quality: Quality | None
    embedding: Float32[np.ndarray, " d"]  # the query's

    @property
    def ap(self) -> float | None:
        """The query's average precision, a fraction."""
        return None if self.quality is None else float(self.quality.ap[0])

    @property
    def first(self) -> int | None:
        """The rank of the first match, from 1, junk not counted."""
        return None if self.quality is None else int(self.quality.first[0])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: {query, candidates, matches, ap, first, hits: [{rank, similarity, verdict, index, …}]}."""
        hits = [
            {"rank": hit.rank, "similarity": hit.similarity, "verdict": hit.verdict, "index": hit.index}
            | {"identity": hit.item.identity, "camera": hit.item.camera, "path": hit.item.path}
            for hit in self.hits
        ]
        judged = {"candidates": self.candidates, "matches": self.matches, "ap": self.ap, "first": self.first}
        return {"query": vars(self.known), **judged, "hits": hits}


def rank(
    gallery: Gallery,
    query: Source | Inspection | Float32[np.ndarray, " d"] | Item,
    model: DCAL | None = None,
    *,
    k: int = 10,
    known: Known = NOTHING_KNOWN,
    cameras: Collection[str] | None = None,
    identities: Collection[str] | None = None,
    leave_out_junk: bool = False,
    protocol: Protocol = STANDARD,
) -> Ranking:
    """The k images of a gallery nearest to a query, and what that ranking is worth.

    The query is a picture (then `model` embeds it), a record of `dcal.inspect`, an embedding (d,), or an item of the
    gallery, of which all is known and which is left out itself. `known` says what is known of any other. Junk is among
    the hits, marked, unless `leave_out_junk`; it is out of `quality` in any case. `cameras` and `identities` restrict
    both to images of these. Raises DCALError where the model or the record is of other weights than the gallery,
    and what `Gallery.search` raises.
    """
    embedding, known = resolve(gallery, query, model, known)
    mask = gallery.choose(cameras, identities).mask
    admitted = np.ones(len(gallery), dtype=bool) if mask is None else mask
    if known.path is not None and (own := gallery.index_of(known.path)) is not None:
        admitted = admitted & (np.arange(len(gallery)) != own)
    if known.identity is None:
        hits = gallery.search(
            embedding[None], k, cameras=cameras, identities=identities, exclude=[Exclusion(known.path)]
        )
        found = [
            Hit(int(index), gallery.items[index], float(similarity), rank)
            for rank, (index, similarity) in enumerate(zip(hits.indices[0], hits.similarities[0], strict=True), 1)
            if index >= 0
        ]
        return Ranking(known, tuple(found), int(admitted.sum()), None, None, embedding)
    return judged(gallery, embedding, known, admitted, k, leave_out_junk, protocol)


def resolve(
    gallery: Gallery, query: Source | Inspection | Float32[np.ndarray, " d"] | Item, model: DCAL | None, known: Known
) -> tuple[Float32[np.ndarray, " d"], Known]:
    """A query's embedding, of length 1, and what is known of it."""
    if isinstance(query, Item):
        index = gallery.index_of(query.path)
        if index is None:
            raise DCALError(f"the gallery has no image {query.path}: give the file itself")
        own = gallery.items[index]
        return gallery.rows(np.array([index]))[0], Known(own.identity, own.camera, own.path)
    if isinstance(query, Inspection):
        gallery.check_model(query.fingerprint)
        vector = query.embedding
    elif isinstance(query, np.ndarray) and query.ndim == 1:
        vector = query
    else:
        if model is None:
            raise DCALError("a picture needs the model that embeds it")
        gallery.check_model(model)
        preprocess = model.config.preprocess
        vector = embed(model, [preprocess.tensor(preprocess.render(read_picture(query).image))[None]]).joined[0]
    return unit_rows("query embeddings", vector[None], gallery.width)[0], known


def judged(
    gallery: Gallery,
    embedding: Float32[np.ndarray, " d"],
    known: Known,
    admitted: Bool[np.ndarray, " n"],
    k: int,
    leave_out_junk: bool,
    protocol: Protocol,
) -> Ranking:
    """The ranking of a query whose identity is known."""
    similarities = gallery.similarities(embedding)
    labelled = np.flatnonzero(admitted & (gallery.labels.identities.numbers >= 0))
    verdicts = verdicts_of(gallery, labelled, known, protocol)
    shown = admitted & (verdicts != "junk") if leave_out_junk else admitted
    indices = np.flatnonzero(shown)
    order = indices[np.lexsort((indices, -similarities[indices]))][:k]
    counted = np.cumsum(verdicts[order] != "junk")
    hits = tuple(
        Hit(
            int(index),
            gallery.items[index],
            float(similarities[index]),
            None if verdicts[index] == "junk" else int(count),
            verdicts[index],
        )
        for index, count in zip(order, counted, strict=True)
    )
    matches = int((verdicts == "match").sum())
    quality = None
    if matches:
        quality = retrieval.evaluate(
            -similarities[labelled][None], **sides(gallery, labelled, known), protocol=protocol
        )
    return Ranking(known, hits, int(admitted.sum()), matches, quality, embedding)


def verdicts_of(gallery: Gallery, labelled: Int64[np.ndarray, " m"], known: Known, protocol: Protocol) -> np.ndarray:
    """Each image's verdict by the protocol's own rule (`dcal.retrieval.protocol.relevance`)."""
    verdicts = np.full(len(gallery), "junk", dtype=object)
    if len(labelled):
        who = relevance(**sides(gallery, labelled, known), protocol=protocol)
        _, columns, matches = who.of(0, 1)
        verdicts[labelled[who.kept]] = "wrong"
        verdicts[labelled[who.kept[columns]]] = np.where(matches, "match", "junk")
    return verdicts


def sides(gallery: Gallery, labelled: Int64[np.ndarray, " m"], known: Known) -> dict[str, list[str] | None]:
    """The labels of both sides as `dcal.retrieval` takes them. A camera that nobody knows is like no other."""
    items = [gallery.items[index] for index in labelled]
    cameras = known.camera is not None
    return {
        "query_ids": [str(known.identity)],
        "gallery_ids": [str(item.identity) for item in items],
        "query_cameras": [str(known.camera)] if cameras else None,
        "gallery_cameras": [item.camera or "" for item in items] if cameras else None,
    }

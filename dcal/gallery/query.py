"""A query's embedding and what is known of it; several images as one query; is its identity in the gallery at all?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float32

from dcal.errors import DCALError
from dcal.explain.inspection import Inspection
from dcal.gallery.base import Gallery
from dcal.gallery.exact import unit_rows
from dcal.gallery.item import Item
from dcal.gallery.verdicts import QueryInfo
from dcal.image import Source, read_image
from dcal.model.embeddings import embed
from dcal.model.exported import Model

Single = Source | Inspection | Float32[np.ndarray, " d"] | Item


def resolve(
    gallery: Gallery, query: Single, model: Model | None, known: QueryInfo
) -> tuple[Float32[np.ndarray, " d"], QueryInfo]:
    """A query's embedding, of length 1, and what is known of it."""
    if isinstance(query, Item):
        index = gallery.index_of(query.path)
        if index is None:
            raise DCALError(f"the gallery has no image {query.path}: give the file itself")
        (own,) = gallery.items_at(np.array([index]))
        return gallery.rows(np.array([index]))[0], QueryInfo(own.identity, own.camera, own.path, own.viewpoint)
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


def together(
    gallery: Gallery, queries: Sequence[Single], model: Model | None, known: QueryInfo
) -> tuple[Float32[np.ndarray, " d"], QueryInfo, tuple[str, ...]]:
    """Several images as one query: (the mean of their embeddings, what all have in common, the gallery's own paths).

    `known` holds for images that are not the gallery's. Raises DCALError if there is none, or if the mean is zero.
    """
    if not queries:
        raise DCALError("a query needs an image at least")
    found = [resolve(gallery, query, model, known) for query in queries]
    if len(found) == 1:
        own = found[0][1].path
        return *found[0], () if own is None else (own,)
    mean = unit_rows("query embeddings", np.mean([vector for vector, _ in found], axis=0)[None], gallery.width)[0]
    paths = tuple(info.path for _, info in found if info.path is not None)
    return mean, in_common([info for _, info in found]), paths


def in_common(infos: Sequence[QueryInfo]) -> QueryInfo:
    """What is known of all images of a query alike; of one alone, its path too."""
    if len(infos) == 1:
        return infos[0]
    values = ({getattr(info, name) for info in infos} for name in ("identity", "camera", "viewpoint"))
    identity, camera, viewpoint = (own.pop() if len(own) == 1 else None for own in values)
    return QueryInfo(identity, camera, None, viewpoint)


def most_similar(gallery: Gallery, queries: Sequence[Single], index: int) -> int:
    """Which of a query's images is most similar to the gallery's image at `index`; they are records or the gallery's
    own."""
    vectors = np.stack([resolve(gallery, query, None, QueryInfo())[0] for query in queries])
    return int(np.argmax(vectors @ gallery.rows(np.array([index]))[0]))


def probably_new(
    gallery: Gallery,
    embedding: Float32[np.ndarray, " d"],
    own: Collection[str],
    camera: str | None,
    cameras: Collection[str | None] | None,
    identities: Collection[str | None] | None,
) -> bool | None:
    """`Ranking.probably_new`: the most similar image decides, the query's own `camera` and images left out."""
    if gallery.calibration is None:
        return None
    if camera is not None:
        among = (*gallery.cameras, None) if cameras is None else cameras
        cameras = [name for name in among if name != camera]
    best = gallery.search(embedding[None], 1 + len(own), cameras=cameras, identities=identities)
    found = best.indices[0][best.indices[0] >= 0]  # fewer where nothing is left to compare with
    for item, similarity in zip(gallery.items_at(found), best.similarities[0].tolist(), strict=False):
        if item.path not in own:
            return bool(similarity < gallery.calibration.new_below)
    return None

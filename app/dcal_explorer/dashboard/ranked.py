"""The rankings of a re-identification page: each is computed once, for all visitors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dcal.gallery import Hit, QueryInfo, Ranking, rank
from dcal.retrieval import Reranking
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.dashboard.query import Filters, Query
from dcal_explorer.dashboard.sidebar import cached_record, library
from dcal_explorer.dashboard.work import once

MOST = 32  # rankings kept for all visitors: of four checkpoints, eight times
LARGEST = 20_000  # images of a gallery whose rankings are kept: a hit takes some 200 bytes


@dataclass(frozen=True, eq=False)
class Ranked:
    """A ranking of all images that the filters admit, and its hits by their paths."""

    whole: Ranking
    by_path: Mapping[str, Hit]


def ranked(name: str, gallery: GalleryWithMetadata, query: Query, chosen: Filters) -> Ranked:
    """The ranking by one checkpoint. Its gallery's own images are embedded already; another is inspected."""
    item = query.among(gallery)

    def made() -> Ranked:
        known = QueryInfo() if item is None else gallery.query_info(item)
        ranking = rank(
            gallery.embedded,
            cached_record(name, library().version(name), query.image) if item is None else item,
            k=len(gallery.embedded),
            cameras=gallery.cameras(chosen.cameras, known, chosen.across),
            identities=gallery.identities(chosen.models),
            viewpoints=gallery.viewpoints(known, chosen.same_view),
            reranking=Reranking() if chosen.rerank else None,
            per_identity=chosen.per_identity,
        )
        return Ranked(ranking, {hit.item.path: hit for hit in ranking.hits})

    if len(gallery.embedded) > LARGEST:
        return made()
    asked = query.image if item is None else item.path
    return once("rankings", (name, gallery.version, asked, chosen.what()), made, MOST)

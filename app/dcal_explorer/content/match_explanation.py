"""Why one image of a ranking matched the query, as both faces draw and word it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcal import Evidence, Match, draw
from dcal.analysis import on_part
from dcal.data.reid.yard import YardRecord
from dcal.errors import check_choice
from dcal.gallery import Hit, QueryInfo
from dcal_explorer.content import match_captions
from dcal_explorer.content.galleries import GalleryWithMetadata

Region = np.ndarray | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """A hit, its evidence, and the yard's records of query and match where they are one vehicle or twins.

    `other` is the hit that it is held against, if there is one: then the evidence is that of the margin.
    """

    hit: Hit
    match: Match
    pair: tuple[YardRecord, YardRecord] | None = None
    measured: Mapping[str, Any] | None = None  # what the checkpoint's evidence is worth, if that was measured
    other: Hit | None = None

    @property
    def branches(self) -> tuple[str, ...]:
        """The branches to choose from: "fused" where there are several, and each of them."""
        own = tuple(self.match.branches)
        return ("fused", *own) if len(own) > 1 else own

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the patches of either image."""
        return next(iter(self.match.branches.values())).shape

    def resolved(self, branch: str) -> str:
        """The branch that `branch` stands for: the only one, where there is one, for "fused"."""
        return self.branches[0] if branch == "fused" else check_choice("branch", branch, self.branches)

    def evidence(self, branch: str) -> Evidence:
        return self.match.evidence(self.resolved(branch))

    def regions(self) -> tuple[Region, Region]:
        """Where the twins differ in each image, as a mask; None where there is no such pair or pixel."""
        if self.pair is None:
            return None, None
        query, match = (record.difference() for record in self.pair)
        return query if query.any() else None, match if match.any() else None

    def drawing(self, branch: str, patch: int | None = None, side: int = draw.PAIR_SIDE, **look: Any) -> np.ndarray:
        """Both images with a branch's evidence, or with what one patch of the query (from 0) matched."""
        evidence, regions = self.evidence(branch), self.regions()
        if patch is None:
            return draw.pair(self.match, evidence, side=side, regions=regions, **look)
        return draw.partners(self.match, evidence, patch, side=side, regions=regions, **look)

    def sentence(self, branch: str, patch: int | None = None) -> str:
        """What `drawing` shows."""
        branch, evidence = self.resolved(branch), self.evidence(branch)
        if patch is None and self.other is not None:
            return f"{match_captions.why_rather(self.hit, self.other, branch, evidence)} {self.worth(branch)}"
        if patch is None:
            return f"{match_captions.why(self.hit, branch, evidence)} {self.worth(branch)}"
        return match_captions.partner(*divmod(patch, self.shape[1]), evidence.partner(patch))

    def worth(self, branch: str) -> str:
        """What the checkpoint's evidence by that branch was measured to be worth."""
        target = "similarity" if self.other is None else "margin"
        return match_captions.worth_of_evidence(self.measured, self.resolved(branch), target)

    def difference(self, branch: str) -> str:
        """In what part query and match, or their vehicle and its twin, differ; empty where that is unknown.

        Of a margin's evidence it counts what speaks for the match.
        """
        if self.pair is None:
            return ""
        evidence = self.evidence(branch)
        sides = zip(
            self.pair, (self.match.query, self.match.match), (evidence.query_map, evidence.match_map), strict=True
        )
        shares = [
            on_part(record, seen, map.clip(min=0)) if record.difference().any() else None for record, seen, map in sides
        ]
        return match_captions.difference(*self.pair, (shares[0], shares[1]), self.resolved(branch), evidence.signed)


def yard_pair(gallery: GalleryWithMetadata, query_info: QueryInfo, hit: Hit) -> tuple[YardRecord, YardRecord] | None:
    """The yard's records of a query and a hit, if they show one vehicle or twins; else None."""
    if query_info.path is None:
        return None
    query, match = gallery.known(gallery.item(query_info.path)), gallery.known(hit.item)
    if query is None or match is None or match.identity not in (query.identity, query.twin):
        return None
    return query, match

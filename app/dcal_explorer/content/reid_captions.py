"""What the pages on re-identification say: who was found, what that is worth, and why it matched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dcal import Evidence, ModelConfig
from dcal.analysis import OnPart
from dcal.data.reid.yard import YardRecord
from dcal.draw import LINKS, PARTNERS, percent
from dcal.gallery import Hit, Item, QueryInfo, Ranking
from dcal_explorer.content.captions import attentions, plain
from dcal_explorer.content.galleries import GalleryWithMetadata

EMPTY = "Choose one of the pictures below, or upload a crop of your own."
NOTHING_OPEN = "Click a picture of the ranking to see what made it match."
NO_CHECKPOINT = (
    "No re-identification checkpoint lies here. Train one with `dcal train --task reid --dataset yard`, and embed a "
    "gallery for it with `dcal index build`."
)
FIGURES = (
    "mAP: the mean over all queries of the average precision, which is 100% where all right pictures come first. "
    "Rank-1: how often the nearest picture is right. In brackets, 95% intervals. The standard protocol leaves "
    "out the query's vehicle before its own camera, but not the others there: a twin before the same background comes "
    "first."
)
ACROSS = "Leave out the query's own camera"
NOT_THERE = "The query is no picture of this gallery: nothing is marked as right or wrong."
ONE_BRANCH = "This checkpoint was trained without global-local cross-attention: SA is the only branch."
CLICK = "*Click a patch of the query, on the left, to see which patches of the match are similar.*"
NO_TWINS = "These two are neither one vehicle nor twins, as far as is known: there is no part to look for."
BRANCHES = {"SA + GLCA": "fused", "SA": "sa", "GLCA": "glca"}
BRANCH_SAYS = {
    "sa": "By the backbone's class token.",
    "glca": "By GLCA's block: the selected patches and the class token, which attend to all tokens again.",
}
# What one of two twins has and the other has not (the yard's own list; see tools.yard.detail).
PARTS = {
    "aerial": "a long rod aerial",
    "air unit": "a cooler on its roof",
    "beacon": "an amber warning lamp on its roof",
    "bonnet stripes": "stripes over its front",
    "bull bar": "a chromed hoop before its grille",
    "decal": "a sign on one flank",
    "dent": "a dent in one flank",
    "door": "a front door of another colour",
    "flank stripe": "a stripe along one flank",
    "fog lamp": "a yellow fog lamp on one side",
    "front bumper": "a front bumper in grey primer",
    "fuel flap": "a fuel flap of another colour",
    "ladder": "a ladder on its roof",
    "lamp bar": "four round lamps on its roof's edge",
    "mirror": "one mirror with a cap of another colour",
    "rear bumper": "a rear bumper in grey primer",
    "roof bars": "two bars across its roof",
    "roof box": "a luggage box on its roof",
    "scratch": "a long scratch along one flank",
    "spoiler": "a spoiler",
    "sticker": "a sign on its tail",
    "tail lamp": "one tail lamp with a white cover",
    "wheel cover": "one wheel without its cover",
    "window": "rear windows of one side covered with foil",
}


class Verdict(NamedTuple):
    """How a hit is marked: a CSS class, a sign, and a word; never by colour alone."""

    kind: str
    sign: str
    text: str


def verdict(catalogue: GalleryWithMetadata, known: QueryInfo, hit: Hit) -> Verdict:
    if hit.verdict == "match":
        return Verdict("right", "✓", "right")
    if hit.verdict == "junk":
        return Verdict("left-out", "∅", "left out")
    if hit.verdict is None:
        return Verdict("open", "", "")
    record = catalogue.known(hit.item)
    twin = record is not None and str(record.twin) == known.identity
    return Verdict("wrong", "✗", "its twin" if twin else "wrong")


def who(catalogue: GalleryWithMetadata, item: Item) -> tuple[str, ...]:
    """Whom a picture shows, and by which camera, as far as that is known."""
    named = () if item.identity is None else (f"{catalogue.noun} {item.identity}",)
    return named if item.camera is None else (*named, f"camera {item.camera}")


def hit_said(rank: str, who: tuple[str, ...], similarity: float, text: str) -> str:
    place = "Left out of the ranking" if rank == "–" else f"Rank {rank}"
    return ", ".join((place, *who, f"similarity {similarity:.3f}", *([text] if text and rank != "–" else [])))


def query(catalogue: GalleryWithMetadata, known: QueryInfo) -> str:
    """Who is looked for, in a line."""
    if known.path is None:
        return "**Your own crop.** Nobody knows whom it shows, so nothing is marked as right or wrong."
    item = catalogue.item(known.path)
    line = f"**Query: {plain(', '.join(who(catalogue, item)))}**"
    record = catalogue.known(item)
    return line if record is None else f"{line} · {record.label} · its twin is {catalogue.noun} {record.twin}"


def worth(catalogue: GalleryWithMetadata, ranking: Ranking, across: bool) -> str:
    """What a ranking is worth: how many are right, where the first one stands, the average precision.

    `across`: whether the query's own camera was left out.
    """
    noun, shown = catalogue.noun, len(ranking.hits)
    among = f"{ranking.candidates:,} pictures"
    if across and ranking.known.camera is not None:
        unknown = any(item.camera is None for item in catalogue.gallery.items)
        among += " by the other cameras" + (" or by one that nobody knows" if unknown else "")
    if not shown:
        return "No picture is left to be ranked: admit more cameras or models."
    if ranking.matches is None:
        return f"The {shown} nearest of {among}, by the cosine of the two embeddings."
    if ranking.ap is None or ranking.first is None:
        return f"None of the {among} shows this {noun} by another camera: nothing can be right here.{_junk(ranking)}"
    right = sum(hit.verdict == "match" for hit in ranking.hits)
    one = ranking.matches == 1
    found = f"The only other picture of this {noun}" if one else f"The first other picture of this {noun}"
    place = "comes **first**" if ranking.first == 1 else f"stands at **rank {ranking.first}**"
    others = "" if one else f" {right} of the {shown} shown are right, of {ranking.matches} that there are."
    return (
        f"{found} {place} among {among}.{others} "
        f"**Average precision {ranking.ap:.1%}** (100% if all right ones came before any other).{_junk(ranking)}"
    )


def _junk(ranking: Ranking) -> str:
    """What ∅ means, where it occurs."""
    if not any(hit.verdict == "junk" for hit in ranking.hits):
        return ""
    return " ∅ marks what is neither: the same by the query's own camera, or somebody whom nobody knows."


def why(hit: Hit, branch: str, evidence: Evidence) -> str:
    """One sentence on the two maps and the lines."""
    place = "Left out of the ranking" if hit.rank is None else f"Rank {hit.rank}"
    return (
        f"**{place}: similarity {evidence.similarity:.3f}** ({branch_name(branch)}). Colours show how much each patch "
        f"supports it (relevance: attention weighted by the similarity's gradient). Lines join up to {LINKS} pairs of "
        "similar patches with the highest relevance on both sides."
    )


def worth_of_evidence(measured: Mapping[str, Any] | None, branch: str) -> str:
    """What `dcal eval --analysis` found the evidence to be worth, beside two controls."""
    if measured is None:
        return "Measured worth: none yet for this checkpoint (`dcal eval --task reid --analysis`)."
    found = measured["targets"]["similarity"][branch]
    worth, centre, random = (found[name]["worth"]["mean"] for name in ("relevance", "centre", "random"))
    return f"Measured worth: insertion − deletion {worth:.3f} (centre prior {centre:.3f}, random {random:.3f})."


def partner(row: int, column: int, found: np.ndarray) -> str:
    """One sentence on the patches that are like one patch, `found`; row and column count from 0."""
    return (
        f"**Row {row + 1}, column {column + 1} of the query.** Patches of the match that are similar to the outlined "
        f"one: the cosine of the two patches' centred tokens, at most {float(found.max()):.2f}; lines lead to the "
        f"{PARTNERS} most similar."
    )


def by_branch(branch: str, evidence: Evidence, worth: str) -> str:
    return f"**{branch_name(branch)}: {evidence.similarity:.3f}.** {BRANCH_SAYS[branch]} {worth}"


def branch_name(branch: str) -> str:
    return next(name for name, key in BRANCHES.items() if key == branch)


def difference(query: YardRecord, match: YardRecord, shares: tuple[OnPart | None, OnPart | None], branch: str) -> str:
    """In what part twins differ, whether it can be seen here, and how much of the evidence lies on it.

    `shares`: of the query's map and of the match's, None where the camera cannot see the part.
    """
    owner, other = (query.identity, query.twin) if query.present else (query.twin, query.identity)
    about = (
        f"**These two are twins**: the same {query.label}, but for one part."
        if query.twin == match.identity
        else f"**One vehicle.** It has a twin, vehicle {query.twin}: the same {query.label}, but for one part."
    )
    text = f"{about} Vehicle {owner} has {PARTS[query.differs]}; vehicle {other} has not."
    seen = [(side, on) for side, on in zip(("query", "match"), shares, strict=True) if on is not None]
    if not seen:
        return f"{text} Neither camera can see that place."
    hidden = "" if len(seen) == 2 else f" (the {'match' if seen[0][0] == 'query' else 'query'}'s camera cannot see it)"
    lies = " and ".join(
        f"**{percent(on.share)}** of the {side}'s evidence ({on.density:.1f} times as dense as on the whole vehicle)"
        for side, on in seen
    )
    return f"{text} That place is ringed in pink{hidden}; by {branch_name(branch)}, {lies} lies there."


def figures_row(checkpoint: str, config: ModelConfig, figures: Mapping[str, Any]) -> dict[str, str]:
    """One checkpoint's line in the table of figures, under the table's headings; "–" where nothing was measured."""
    row = {"checkpoint": checkpoint, "trained with": attentions(config)}
    for prefix, name in (("", "as it ranks"), ("sa_", "SA alone"), ("glca_", "GLCA alone")):
        for key, shown in (("mAP", "mAP"), ("rank1", "rank-1")):
            row[f"{shown}, {name}"] = _figure(figures, prefix + key)
    return row


def _figure(figures: Mapping[str, Any], key: str) -> str:
    """A share with its 95 % interval, if there is one."""
    if not isinstance(value := figures.get(key), float):
        return "–"
    interval = figures.get("intervals", {}).get(key)
    return f"{value:.1%}" + (f" ({interval[0]:.1%}–{interval[1]:.1%})" if interval else "")

"""What the pages on re-identification say: the query, its ranking, the figures, and why an image matched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dcal import Evidence, ModelConfig
from dcal.analysis import OnPart
from dcal.data.reid.yard import YardRecord
from dcal.draw import LINKS, PARTNERS
from dcal.gallery import Hit, Item, QueryInfo, Ranking
from dcal_explorer.content.captions import attentions, plain
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.content.numbers import decimal, percent, share, similarity, with_interval

EMPTY = "Choose one of the images below, or upload a crop of your own."
NOTHING_OPEN = "Click an image of the ranking to see why it matched."
NO_CHECKPOINT = (
    "There is no re-identification checkpoint here. Train one with `dcal train --task reid --dataset yard`, and "
    "embed a gallery for it with `dcal index build`."
)
FIGURES = (
    "mAP: the mean over all queries of the average precision, which is 100% if all correct images come first. Rank-1: "
    "how often the nearest image is correct. In brackets, 95% intervals. The standard protocol excludes same-camera "
    "images of the query's identity but keeps other identities, so a twin on the same background can rank first."
)
ACROSS = "Exclude the query's own camera"
NOT_THERE = "The query is not in this gallery: no image is marked as correct or wrong."
ONE_BRANCH = "This checkpoint was trained without global-local cross-attention: SA is the only branch."
CLICK = "*Click a patch of the query, on the left, to see what it matched.*"
NO_TWINS = "These two are not known to be one vehicle or twins: no differing part is known."
BRANCHES = {"SA + GLCA": "fused", "SA": "sa", "GLCA": "glca"}
BRANCH_SAYS = {
    "sa": "Compares the class token of the backbone; patches are weighted by its attention rollout.",
    "glca": "Compares the class token after GLCA, in which the most-attended patches attend to the whole image again.",
}
# The part that one of two twins has and the other lacks (the yard's own list; see tools.yard.detail).
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
    """How a hit is marked: a CSS class, a sign and a word, never colour alone."""

    kind: str
    sign: str
    text: str


def verdict(gallery: GalleryWithMetadata, known: QueryInfo, hit: Hit) -> Verdict:
    if hit.verdict == "match":
        return Verdict("right", "✓", "correct")
    if hit.verdict == "junk":
        return Verdict("left-out", "∅", "excluded")
    if hit.verdict is None:
        return Verdict("open", "", "")
    record = gallery.known(hit.item)
    twin = record is not None and str(record.twin) == known.identity
    return Verdict("wrong", "✗", "its twin" if twin else "wrong")


def facts(gallery: GalleryWithMetadata, item: Item) -> tuple[str, ...]:
    """Identity and camera of an image, as far as they are known."""
    named = () if item.identity is None else (f"{gallery.noun} {item.identity}",)
    return named if item.camera is None else (*named, f"camera {item.camera}")


def hit_alt_text(rank: str, facts: tuple[str, ...], cosine: float, text: str) -> str:
    """A card of the ranking in words."""
    place = "Excluded from the ranking" if rank == "–" else f"Rank {rank}"
    return ", ".join((place, *facts, f"similarity {similarity(cosine)}", *([text] if text and rank != "–" else [])))


def query(gallery: GalleryWithMetadata, known: QueryInfo) -> str:
    """The query in a line."""
    if known.path is None:
        return "**Your own crop.** Identity unknown: no image is marked as correct or wrong."
    item = gallery.item(known.path)
    line = f"**Query: {plain(', '.join(facts(gallery, item)))}**"
    record = gallery.known(item)
    return line if record is None else f"{line} · {record.label} · its twin is {gallery.noun} {record.twin}"


def worth(gallery: GalleryWithMetadata, ranking: Ranking, across: bool) -> str:
    """How good a ranking is: how many images are correct, the rank of the first one, the average precision.

    `across`: whether the query's own camera was excluded.
    """
    noun, shown = gallery.noun, len(ranking.hits)
    among = f"{ranking.candidates:,} images"
    if across and ranking.known.camera is not None:
        unknown = any(item.camera is None for item in gallery.embedded.items)
        among += " of the other cameras" + (" or of an unknown one" if unknown else "")
    if not shown:
        return "No image is left to rank: include more cameras or models."
    if ranking.matches is None:
        return f"The {shown} nearest of {among}, by the cosine of the two embeddings."
    if ranking.ap is None or ranking.first is None:
        return (
            f"None of the {among} shows this {noun} from another camera: no image can be correct here.{_junk(ranking)}"
        )
    right = sum(hit.verdict == "match" for hit in ranking.hits)
    one = ranking.matches == 1
    found = f"The only other image of this {noun}" if one else f"The first other image of this {noun}"
    place = "ranks **first**" if ranking.first == 1 else f"is at **rank {ranking.first}**"
    others = "" if one else f" {right} of the {shown} shown are correct, of {ranking.matches} in all."
    return (
        f"{found} {place} among {among}.{others} "
        f"**Average precision {percent(ranking.ap)}** (100% if all correct images come first).{_junk(ranking)}"
    )


def _junk(ranking: Ranking) -> str:
    """What ∅ means, where it occurs."""
    if not any(hit.verdict == "junk" for hit in ranking.hits):
        return ""
    return " ∅ marks images that count as neither: the query's identity on its own camera, or identity unknown."


def why(hit: Hit, branch: str, evidence: Evidence) -> str:
    """One sentence on the two maps and the lines."""
    place = "Excluded from the ranking" if hit.rank is None else f"Rank {hit.rank}"
    return (
        f"**{place}: similarity {similarity(evidence.similarity)}** ({branch_name(branch)}). Colours show how much "
        f"each patch adds to it. On each side, the patches sum to the similarity. Lines join the {LINKS} pairs of "
        "patches that add most."
    )


def partner(row: int, column: int, branch: str, pairs: np.ndarray, total: float) -> str:
    """One sentence on what one patch matched: its `pairs` with the other image's. Row and column count from 0."""
    added = float(pairs.sum())
    part = f", {share(added / total)} of the similarity" if total > 0 else ""
    return (
        f"**Row {row + 1}, column {column + 1} of the query** ({branch_name(branch)}). What the outlined patch "
        f"matched: its pairs add {decimal(added)}{part}; lines lead to the {PARTNERS} patches that add most."
    )


def by_branch(branch: str, evidence: Evidence) -> str:
    return f"**{branch_name(branch)}: {similarity(evidence.similarity)}.** {BRANCH_SAYS[branch]}"


def branch_name(branch: str) -> str:
    return next(name for name, key in BRANCHES.items() if key == branch)


def difference(query: YardRecord, match: YardRecord, shares: tuple[OnPart | None, OnPart | None], branch: str) -> str:
    """The part in which twins differ, whether it is visible here, and how much of the evidence lies on it.

    `shares`: of the query's map and of the match's, None where the camera cannot see the part.
    """
    owner, other = (query.identity, query.twin) if query.present else (query.twin, query.identity)
    about = (
        f"**These two are twins**: the same {query.label} except for one part."
        if query.twin == match.identity
        else f"**One vehicle.** It has a twin, vehicle {query.twin}: the same {query.label} except for one part."
    )
    text = f"{about} Vehicle {owner} has {PARTS[query.differs]}; vehicle {other} does not."
    seen = [(side, on) for side, on in zip(("query", "match"), shares, strict=True) if on is not None]
    if not seen:
        return f"{text} Neither camera sees that place."
    hidden = (
        "" if len(seen) == 2 else f" (the {'match' if seen[0][0] == 'query' else 'query'}'s camera does not see it)"
    )
    lies = " and ".join(
        f"**{share(on.share)}** of the {side}'s evidence ({on.density:.1f} times as dense as on the whole vehicle)"
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
    """A percentage with its 95 % interval, if there is one."""
    if not isinstance(value := figures.get(key), float):
        return "–"
    return with_interval(value, figures.get("intervals", {}).get(key))

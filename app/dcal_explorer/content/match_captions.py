"""What the pages say about why an image matched: the evidence of each branch, its worth, and how twins differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dcal import Evidence
from dcal.analysis import OnPart
from dcal.data.reid.yard import YardRecord
from dcal.draw import LINKS, PARTNERS
from dcal.gallery import Hit
from dcal_explorer.content.numbers import close_similarity, margin, score, share, similarity

ONE_BRANCH = "This checkpoint was trained without global-local cross-attention: SA is the only branch."
CLICK = "*Click a patch of the query, on the left, to see which patches of the match are similar.*"
NO_TWINS = "These two are not known to be one vehicle or twins: no differing part is known."
BRANCHES = {"SA + GLCA": "fused", "SA": "sa", "GLCA": "glca"}
BRANCH_SAYS = {
    "sa": "Compares the class token of the backbone.",
    "glca": "Compares the output of GLCA, in which the most-attended patches attend to the whole image again.",
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


def why(hit: Hit, branch: str, evidence: Evidence) -> str:
    """One sentence on the two maps and the lines."""
    return (
        f"**{place_of(hit)}: similarity {similarity(evidence.similarity)}** ({branch_name(branch)}). Colours show how "
        "much each patch supports it (relevance: attention weighted by the similarity's gradient). Lines join up to "
        f"{LINKS} pairs of similar patches with the highest relevance on both sides."
    )


def why_rather(hit: Hit, other: Hit, branch: str, evidence: Evidence) -> str:
    """One sentence on the three maps of a margin. Of signed evidence only."""
    assert evidence.against is not None
    both = f"{close_similarity(evidence.similarity)} against {close_similarity(evidence.against)}"
    return (
        f"**{place_of(hit)} rather than {place_of(other).lower()}: margin {margin(evidence.score)}** "
        f"({both}, {branch_name(branch)}). "
        f"Orange patches speak for {place_of(hit).lower()}, blue ones for {place_of(other).lower()}, white ones for "
        "neither (signed relevance of the margin). Lines join similar patches of query and match."
    )


def place_of(hit: Hit) -> str:
    """Where a hit stands: "Rank 3"."""
    return "Excluded from the ranking" if hit.rank is None else f"Rank {hit.rank}"


def worth_of_evidence(measured: Mapping[str, Any] | None, branch: str, target: str = "similarity") -> str:
    """What `dcal eval --analysis` found the evidence for a target to be worth, beside two controls."""
    if measured is None or branch not in measured["targets"].get(target, {}):
        return "Measured worth: none yet for this checkpoint (`dcal eval --task reid --analysis`)."
    found = measured["targets"][target][branch]
    worth, centre, random = (found[name]["worth"]["mean"] for name in ("relevance", "centre", "random"))
    return (
        f"Measured worth for the {target}: insertion − deletion {score(worth)} (centre prior {score(centre)}, random "
        f"{score(random)})."
    )


def partner(row: int, column: int, found: np.ndarray) -> str:
    """One sentence on the patches that are like one patch, `found`; row and column count from 0."""
    return (
        f"**Row {row + 1}, column {column + 1} of the query.** Patches of the match that are similar to the outlined "
        f"one: the cosine of the two patches' centred tokens, at most {float(found.max()):.2f}; lines lead to the "
        f"{PARTNERS} most similar."
    )


def by_branch(branch: str, evidence: Evidence, worth: str) -> str:
    """What a branch's drawing shows: its similarity, or its margin."""
    score = f"margin {margin(evidence.score)}" if evidence.signed else similarity(evidence.similarity)
    return f"**{branch_name(branch)}: {score}.** {BRANCH_SAYS[branch]} {worth}"


def branch_name(branch: str) -> str:
    return next(name for name, key in BRANCHES.items() if key == branch)


def difference(
    query: YardRecord,
    match: YardRecord,
    shares: tuple[OnPart | None, OnPart | None],
    branch: str,
    signed: bool = False,
) -> str:
    """The part in which twins differ, whether it is visible here, and how much of the evidence lies on it.

    `shares`: of the query's map and of the match's, None where the camera cannot see the part. `signed`: they are of
    what speaks for the match.
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
        f"**{share(on.share)}** of the {side}'s evidence{' for the match' if signed else ''} "
        f"({on.density:.1f} times as dense as on the whole vehicle)"
        for side, on in seen
    )
    return f"{text} That place is ringed in pink{hidden}; by {branch_name(branch)}, {lies} lies there."

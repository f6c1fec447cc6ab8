"""The images of a match side by side: where the evidence lies, and which patches found each other.

The query is on the left, the match beside it and, of a margin, the other image on the right, each the whole image with
its longer side `side` pixels long, in the middle of the sheet's height. Below runs the colour bar of the scale that all
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from dcal.draw.colour import DIVERGING, shared_scale
from dcal.draw.layout import drawn_size, patch_at, patch_centre
from dcal.draw.legend import label, numbers_bar, under
from dcal.draw.montage import GROUND
from dcal.draw.overlay import ACCENT, base_image, mark, overlay, surround
from dcal.explain.inspection import Inspection
from dcal.explain.match import Evidence, Map, Match

RGB = UInt8[np.ndarray, "height width 3"]
Region = Bool[np.ndarray, "image_height image_width"]
PAIR_SIDE = 512  # pixels of either image's longer side
NAMES = ("query", "match", "rather than")  # written into the images' corners
RELEVANCE, LIKENESS = "relevance", "cosine of the patches"  # what the colour bar is of
GUTTER = 16  # pixels between two images
LINKS = 8  # pairs of patches that are joined by a line
PARTNERS = 3  # patches that one patch is joined to


class Place(NamedTuple):
    """Where one image lies on the sheet, in pixels."""

    top: int
    left: int
    height: int
    width: int


def pair(
    match: Match,
    evidence: Evidence,
    links: int = LINKS,
    side: int = PAIR_SIDE,
    regions: Sequence[Region | None] = (),
    scale: tuple[float, float] | None = None,
    **look: Any,
) -> RGB:
    """The evidence of a match on its images, on one scale; lines are the `links` strongest links between patches.

    `regions` of the query's, the match's and the other image are surrounded; those not given are None. `scale`
    (low, high) is by default the range of all maps; that of signed evidence is even about zero, in the diverging
    colours, whatever the colour map. `look`: keyword arguments of `overlay`.
    """
    low, high = evidence_scale(evidence) if scale is None else scale
    look = {**look, "colormap": DIVERGING} if evidence.signed else look
    canvases = [
        _surrounded(overlay(seen, map, low=low, high=high, max_side=side, **look), region)
        for seen, map, region in zip(images_of(match), maps_of(evidence), _filled(regions, match), strict=True)
    ]
    sheet = _joined(_beside(canvases, match, side), match, evidence.links(links), side)
    return under(sheet, numbers_bar(sheet.shape[1], low, high, look.get("colormap", "viridis"), RELEVANCE))


def partners(
    match: Match,
    evidence: Evidence,
    patch: int,
    side: int = PAIR_SIDE,
    regions: Sequence[Region | None] = (),
    **look: Any,
) -> RGB:
    """What in the match is like one of the query's patches (counted from 0, row by row), on a scale of its own.

    The query's image stays plain but for the patch, which is outlined and joined to the `PARTNERS` patches that are
    most like it; so does the other image's. Arguments as in `pair`.
    """
    found = evidence.partner(patch)
    low, high = shared_scale(found)
    plain = mark(match.query, base_image(match.query, side), *divmod(patch, evidence.shape[1]))
    drawn = overlay(match.match, found, low=low, high=high, max_side=side, **look)
    shown = [plain, drawn] + ([] if match.other is None else [base_image(match.other, side)])
    canvases = [_surrounded(canvas, region) for canvas, region in zip(shown, _filled(regions, match), strict=True)]
    best = np.argsort(-found, axis=None, kind="stable")[:PARTNERS]
    links = [(patch, int(other), float(found.flat[other])) for other in best]
    sheet = _joined(_beside(canvases, match, side), match, links, side)
    return under(sheet, numbers_bar(sheet.shape[1], low, high, look.get("colormap", "viridis"), LIKENESS))


def evidence_scale(*evidence: Evidence) -> tuple[float, float]:
    """(low, high) on which the maps of some evidence can be compared by eye; of signed evidence −m to m."""
    low, high = shared_scale(*(map for own in evidence for map in maps_of(own)))
    most = max(-low, high)
    return (-most, most) if any(own.signed for own in evidence) else (low, high)


def patch_on_pair(match: Match, x: int, y: int, side: int = PAIR_SIDE) -> tuple[str, int] | None:
    """(one of `NAMES`, patch) under pixel (x, y) of a `pair` or `partners` sheet; None where there is none."""
    for name, seen, place in zip(NAMES, images_of(match), places(match, side), strict=False):
        found = patch_at(seen, x - place.left, y - place.top, (place.height, place.width))
        if found is not None:
            return name, found[0] * seen.layout.cols + found[1]
    return None


def images_of(match: Match) -> tuple[Inspection, ...]:
    """The images of a sheet, from the left: query, match and, of a margin, the other one."""
    return (match.query, match.match) if match.other is None else (match.query, match.match, match.other)


def maps_of(evidence: Evidence) -> tuple[Map, ...]:
    """The maps of a sheet, from the left."""
    maps = evidence.query_map, evidence.match_map
    return maps if evidence.other_map is None else (*maps, evidence.other_map)


def places(match: Match, side: int) -> tuple[Place, ...]:
    """Where the images lie on a sheet."""
    sizes = [drawn_size(seen, side) for seen in images_of(match)]
    height, left, found = max(size[0] for size in sizes), 0, []
    for size in sizes:
        found.append(Place((height - size[0]) // 2, left, *size))
        left += size[1] + GUTTER
    return tuple(found)


def _filled(regions: Sequence[Region | None], match: Match) -> list[Region | None]:
    """A region or None for each image."""
    return [*regions, *[None] * (len(images_of(match)) - len(regions))]


def _beside(canvases: Sequence[UInt8[np.ndarray, "_ _ 3"]], match: Match, side: int) -> RGB:
    where = places(match, side)
    size = max(place.height for place in where), where[-1].left + where[-1].width, 3
    sheet = np.full(size, GROUND, dtype=np.uint8)
    for canvas, place, name in zip(canvases, where, NAMES, strict=False):
        named = label(canvas, name, max(12, side // 28))
        sheet[place.top : place.top + place.height, place.left : place.left + place.width] = named
    return sheet


def _joined(sheet: RGB, match: Match, links: Sequence[tuple[int, int, float]], side: int) -> RGB:
    """The sheet with a line for every link, the strongest on top and broadest; black edges keep them legible."""
    drawn = np.ascontiguousarray(sheet)
    where, most = places(match, side), max((abs(weight) for _, _, weight in links), default=0.0)
    for one, other, weight in reversed(links):
        ends = [_centre(*item) for item in zip((match.query, match.match), where[:2], (one, other), strict=True)]
        broad = max(1, round((1 + 1.5 * abs(weight) / most) * side / PAIR_SIDE)) if most else 1
        for colour, extra in (((0, 0, 0), 2), (ACCENT, 0)):
            cv2.line(drawn, ends[0], ends[1], colour, broad + extra, cv2.LINE_AA)
            for end in ends:
                cv2.circle(drawn, end, broad + 2 + extra // 2, colour, cv2.FILLED, cv2.LINE_AA)
    return drawn


def _centre(seen: Inspection, place: Place, patch: int) -> tuple[int, int]:
    """(x, y) of a patch's centre on the sheet."""
    x, y = patch_centre(seen, *divmod(patch, seen.layout.cols), (place.height, place.width))
    return place.left + round(x), place.top + round(y)


def _surrounded(canvas: RGB, region: Region | None) -> RGB:
    return canvas if region is None else surround(canvas, region)

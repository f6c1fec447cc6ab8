"""What the pages on re-identification say: the query, its ranking, and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dcal import ModelConfig
from dcal.gallery import Hit, Item, QueryInfo, Ranking
from dcal_explorer.content.captions import attentions
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.content.markdown import plain
from dcal_explorer.content.numbers import percent, probability, similarity, with_interval

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
OWN_CROP = "**Your own crop.** Identity unknown: no image is marked as correct or wrong."
PER_IDENTITY = "One image per {}"
RERANK = "Re-rank (k-reciprocal neighbours)"
SAME_VIEW = "Same viewpoint only"
LOST_IMAGES = (
    "The folder of this gallery's images is not where it was when the gallery was built: put it back, or build the "
    "gallery again. Rankings and figures do not need it."
)
NOT_THERE = "The query is not in this gallery: no image is marked as correct or wrong."


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


def hit_alt_text(gallery: GalleryWithMetadata, hit: Hit, text: str, review: str = "") -> str:
    """A card of the ranking in words; `text` is its verdict's, `review` what a person said."""
    parts = ["Excluded from the ranking" if hit.rank is None else f"Rank {hit.rank}", *facts(gallery, hit.item)]
    if hit.probability is not None:
        parts.append(f"the same {gallery.noun} with a probability of {probability(hit.probability)}")
    parts.append(f"similarity {similarity(hit.similarity)}")
    parts += [text] if text and hit.rank is not None else []
    parts += [f"the best of {hit.images} images of this {gallery.noun}"] if hit.images > 1 else []
    return ", ".join([*parts, *([f"reviewed: {review}"] if review else [])])


def chance(hit: Hit) -> str:
    """The number on a card: the calibrated probability, or the raw cosine where there is none."""
    return f"cos {similarity(hit.similarity)}" if hit.probability is None else f"{probability(hit.probability)} same"


TWINS = "twins are equal except for one part"


def query(gallery: GalleryWithMetadata, known: QueryInfo) -> str:
    """The query in a line."""
    if known.path is None:
        return OWN_CROP
    item = gallery.item(known.path)
    line = f"**Query: {plain(', '.join(facts(gallery, item)))}**"
    record = gallery.known(item)
    return line if record is None else f"{line} · {record.label} · its twin is {gallery.noun} {record.twin} ({TWINS})"


def several(gallery: GalleryWithMetadata, known: Sequence[QueryInfo]) -> str:
    """Several images as one query, in a line each."""
    lines = [f"**{len(known)} images are the query**: it is the mean of their embeddings."]
    for info in known:
        lines.append(
            f"- {'your own crop' if info.path is None else plain(', '.join(facts(gallery, gallery.item(info.path))))}"
        )
    if len({info.identity for info in known}) > 1:
        lines += ["", f"They are not of one {gallery.noun}: no image is marked as correct or wrong."]
    return "\n".join(lines)


def newness(gallery: GalleryWithMetadata, ranking: Ranking, measured: Mapping[str, Any]) -> str:
    """Whether the query is in the gallery at all, with both error rates where `dcal eval` measured them; "" if unknown.

    `measured`: evaluation.json's `similarities`.
    """
    if ranking.probably_new is None or gallery.embedded.calibration is None:
        return ""
    threshold = gallery.embedded.calibration.new_below
    rates = measured.get("across", {}).get("open_set", {}).get("chosen")
    how = ""
    if rates is not None:
        how = (
            f" On test images this threshold misses {percent(rates['misses'])} of the queries that are there and lets "
            f"{percent(rates['false_alarms'])} of the new ones pass."
        )
    if ranking.probably_new:
        wrong = (ranking.matches and " Here that is wrong: it has correct images.") or ""
        return (
            f"**Probably not in this gallery**: no image of another camera reaches a similarity of "
            f"{similarity(threshold)}.{wrong}{how}"
        )
    return f"Probably in this gallery: the best image reaches a similarity of {similarity(threshold)}.{how}"


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
        by = "re-ranked by their k-reciprocal neighbours" if ranking.reranked else "by the cosine of the two embeddings"
        return f"The {shown} nearest of {among}, {by}."
    if ranking.ap is None or ranking.first is None:
        return (
            f"None of the {among} shows this {noun} from another camera: no image can be correct here.{_junk(ranking)}"
        )
    right = sum(hit.verdict == "match" for hit in ranking.hits)
    one = ranking.matches == 1
    found = f"The only other image of this {noun}" if one else f"The first other image of this {noun}"
    place = "ranks **first**" if ranking.first == 1 else f"is at **rank {ranking.first}**"
    among += ", re-ranked" if ranking.reranked else ""
    grouped = any(hit.images > 1 for hit in ranking.hits)
    others = "" if one or grouped else f" {right} of the {shown} shown are correct, of {ranking.matches} in all."
    return (
        f"{found} {place} among {among}.{others} "
        f"**Average precision {percent(ranking.ap)}** (100% if all correct images come first).{_junk(ranking)}"
    )


def _junk(ranking: Ranking) -> str:
    """What ∅ means, where it occurs."""
    if not any(hit.verdict == "junk" for hit in ranking.hits):
        return ""
    return " ∅ marks images that count as neither: the query's identity on its own camera, or identity unknown."


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

"""One query through several re-identification checkpoints: their rankings side by side, and why an image matched."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

import dcal
from dcal import draw
from dcal.gallery import Item, Ranking
from dcal_explorer.content import captions, cards, match_captions, reid_captions
from dcal_explorer.content.checkpoints import CheckpointLibrary, SideFile
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.content.markdown import message
from dcal_explorer.content.match_explanation import Explanation, yard_pair
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard import errors
from dcal_explorer.dashboard.choices import choose_checkpoints
from dcal_explorer.dashboard.drawn import drawn, version_of
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.markup import Html
from dcal_explorer.dashboard.patches import Place, patch_chooser
from dcal_explorer.dashboard.query import SIDE, Query, choose_filters, choose_gallery, choose_query, galleries
from dcal_explorer.dashboard.ranked import Ranked, ranked
from dcal_explorer.dashboard.rows import table
from dcal_explorer.dashboard.sidebar import Look, library, look, record_of
from dcal_explorer.dashboard.work import at_once, once, worked

HERE = Path(__file__)
CSS = [HERE.with_name("compare.css"), STYLES / "cards.css", HERE.with_name("reidentify.css")]
NONE, NO_OTHER = "", "no other: why it is similar"
OUTSIDE = "The chosen patch is outside this checkpoint's input: all patches are shown."
MOST_MATCHES = 16  # kept for all visitors: those of four checkpoints, four times
Question = tuple[str, str, bytes, bytes, bytes | None]  # checkpoint, its version, query, match, other image
T = TypeVar("T")


@shows_errors
def page() -> None:
    """The query, a column for each checkpoint's ranking, one explained image, and the table of figures."""
    for path in CSS:
        st.html(path)
    style = look()
    names = library().names("reid")
    if not names:
        st.info(reid_captions.NO_CHECKPOINT)
        return
    compared = choose_checkpoints("Checkpoints", names, library().ablations(names[0]), "find_compared")
    if not compared:
        st.info("Choose at least one checkpoint.")
        return
    st.caption(captions.ATTENTIONS)
    failed: dict[str, str] = {}
    place = choose_gallery(compared)
    opened = each(compared, lambda name: galleries().open(name, place), failed)
    if opened:
        find(compared, opened, failed, style)
    else:
        for name, why in failed.items():
            errors.show(f"{name}: {why}")
    figures(library(), names)


def each(names: Iterable[str], make: Callable[[str], T], failed: dict[str, str]) -> dict[str, T]:
    """{checkpoint: what `make` returns for it}; where it raises a DCALError, `failed` gets the message."""
    made = {}
    for name in names:
        try:
            made[name] = make(name)
        except dcal.DCALError as error:
            failed[name] = str(error)
    return made


def find(compared: list[str], opened: dict[str, GalleryWithMetadata], failed: dict[str, str], style: Look) -> None:
    """The query, the rankings and one explained image, by all checkpoints but those that `failed`."""
    first = next(iter(opened.values()))
    query, chosen = choose_query(first), choose_filters(first)
    rankings = each(opened, lambda name: ranked(name, opened[name], query, chosen), failed)
    shown = {name: replace(own.whole, hits=own.whole.hits[: chosen.most]) for name, own in rankings.items()}
    with st.container(key="rankings"):
        for place, name in zip(st.columns(len(compared)), compared, strict=True):
            with place:
                if name in failed:
                    errors.show(f"{name}: {failed[name]}")
                else:
                    column(name, opened[name], query, shown[name], chosen.across)
    opened = {name: opened[name] for name in rankings}
    if found := everywhere(opened, rankings, shown):
        explain(opened, rankings, found, query, style)


def everywhere(
    opened: dict[str, GalleryWithMetadata], rankings: dict[str, Ranked], shown: dict[str, Ranking]
) -> dict[str, Item]:
    """{path: image} of the hits shown that are the same file in all galleries, and ranked in all."""
    return {
        hit.item.path: hit.item
        for name, own in shown.items()
        for hit in own.hits
        if all(
            hit.item.path in rankings[other].by_path and gallery.own(opened[name], hit.item.path)
            for other, gallery in opened.items()
        )
    }


def column(name: str, gallery: GalleryWithMetadata, query: Query, ranking: Ranking, across: bool) -> None:
    """One checkpoint's ranking."""
    st.html(f'<div class="about">{captions.about(library().config(name), name, SideFile())}</div>')
    elsewhere = f" {reid_captions.NOT_THERE}" if ranking.known.path != query.known.path else ""
    measured = library().evaluation(name).values.get("similarities", {})
    new = reid_captions.newness(gallery, ranking, measured)
    st.markdown(reid_captions.worth(gallery, ranking, across) + elsewhere + (f"\n\n{new}" if new else ""))
    st.html(Html(cards.hits(gallery, ranking, clickable=False)))


def explain(
    opened: dict[str, GalleryWithMetadata],
    rankings: dict[str, Ranked],
    found: dict[str, Item],
    query: Query,
    style: Look,
) -> None:
    """One of the images found, and why each checkpoint matches it, at whatever rank."""
    first = opened[next(iter(opened))]
    st.subheader("Why did it match?")
    columns = st.columns([2, 2, 2], vertical_alignment="bottom")
    path = columns[0].selectbox(
        "Image",
        list(found),
        format_func=lambda p: ", ".join(reid_captions.facts(first, found[p])) or p,
        key="explained_image",
        bind="query-params",
    )
    against = columns[1].selectbox(
        "Rather than",
        [NONE, *(other for other in found if other != path)],
        format_func=lambda p: ", ".join(reid_captions.facts(first, found[p])) or p if p else NO_OTHER,
        key="against_image",
        bind="query-params",
    )
    branch = columns[2].segmented_control(
        "Branch",
        list(match_captions.BRANCHES),
        default=next(iter(match_captions.BRANCHES)),
        key="branch",
        bind="query-params",
    )
    kind = match_captions.BRANCHES[branch or next(iter(match_captions.BRANCHES))]
    asked = {name: question(name, opened[name], query, rankings[name], path, against) for name in opened}
    matches = worked("matches", list(asked.values()), at_once(matched), "The evidence of each checkpoint", MOST_MATCHES)
    explained = {
        name: explanation(name, opened[name], rankings[name], path, against, matches[key])
        for name, key in asked.items()
        if key in matches
    }
    if not explained:
        return
    place = chosen_place(next(iter(explained.values())), style)
    branches = {name: kind if kind in why.branches else "fused" for name, why in explained.items()}
    options = style.options() | ({} if place is not None else {"scale": shared_scale(explained, branches)})
    with st.container(key="explained"):
        for spot, (name, why) in zip(st.columns(len(explained)), explained.items(), strict=True):
            with spot:
                evidence(name, why, asked[name], branches[name], place, options)


def evidence(
    name: str, why: Explanation, asked: Question, branch: str, place: Place | None, options: dict[str, Any]
) -> None:
    """One checkpoint's evidence, drawn and in words."""
    patch, alt = patch_at(why, place), f"Query and match with the evidence of {name}"
    head = captions.attentions(library().config(name))
    st.html(f'<div class="about branch {why.resolved(branch)}"><h3>{head}</h3></div>')
    of = asked, branch, masks(why)
    drawing = partial(why.drawing, branch, patch, side=SIDE, **options)
    st.image(drawn((of, patch, tuple(options.items())), drawing), width="stretch", alt=alt)
    outside = f" {OUTSIDE}" if place is not None and patch is None else ""
    st.markdown(why.sentence(branch, patch) + outside)
    difference = once("differences", of, partial(why.difference, branch))
    st.markdown(difference or match_captions.NO_TWINS)


def masks(why: Explanation) -> tuple[Hashable, ...]:
    """What says where the pair differs, for keys: the records, and the versions of their masks."""
    return tuple((record, version_of(record.mask)) for record in why.pair or ())


def shared_scale(explained: dict[str, Explanation], branches: dict[str, str]) -> tuple[float, float]:
    """The scale on which the maps of all checkpoints can be compared."""
    return draw.evidence_scale(*(why.evidence(branches[name]) for name, why in explained.items()))


def chosen_place(why: Explanation, style: Look) -> Place | None:
    """The place of the query's patch that was clicked, if one patch is shown; the same for every checkpoint's grid."""
    if not st.toggle("Show what one patch of the query matched", key="ask_patch", bind="query-params"):
        return None
    left, _ = st.columns(2)
    with left:
        row, col = patch_chooser(why.match.query, why.evidence("fused").query_map, style)
    return draw.place_of(why.match.query, row, col)


def patch_at(why: Explanation, place: Place | None) -> int | None:
    """The index of the query's patch at a place, in this checkpoint's own grid; None without one."""
    found = None if place is None else draw.patch_under(why.match.query, place)
    return None if found is None else found[0] * why.shape[1] + found[1]


def question(
    name: str, gallery: GalleryWithMetadata, query: Query, ranking: Ranked, path: str, against: str = NONE
) -> Question:
    """What `matched` takes: the query, an image of the gallery and, if there is one, the other, at whatever rank."""
    by_path = ranking.by_path
    rival = None if against not in by_path else gallery.file_bytes(by_path[against].item)
    return name, library().version(name), query.image, gallery.file_bytes(by_path[path].item), rival


def explanation(
    name: str, gallery: GalleryWithMetadata, ranking: Ranked, path: str, against: str, match: dcal.Match
) -> Explanation:
    """Why an image of the gallery matches the query, or matches it better than another."""
    hit = ranking.by_path[path]
    pair = yard_pair(gallery, ranking.whole.known, hit)
    return Explanation(hit, match, pair, library().evidence(name), ranking.by_path.get(against))


def matched(asked: Question) -> dcal.Match:
    """`dcal.explain_match`, by checkpoint name and files and by the image files' bytes."""
    checkpoint, _, query, match, against = asked
    model = library().model(checkpoint)
    other = None if against is None else record_of(checkpoint, against)
    return dcal.explain_match(model, record_of(checkpoint, query), record_of(checkpoint, match), other)


def figures(checkpoints: CheckpointLibrary, names: list[str]) -> None:
    """What was measured of each checkpoint on the whole test split, as it is kept beside it."""
    found = {name: checkpoints.evaluation(name) for name in names}
    kept = {name: file.values for name, file in found.items()}
    across = {name: own["across_cameras"] for name, own in kept.items() if "across_cameras" in own}
    st.subheader("Measured on all test images")
    for heading, own in (("Among the images of the other cameras", across), ("By the standard protocol", kept)):
        if own:
            st.markdown(f"**{heading}**")
            rows = [reid_captions.figures_row(name, checkpoints.config(name), values) for name, values in own.items()]
            st.table(table(rows), hide_index=True)
    for file in found.values():
        if file.note:
            st.warning(message(file.note))
    st.caption(reid_captions.FIGURES)

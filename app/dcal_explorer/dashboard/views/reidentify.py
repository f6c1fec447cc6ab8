"""One query through several re-identification checkpoints: their rankings side by side, and why a picture matched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal.gallery import Item, QueryInfo, Ranking, rank
from dcal_explorer.content import captions, cards, reid_captions
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.galleries import Galleries, GalleryWithMetadata
from dcal_explorer.content.match_explanation import Explanation, yard_pair
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard.sidebar import KINDS, Look, checkpoints, look, look_at, seen_by
from dcal_explorer.dashboard.views.inspect import patch_chooser

HERE = Path(__file__)
CSS = [HERE.with_name("compare.css"), STYLES / "cards.css", HERE.with_name("reidentify.css")]
SHOWN = 8  # pictures of every ranking, at first
SIDE = 384  # pixels of either picture's side in an explanation
T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """Whom to look for: a picture of `catalogue`, or an upload; its file's bytes, and what is known of it."""

    photo: bytes
    known: QueryInfo
    catalogue: GalleryWithMetadata

    def among(self, catalogue: GalleryWithMetadata) -> Item | None:
        """The query as a picture of some gallery; None if it is an upload or none of these."""
        return None if self.known.path is None else catalogue.own(self.catalogue, self.known.path)


@dataclass(frozen=True)
class Filters:
    """What is ranked (no cameras, no models: all), and how many pictures are shown."""

    across: bool  # whether the query's own camera is left out
    cameras: list[str]
    models: list[str]
    most: int


def page() -> None:
    """The page, or what is wrong with a file."""
    for path in CSS:
        st.html(path)
    st.title("Who is it?")
    try:
        compare()
    except dcal.DCALError as error:
        st.error(str(error), icon=":material/broken_image:")


def compare() -> None:
    """The query, a column for each checkpoint's ranking, one explained picture, and the table of figures."""
    shelf, style = checkpoints(), look()
    names = shelf.names("reid")
    if not names:
        st.info(reid_captions.NO_CHECKPOINT)
        return
    compared = st.multiselect("Checkpoints", names, shelf.ablations(names[0]), key="find_compared")
    if not compared:
        st.info("Choose at least one checkpoint.")
        return
    failed: dict[str, str] = {}
    catalogues = each(compared, galleries(str(shelf.folder)).catalogue, failed)
    if catalogues:
        find(compared, catalogues, failed, style)
    else:
        for name, why in failed.items():
            wrong(name, why)
    figures(shelf, names)


def each(names: Iterable[str], make: Callable[[str], T], failed: dict[str, str]) -> dict[str, T]:
    """{checkpoint: what `make` makes of it}; of one for which it cannot, `failed` gets why."""
    made = {}
    for name in names:
        try:
            made[name] = make(name)
        except dcal.DCALError as error:
            failed[name] = str(error)
    return made


def find(compared: list[str], catalogues: dict[str, GalleryWithMetadata], failed: dict[str, str], style: Look) -> None:
    """The query, the rankings and one explained picture, by all checkpoints but those that `failed`."""
    first = next(iter(catalogues.values()))
    query = ask(first)
    chosen = filters(first)
    rankings = each(catalogues, lambda name: ranked(name, catalogues[name], query, chosen), failed)
    shown = {name: replace(ranking, hits=ranking.hits[: chosen.most]) for name, ranking in rankings.items()}
    with st.container(key="rankings"):
        for place, name in zip(st.columns(len(compared)), compared, strict=True):
            with place:
                if name in failed:
                    wrong(name, failed[name])
                else:
                    column(name, catalogues[name], query, shown[name], chosen.across)
    catalogues = {name: catalogues[name] for name in rankings}
    if found := everywhere(catalogues, rankings, shown):
        explain(catalogues, rankings, found, query, style)


def wrong(name: str, why: str) -> None:
    """What stands in the place of a checkpoint's ranking."""
    st.error(f"{name}: {why}", icon=":material/broken_image:")


def everywhere(
    catalogues: dict[str, GalleryWithMetadata], rankings: dict[str, Ranking], shown: dict[str, Ranking]
) -> dict[str, Item]:
    """{path: picture} of the hits shown that are the same file in all galleries, and ranked in all."""
    ranked = {name: {hit.item.path for hit in ranking.hits} for name, ranking in rankings.items()}
    return {
        hit.item.path: hit.item
        for name, own in shown.items()
        for hit in own.hits
        if all(
            hit.item.path in ranked[other] and catalogue.own(catalogues[name], hit.item.path)
            for other, catalogue in catalogues.items()
        )
    }


@st.cache_resource(show_spinner=False)
def galleries(folder: str) -> Galleries:
    """The galleries of a folder's checkpoints, opened once for all visitors."""
    return Galleries(checkpoints())


def ask(catalogue: GalleryWithMetadata) -> Query:
    """The query: an upload, or a picture of the gallery by identity and camera."""
    with st.sidebar:
        upload = st.file_uploader("A crop of your own", type=KINDS, key="crop")
    if upload is not None:
        photo = upload.getvalue()
        left, right = st.columns([1, 3])
        left.image(draw.tile(np.asarray(dcal.read_image(photo).image), SIDE), width="stretch")
        right.markdown(reid_captions.query(catalogue, QueryInfo()))
        return Query(photo, QueryInfo(), catalogue)
    item = chosen_item(catalogue)
    return Query(catalogue.file(item), QueryInfo(item.identity, item.camera, item.path), catalogue)


def chosen_item(catalogue: GalleryWithMetadata) -> Item:
    """A picture of the gallery, chosen by whom it shows and by which camera."""
    gallery, noun = catalogue.gallery, catalogue.noun
    by_identity: dict[str, list[Item]] = {}
    for item in gallery.items:
        by_identity.setdefault(item.identity or "nobody knows", []).append(item)
    who, which = st.columns([1, 2], vertical_alignment="bottom")
    identity = who.selectbox(noun.capitalize(), list(by_identity), key="identity", bind="query-params")
    own = by_identity[identity]
    number = which.segmented_control(
        "Camera",
        range(len(own)),
        format_func=lambda i: own[i].camera or own[i].path,
        default=0,
        key=f"picture_of_{identity}",
    )
    item = own[number or 0]
    st.html(cards.views(catalogue, own, item))
    st.markdown(reid_captions.query(catalogue, QueryInfo(item.identity, item.camera, item.path)))
    return item


def filters(catalogue: GalleryWithMetadata) -> Filters:
    """What is ranked, and how much of it is shown."""
    across = st.toggle(reid_captions.ACROSS, True, key="across")
    left, middle, right = st.columns(3)
    cameras = left.multiselect("Rank only these cameras", catalogue.gallery.cameras, key="find_cameras")
    models = middle.multiselect(
        "Rank only these models", catalogue.models, key="find_models", disabled=not catalogue.models
    )
    most = right.slider("Pictures shown", 1, 50, SHOWN, key="find_most", bind="query-params")
    return Filters(across, cameras, models, most)


def ranked(name: str, catalogue: GalleryWithMetadata, query: Query, chosen: Filters) -> Ranking:
    """The whole ranking by one checkpoint. Its gallery's own pictures are embedded already; another is looked at."""
    item = query.among(catalogue)
    known = QueryInfo() if item is None else QueryInfo(item.identity, item.camera, item.path)
    return rank(
        catalogue.gallery,
        seen_by(name, checkpoints().version(name), query.photo) if item is None else item,
        k=len(catalogue.gallery),
        cameras=catalogue.cameras(chosen.cameras, known, chosen.across),
        identities=catalogue.identities(chosen.models),
    )


def column(name: str, catalogue: GalleryWithMetadata, query: Query, ranking: Ranking, across: bool) -> None:
    """One checkpoint's ranking."""
    st.html(f'<div class="about">{captions.about(checkpoints().config(name), name, {})}</div>')
    elsewhere = f" {reid_captions.NOT_THERE}" if ranking.known.path != query.known.path else ""
    st.markdown(reid_captions.worth(catalogue, ranking, across) + elsewhere)
    st.html(cards.hits(catalogue, ranking, clickable=False))


def explain(
    catalogues: dict[str, GalleryWithMetadata],
    rankings: dict[str, Ranking],
    found: dict[str, Item],
    query: Query,
    style: Look,
) -> None:
    """One of the pictures found, and what made each checkpoint match it, at whatever rank."""
    first = catalogues[next(iter(catalogues))]
    st.subheader("Why did it match?")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    path = left.selectbox(
        "Picture",
        list(found),
        format_func=lambda p: ", ".join(reid_captions.who(first, found[p])) or p,
        key="explained_picture",
    )
    branch = right.segmented_control(
        "Branch", list(reid_captions.BRANCHES), default=next(iter(reid_captions.BRANCHES)), key="branch"
    )
    kind = reid_captions.BRANCHES[branch or next(iter(reid_captions.BRANCHES))]
    explained = {name: explanation(name, catalogues[name], query, rankings[name], path) for name in catalogues}
    patch = asked_patch(next(iter(explained.values())), style)
    branches = {name: kind if kind in why.branches else "fused" for name, why in explained.items()}
    drawn = style.options() | ({} if patch is not None else {"scale": shared_scale(explained, branches)})
    with st.container(key="explained"):
        for place, (name, why) in zip(st.columns(len(explained)), explained.items(), strict=True):
            with place:
                st.html(f'<div class="about"><h3>{captions.attentions(checkpoints().config(name))}</h3></div>')
                st.image(why.picture(branches[name], patch, side=SIDE, **drawn), width="stretch")
                st.markdown(why.sentence(branches[name], patch))
                st.markdown(why.difference(branches[name]) or reid_captions.NO_TWINS)


def shared_scale(explained: dict[str, Explanation], branches: dict[str, str]) -> tuple[float, float]:
    """The scale on which the maps of all checkpoints can be compared."""
    evidence = [why.evidence(branches[name]) for name, why in explained.items()]
    return draw.shared_scale(*(map for one in evidence for map in (one.query_map, one.match_map)))


def asked_patch(why: Explanation, style: Look) -> int | None:
    """The patch of the query that was clicked, if one is to be asked."""
    if not st.toggle("Ask one patch of the query what it found", key="ask_patch"):
        return None
    left, _ = st.columns(2)
    with left:
        row, col = patch_chooser(why.match.query, why.evidence("fused").query_map, style)
    return row * why.shape[1] + col


def explanation(name: str, catalogue: GalleryWithMetadata, query: Query, ranking: Ranking, path: str) -> Explanation:
    """Why a picture of the gallery matches the query, by one checkpoint, at whatever rank it stands there."""
    hit = next(hit for hit in ranking.hits if hit.item.path == path)
    match = matched(name, checkpoints().version(name), query.photo, catalogue.file(hit.item))
    return Explanation(hit, match, yard_pair(catalogue, ranking.known, hit), checkpoints().evidence(name))


@st.cache_resource(show_spinner="Looking …", max_entries=8)
def matched(checkpoint: str, version: str, query: bytes, match: bytes) -> dcal.Match:
    """`dcal.explain_match`, by checkpoint name and files and by the pictures' bytes."""
    model = checkpoints().model(checkpoint)
    return dcal.explain_match(model, look_at(checkpoint, query), look_at(checkpoint, match))


def figures(shelf: CheckpointLibrary, names: list[str]) -> None:
    """What was measured of each checkpoint on the whole test split, as it is kept beside it."""
    kept = {name: shelf.figures(name) for name in names}
    across = {name: own["across_cameras"] for name, own in kept.items() if "across_cameras" in own}
    st.subheader("Measured on all test pictures")
    for heading, own in (("Among the pictures of the other cameras", across), ("By the standard protocol", kept)):
        if own:
            st.markdown(f"**{heading}**")
            st.table([reid_captions.figures_row(name, shelf.config(name), values) for name, values in own.items()])
    st.caption(reid_captions.FIGURES)

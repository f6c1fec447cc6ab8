"""One query through several re-identification checkpoints: their rankings side by side, and why a picture matched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st

import dcal
from app import cards, find_words, words
from app.board.choice import KINDS, Look, checkpoints, look, look_at
from app.board.inspect import patch_chooser
from app.explanation import Explanation, yard_pair
from app.galleries import Catalogue, Galleries
from app.shelf import Shelf
from dcal import draw
from dcal.gallery import Item, Known, Ranking, rank

HERE = Path(__file__).resolve()
CSS = [HERE.with_name("compare.css"), HERE.parents[1] / "cards.css", HERE.with_name("find.css")]
SHOWN = 8  # pictures of every ranking, at first
SIDE = 384  # pixels of either picture's side in an explanation


@dataclass(frozen=True)
class Query:
    """Whom to look for: a picture of the gallery, or an upload; its file's bytes, and what is known of it."""

    photo: bytes
    known: Known


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
        st.info(find_words.NO_CHECKPOINT)
        return
    compared = st.multiselect("Checkpoints", names, shelf.ablations(names[0]), key="find_compared")
    if not compared:
        st.info("Choose at least one checkpoint.")
        return
    opened = galleries(str(shelf.folder))
    catalogues = {name: opened.catalogue(name) for name in compared}
    first = catalogues[compared[0]]
    query = ask(first)
    chosen = filters(first)
    rankings = {name: ranked(name, catalogue, query, chosen) for name, catalogue in catalogues.items()}
    shown = {name: replace(ranking, hits=ranking.hits[: chosen.most]) for name, ranking in rankings.items()}
    with st.container(key="rankings"):
        for place, (name, ranking) in zip(st.columns(len(shown)), shown.items(), strict=True):
            with place:
                column(name, catalogues[name], ranking, chosen.across)
    everywhere = set.intersection(*({hit.item.path for hit in ranking.hits} for ranking in rankings.values()))
    found = {h.item.path: h.item for own in shown.values() for h in own.hits if h.item.path in everywhere}
    if found:
        explain(catalogues, rankings, found, query, style)
    figures(shelf, names)


@st.cache_resource(show_spinner=False)
def galleries(folder: str) -> Galleries:
    """The galleries of a folder's checkpoints, opened once for all visitors."""
    return Galleries(checkpoints())


def ask(catalogue: Catalogue) -> Query:
    """The query: an upload, or a picture of the gallery by identity and camera."""
    with st.sidebar:
        upload = st.file_uploader("A crop of your own", type=KINDS, key="crop")
    if upload is not None:
        photo = upload.getvalue()
        left, right = st.columns([1, 3])
        left.image(draw.tile(np.asarray(dcal.read_picture(photo).image), SIDE), width="stretch")
        right.markdown(find_words.query(catalogue, Known()))
        return Query(photo, Known())
    item = chosen_item(catalogue)
    return Query(catalogue.gallery.photo(item).read_bytes(), Known(item.identity, item.camera, item.path))


def chosen_item(catalogue: Catalogue) -> Item:
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
    st.markdown(find_words.query(catalogue, Known(item.identity, item.camera, item.path)))
    return item


def filters(catalogue: Catalogue) -> Filters:
    """What is ranked, and how much of it is shown."""
    across = st.toggle(find_words.ACROSS, True, key="across")
    left, middle, right = st.columns(3)
    cameras = left.multiselect("Rank only these cameras", catalogue.gallery.cameras, key="find_cameras")
    models = middle.multiselect(
        "Rank only these models", catalogue.models, key="find_models", disabled=not catalogue.models
    )
    most = right.slider("Pictures shown", 1, 50, SHOWN, key="find_most", bind="query-params")
    return Filters(across, cameras, models, most)


def ranked(name: str, catalogue: Catalogue, query: Query, chosen: Filters) -> Ranking:
    """The whole ranking by one checkpoint. The gallery's own pictures are embedded already; an upload is looked at."""
    own = query.known.path is not None
    return rank(
        catalogue.gallery,
        catalogue.item(str(query.known.path)) if own else look_at(name, query.photo),
        k=len(catalogue.gallery),
        cameras=catalogue.cameras(chosen.cameras, query.known, chosen.across),
        identities=catalogue.identities(chosen.models),
    )


def column(name: str, catalogue: Catalogue, ranking: Ranking, across: bool) -> None:
    """One checkpoint's ranking."""
    st.html(f'<div class="about">{words.about(checkpoints().config(name), name, {})}</div>')
    st.markdown(find_words.worth(catalogue, ranking, across))
    st.html(cards.hits(catalogue, ranking, clickable=False))


def explain(
    catalogues: dict[str, Catalogue], rankings: dict[str, Ranking], found: dict[str, Item], query: Query, style: Look
) -> None:
    """One of the pictures found, and what made each checkpoint match it, at whatever rank."""
    first = catalogues[next(iter(catalogues))]
    st.subheader("Why did it match?")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    path = left.selectbox(
        "Picture",
        list(found),
        format_func=lambda p: ", ".join(find_words.who(first, found[p])) or p,
        key="explained_picture",
    )
    branch = right.segmented_control(
        "Branch", list(find_words.BRANCHES), default=next(iter(find_words.BRANCHES)), key="branch"
    )
    kind = find_words.BRANCHES[branch or next(iter(find_words.BRANCHES))]
    explained = {name: explanation(name, catalogues[name], query, rankings[name], path) for name in catalogues}
    patch = asked_patch(next(iter(explained.values())), style)
    branches = {name: kind if kind in why.branches else "fused" for name, why in explained.items()}
    drawn = style.options() | ({} if patch is not None else {"scale": shared_scale(explained, branches)})
    with st.container(key="explained"):
        for place, (name, why) in zip(st.columns(len(explained)), explained.items(), strict=True):
            with place:
                st.html(f'<div class="about"><h3>{words.attentions(checkpoints().config(name))}</h3></div>')
                st.image(why.picture(branches[name], patch, side=SIDE, **drawn), width="stretch")
                st.markdown(why.sentence(branches[name], patch))
                st.markdown(why.difference(branches[name]) or find_words.NO_TWINS)


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


def explanation(name: str, catalogue: Catalogue, query: Query, ranking: Ranking, path: str) -> Explanation:
    """Why a picture of the gallery matches the query, by one checkpoint, at whatever rank it stands there."""
    hit = next(hit for hit in ranking.hits if hit.item.path == path)
    match = matched(name, checkpoints().version(name), query.photo, catalogue.gallery.photo(hit.item).read_bytes())
    return Explanation(hit, match, yard_pair(catalogue, query.known, hit))


@st.cache_resource(show_spinner="Looking …", max_entries=8)
def matched(checkpoint: str, version: str, query: bytes, match: bytes) -> dcal.Match:
    """`dcal.explain_match`, by checkpoint name and files and by the pictures' bytes."""
    model = checkpoints().model(checkpoint)
    return dcal.explain_match(model, look_at(checkpoint, query), look_at(checkpoint, match))


def figures(shelf: Shelf, names: list[str]) -> None:
    """What was measured of each checkpoint on the whole test split, as it is kept beside it."""
    kept = {name: shelf.figures(name) for name in names}
    across = {name: own["across_cameras"] for name, own in kept.items() if "across_cameras" in own}
    st.subheader("Measured on all test pictures")
    for heading, own in (("Among the pictures of the other cameras", across), ("By the standard protocol", kept)):
        if own:
            st.markdown(f"**{heading}**")
            st.table([find_words.figures_row(name, shelf.config(name), values) for name, values in own.items()])
    st.caption(find_words.FIGURES)

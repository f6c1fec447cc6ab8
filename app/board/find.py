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
CSS = [HERE.with_name("compare.css"), HERE.with_name("find.css"), HERE.parents[1] / "cards.css"]
SHOWN = 8  # pictures of every ranking, at first
SIDE = 384  # pixels of either picture's side in an explanation


@dataclass(frozen=True)
class Query:
    """Whom to look for: a picture of the gallery, or an upload; its file's bytes, and what is known of it."""

    photo: bytes
    known: Known


def page() -> None:
    """The query, a column for each checkpoint's ranking, one explained picture, and the table of figures."""
    for path in CSS:
        st.html(path)
    st.title("Who is it?")
    shelf, style = checkpoints(), look()
    names = shelf.names("reid")
    if not names:
        st.info(find_words.NO_CHECKPOINT)
        return
    compared = st.multiselect("Checkpoints", names, shelf.ablations(names[0]), key="find_compared")
    if not compared:
        st.info("Choose at least one checkpoint.")
        return
    catalogues = {name: catalogue_of(name) for name in compared}
    first = catalogues[compared[0]]
    query = ask(first)
    cameras, models, most = filters(first)
    rankings = {name: ranked(name, catalogue, query, cameras, models) for name, catalogue in catalogues.items()}
    with st.container(key="rankings"):
        for place, (name, ranking) in zip(st.columns(len(rankings)), rankings.items(), strict=True):
            with place:
                column(name, catalogues[name], replace(ranking, hits=ranking.hits[:most]))
    explain(catalogues, rankings, most, query, style)
    st.subheader("Measured on all test pictures")
    figures(shelf, names)


@st.cache_resource(show_spinner=False)
def galleries(folder: str) -> Galleries:
    """The galleries of a folder's checkpoints, opened once for all visitors."""
    return Galleries(checkpoints())


def catalogue_of(checkpoint: str) -> Catalogue:
    """A checkpoint's gallery; where there is none to open, the run ends with the message."""
    try:
        return galleries(str(checkpoints().folder)).catalogue(checkpoint)
    except dcal.DCALError as error:
        st.error(str(error), icon=":material/folder_off:")
        st.stop()


def ask(catalogue: Catalogue) -> Query:
    """The query: an upload, or a picture of the gallery by identity and camera."""
    with st.sidebar:
        upload = st.file_uploader("A crop of your own", type=KINDS, key="crop")
    if upload is not None:
        photo = upload.getvalue()
        left, right = st.columns([1, 3])
        left.image(draw.tile(look_at_pixels(photo), SIDE), width="stretch")
        right.markdown(find_words.query(catalogue, Known()))
        return Query(photo, Known())
    item = chosen_item(catalogue)
    return Query(catalogue.gallery.photo(item).read_bytes(), Known(item.identity, item.camera, item.path))


def look_at_pixels(photo: bytes) -> np.ndarray:
    """An upload's pixels; what is no picture ends the run with its message."""
    try:
        return np.asarray(dcal.read_picture(photo).image)
    except dcal.DCALError as error:
        st.error(str(error), icon=":material/broken_image:")
        st.stop()


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
        "Picture",
        range(len(own)),
        format_func=lambda i: f"camera {own[i].camera}" if own[i].camera else own[i].path,
        default=0,
        key=f"picture_of_{identity}",
    )
    item = own[number or 0]
    st.html(cards.views(catalogue, own, item))
    st.markdown(find_words.query(catalogue, Known(item.identity, item.camera, item.path)))
    return item


def filters(catalogue: Catalogue) -> tuple[list[str], list[str], int]:
    """Which cameras and models are ranked (none: all), and how many pictures are shown."""
    left, middle, right = st.columns(3)
    cameras = left.multiselect("Rank only these cameras", catalogue.gallery.cameras, key="find_cameras")
    models = middle.multiselect(
        "Rank only these models", catalogue.models, key="find_models", disabled=not catalogue.models
    )
    most = right.slider("Pictures shown", 1, 50, SHOWN, key="find_most", bind="query-params")
    return cameras, models, most


def ranked(name: str, catalogue: Catalogue, query: Query, cameras: list[str], models: list[str]) -> Ranking:
    """The whole ranking by one checkpoint. The gallery's own pictures are embedded already; an upload is looked at."""
    own = query.known.path is not None
    asked = catalogue.item(str(query.known.path)) if own else look_at(name, query.photo)
    identities = catalogue.identities(models)
    return rank(catalogue.gallery, asked, k=len(catalogue.gallery), cameras=cameras or None, identities=identities)


def column(name: str, catalogue: Catalogue, ranking: Ranking) -> None:
    """One checkpoint's ranking."""
    shelf = checkpoints()
    st.html(f'<div class="about">{words.about(shelf.config(name), name, shelf.metrics(name))}</div>')
    st.markdown(find_words.worth(catalogue, ranking))
    st.html(cards.hits(catalogue, ranking, clickable=False))


def explain(catalogues: dict[str, Catalogue], rankings: dict[str, Ranking], query: Query, style: Look) -> None:
    """One picture that was found, and what made each checkpoint match it, or not."""
    first = catalogues[next(iter(catalogues))]
    found = {hit.item.path: hit.item for ranking in rankings.values() for hit in ranking.hits[:most]}
    if not found:
        return
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
    with st.container(key="explained"):
        for place, (name, why) in zip(st.columns(len(explained)), explained.items(), strict=True):
            with place:
                one = kind if kind in why.branches else "fused"
                st.html(f'<div class="about"><h3>{words.attentions(checkpoints().config(name))}</h3></div>')
                st.image(why.picture(one, patch, side=SIDE, **style.options()), width="stretch")
                st.markdown(why.sentence(one, patch))
                if told := why.difference(one):
                    st.markdown(told)


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
    rows = [find_words.figures_row(name, shelf.config(name), shelf.figures(name)) for name in names]
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    st.table([{heading: row.get(heading, "–") for heading in headings} for row in rows])
    st.caption(find_words.FIGURES)

"""A gallery's images as queries: which rank well and which badly, and how similar true and false matches are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from dcal.gallery import Hit, Item, rank
from dcal.gallery.survey import CASES, MOST, Comparison, Survey, case_steps, survey_steps
from dcal.progress import Steps
from dcal.retrieval import Quality, Reranking
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import UNKNOWN, GalleryWithMetadata
from dcal_explorer.content.markdown import plain
from dcal_explorer.content.numbers import percent
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard import retrieval_figures
from dcal_explorer.dashboard.choices import choose_checkpoint
from dcal_explorer.dashboard.embedding_map import embedding_map
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.markup import Html
from dcal_explorer.dashboard.query import choose_gallery, galleries
from dcal_explorer.dashboard.sidebar import library
from dcal_explorer.dashboard.work import worked

CSS = [STYLES / "cards.css", Path(__file__).with_name("retrieval.css")]
ORDERS = {"worst": "Worst first", "best": "Best first", "random": "Random"}
HITS = 7  # of every ranking shown
SEED = 0  # of the random order
MOST_KEPT = 8  # galleries whose figures are kept, for all visitors


@shows_errors
def page() -> None:
    """One checkpoint's gallery: figures of all queries, then single rankings in the order chosen."""
    for path in CSS:
        st.html(path)
    names = library().names("reid")
    if not names:
        st.info(reid_captions.NO_CHECKPOINT)
        return
    left, right = st.columns([1, 1], vertical_alignment="bottom")
    name = choose_checkpoint("Checkpoint", names, "retrieval_checkpoint", left)
    across = right.toggle(reid_captions.ACROSS, True, key="across", bind="query-params")
    place = choose_gallery([name])
    gallery, version = galleries().open(name, place), galleries().version(name, place)
    if (found := surveyed(name, place, version, across)) is not None:
        of_all_queries(name, place, gallery, found, across)
    if len(gallery.embedded) <= MOST:
        st.subheader("What re-ranking and the camera rule change")
        retrieval_figures.changes(compared(name, place, version))
    st.subheader("The embeddings in the plane")
    embedding_map(name, place, version, gallery)


def of_all_queries(name: str, place: str, gallery: GalleryWithMetadata, found: Survey, across: bool) -> None:
    """What the survey found: figures, single rankings, similarities, with what was measured on test images."""
    retrieval_figures.figures(found)
    rankings(name, place, gallery, found, across)
    st.subheader("Similarities")
    retrieval_figures.similarities(found)
    measured = library().evaluation(name).values.get("similarities", {})
    left, right = st.columns(2)
    with left:
        retrieval_figures.open_set(measured)
    with right:
        retrieval_figures.reliability(measured)


def surveyed(name: str, place: str, version: str, across: bool) -> Survey | None:
    """`survey` of a gallery, by the files of the checkpoint and the gallery; None if the visitor stopped it."""
    key = name, place, version, across
    return worked("survey", [key], survey_of, "Ranking every image of the gallery", MOST_KEPT).get(key)


def survey_of(key: tuple[str, str, str, bool]) -> Steps[Survey]:
    name, place, _, across = key
    return survey_steps(galleries().open(name, place).embedded, across)


def compared(name: str, place: str, version: str) -> Comparison:
    """`comparison` of a gallery, by the files of the checkpoint and the gallery; as far as it came if stopped."""
    keys = [(name, place, version, *case) for case in CASES]
    what = "Re-ranking for every image of the gallery"
    found = worked("comparison", keys, case_of, what, MOST_KEPT * len(CASES))
    return Comparison({key[3:]: quality for key, quality in found.items()})


def case_of(key: tuple[str, str, str, bool, bool]) -> Steps[Quality]:
    name, place, _, across, reranked = key
    return case_steps(galleries().open(name, place).embedded, across, reranked, Reranking())


def rankings(name: str, place: str, gallery: GalleryWithMetadata, found: Survey, across: bool) -> None:
    """Single queries, sorted by average precision or drawn at random; the page says which."""
    st.subheader("Queries")
    left, right = st.columns(2, vertical_alignment="bottom")
    order = (
        left.segmented_control(
            "Order", list(ORDERS), default="worst", format_func=ORDERS.__getitem__, key="order", bind="query-params"
        )
        or "worst"
    )
    count = right.slider("Queries shown", 1, 20, 5, key="queries_shown", bind="query-params")
    chosen = ordered(found, order)[:count]
    total = int((found.quality.matches > 0).sum())
    what = {
        "worst": f"The {len(chosen)} queries with the lowest average precision, of {total:,}.",
        "best": f"The {len(chosen)} queries with the highest average precision, of {total:,}.",
        "random": f"{len(chosen)} queries drawn at random, of {total:,}: the same ones every time.",
    }
    st.markdown(
        f"{what[order]} Click an image to open its ranking and why it matched on the page Re-identify.{twins(gallery)}"
    )
    for row in chosen:
        one_ranking(name, place, gallery, int(found.queries[row]), float(found.quality.ap[row]), across)


def twins(gallery: GalleryWithMetadata) -> str:
    """What a twin is, for a gallery that has some."""
    return f" {reid_captions.TWINS.capitalize()}." if gallery.yard else ""


def ordered(found: Survey, order: str) -> Sequence[int]:
    """Rows of the queries that have a match."""
    rows = np.flatnonzero(found.quality.matches > 0)
    if order == "random":
        return [int(row) for row in np.random.default_rng(SEED).permutation(rows)]
    ap = found.quality.ap[rows]
    return [int(row) for row in rows[np.argsort(ap if order == "worst" else -ap, kind="stable")]]


def one_ranking(name: str, place: str, gallery: GalleryWithMetadata, index: int, ap: float, across: bool) -> None:
    """A query and its nearest images."""
    item = gallery.embedded.items[index]
    known = gallery.query_info(item)
    cameras = gallery.cameras((), known, across)
    ranking = rank(gallery.embedded, item, k=HITS, cameras=cameras)
    facts = ", ".join(reid_captions.facts(gallery, item)) or item.path
    st.markdown(f"**{plain(facts)}** · average precision {percent(ap)} · first correct image at rank {ranking.first}")
    left, right = st.columns([1, HITS])
    left.html(Html(cards.views(gallery, [item], item, links=[link(name, place, gallery, item, across)])))
    links = [link(name, place, gallery, item, across, hit) for hit in ranking.hits]
    right.html(Html(cards.hits(gallery, ranking, clickable=False, links=links)))


def link(name: str, place: str, gallery: GalleryWithMetadata, query: Item, across: bool, hit: Hit | None = None) -> str:
    """The address of the page Re-identify with this query, and a hit explained there."""
    identity = query.identity or UNKNOWN
    own = gallery.by_identity[identity]
    values = {"find_compared": name, "identity": identity, "across": str(across).lower(), "gallery": place}
    values[f"image_of_{identity}"] = query.camera or query.path if own.index(query) else ""
    if hit is not None:
        values["explained_image"] = ", ".join(reid_captions.facts(gallery, hit.item)) or hit.item.path
    return f"reidentify?{urlencode({key: value for key, value in values.items() if value})}"

"""A gallery's images as queries: which rank well and which badly, and how similar true and false matches are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dcal.gallery import rank
from dcal.gallery.survey import Survey, survey
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.content.numbers import percent, similarity
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard import charts
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.query import galleries
from dcal_explorer.dashboard.sidebar import library

CSS = [STYLES / "cards.css"]
ORDERS = {"worst": "Worst first", "best": "Best first", "random": "Random"}
HITS = 7  # of every ranking shown
SEED = 0  # of the random order
TRUE, FALSE = "true matches", "false matches"
THRESHOLD = (
    "A threshold on the similarity misses the true matches below it and accepts the false ones above it. Where both "
    "curves cross, the two error rates are equal."
)


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
    name = left.selectbox("Checkpoint", names, key="retrieval_checkpoint", bind="query-params")
    across = right.toggle(reid_captions.ACROSS, True, key="across", bind="query-params")
    gallery = galleries().open(name)
    found = surveyed(name, library().version(name), across)
    figures(found)
    similarities(found)
    rankings(gallery, found, across)


@st.cache_resource(show_spinner="Ranking every image of the gallery …", max_entries=8)
def surveyed(name: str, version: str, across: bool) -> Survey:
    """`survey` of a checkpoint's gallery, by the checkpoint's files."""
    return survey(galleries().open(name).embedded, across)


def figures(found: Survey) -> None:
    """mAP, CMC and the distribution of the average precision."""
    quality = found.quality
    summary = quality.summary()
    parts = [f"**mAP {percent(quality.mAP)}**", f"mINP {percent(quality.mINP)}"]
    parts += [f"rank-{k} {percent(float(summary[f'rank{k}']))}" for k in (1, 5, 10) if f"rank{k}" in summary]
    skipped = f" {summary['skipped']} queries have no match and are not counted." if summary["skipped"] else ""
    st.markdown(f"{' · '.join(parts)}, over {summary['queries']:,} queries.{skipped}")
    left, right = st.columns(2)
    curve = quality.cmc[:20]
    cmc = {"CMC": (list(range(1, len(curve) + 1)), curve.tolist())}
    left.plotly_chart(
        charts.lines(cmc, "rank k", "queries with a match within k", percent=True), width="stretch", key="cmc"
    )
    histogram = go.Figure(
        go.Histogram(x=quality.ap[quality.matches > 0], xbins={"start": 0, "end": 1.0001, "size": 0.05})
    )
    histogram.update_traces(marker_color=charts.COLOURS[0])
    histogram.update_xaxes(title="average precision", tickformat=".0%", range=[0, 1])
    histogram.update_yaxes(title="queries")
    right.plotly_chart(charts.styled(histogram), width="stretch", key="ap_histogram")


def similarities(found: Survey) -> None:
    """The similarities of true and of false matches, and the error rates of a threshold."""
    st.subheader("Similarities")
    centres = (found.edges[1:] + found.edges[:-1]) / 2
    occupied = np.flatnonzero(found.true + found.false)
    low, high = float(found.edges[occupied[0]]), float(found.edges[occupied[-1] + 1])
    left, right = st.columns(2)
    histogram = go.Figure()
    for name, counts, colour in ((TRUE, found.true, charts.COLOURS[2]), (FALSE, found.false, charts.COLOURS[1])):
        histogram.add_bar(x=centres, y=counts / max(1, counts.sum()), name=name, marker_color=colour, opacity=0.6)
    histogram.update_layout(barmode="overlay", bargap=0)
    histogram.update_xaxes(title="similarity (cosine)", range=[low, high])
    histogram.update_yaxes(title="share of the pairs", tickformat=".0%")
    left.plotly_chart(charts.styled(histogram), width="stretch", key="similarities")
    missed, accepted = found.error_rates()
    curves = {
        "true matches missed": (found.edges.tolist(), missed.tolist()),
        "false matches accepted": (found.edges.tolist(), accepted.tolist()),
    }
    rates = charts.lines(curves, "threshold on the similarity", "error rate", percent=True)
    rates.update_traces(mode="lines")
    rates.update_xaxes(range=[low, high])
    right.plotly_chart(rates, width="stretch", key="error_rates")
    equal = int(np.abs(missed - accepted).argmin())
    st.caption(
        f"{THRESHOLD} Here at about {similarity(float(found.edges[equal]))}, with {percent(float(missed[equal]))} "
        f"missed and {percent(float(accepted[equal]))} accepted."
    )


def rankings(gallery: GalleryWithMetadata, found: Survey, across: bool) -> None:
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
    st.markdown(what[order])
    for row in chosen:
        one_ranking(gallery, int(found.queries[row]), float(found.quality.ap[row]), across)


def ordered(found: Survey, order: str) -> Sequence[int]:
    """Rows of the queries that have a match."""
    rows = np.flatnonzero(found.quality.matches > 0)
    if order == "random":
        return [int(row) for row in np.random.default_rng(SEED).permutation(rows)]
    ap = found.quality.ap[rows]
    return [int(row) for row in rows[np.argsort(ap if order == "worst" else -ap, kind="stable")]]


def one_ranking(gallery: GalleryWithMetadata, index: int, ap: float, across: bool) -> None:
    """A query and its nearest images."""
    item = gallery.embedded.items[index]
    known = gallery.query_info(item)
    cameras = gallery.cameras((), known, across)
    ranking = rank(gallery.embedded, item, k=HITS, cameras=cameras)
    facts = ", ".join(reid_captions.facts(gallery, item)) or item.path
    st.markdown(f"**{facts}** · average precision {percent(ap)} · first correct image at rank {ranking.first}")
    left, right = st.columns([1, HITS])
    left.html(cards.views(gallery, [item], item))
    right.html(cards.hits(gallery, ranking, clickable=False))

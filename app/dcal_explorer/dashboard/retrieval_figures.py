"""Charts of the page Retrieval: the quality of all rankings, what changes it, and what a threshold would get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dcal.gallery.survey import Comparison, Survey
from dcal_explorer.content.numbers import percent, similarity
from dcal_explorer.dashboard import charts

TRUE, FALSE = "true matches", "false matches"
PERFECT = "perfect calibration"
KNOWN, NEW = "identity in the gallery", "identity taken out"
THRESHOLD = (
    "A threshold on the similarity misses the true matches below it and accepts the false ones above it. Where both "
    "curves cross, the two error rates are equal."
)
OPEN_SET = "Is the query's identity in the gallery at all?"
NO_EVALUATION = (
    "How often that is told rightly was not measured for these weights: `dcal eval --task reid` writes it beside them."
)
RULES = {True: "images of other cameras", False: "all images (standard protocol)"}
ORDERS = {False: "by similarity", True: "re-ranked"}


def figures(found: Survey) -> None:
    """mAP, CMC and the distribution of the average precision; first, how many queries cannot be answered."""
    quality = found.quality
    summary = quality.summary()
    queries, skipped = int(summary["queries"]), int(summary["skipped"])
    if skipped:
        st.warning(
            f"{skipped:,} of the {queries:,} queries have no match among these images. They are not counted: the "
            f"figures are of the other {queries - skipped:,}."
        )
    parts = [f"**mAP {percent(quality.mAP)}**", f"mINP {percent(quality.mINP)}"]
    parts += [f"rank-{k} {percent(float(summary[f'rank{k}']))}" for k in (1, 5, 10) if f"rank{k}" in summary]
    st.markdown(f"{' · '.join(parts)}, over {queries - skipped:,} queries.")
    left, right = st.columns(2)
    curve = quality.cmc[:20]
    cmc = {"CMC": (list(range(1, len(curve) + 1)), curve.tolist())}
    charts.chart(charts.lines(cmc, "rank k", "queries with a match within k", percent=True), key="cmc", place=left)
    histogram = go.Figure(
        go.Histogram(x=quality.ap[quality.matches > 0], xbins={"start": 0, "end": 1.0001, "size": 0.05})
    )
    histogram.update_traces(marker_color=charts.COLOURS[0])
    histogram.update_xaxes(title="average precision", tickformat=".0%", range=[0, 1])
    histogram.update_yaxes(title="queries")
    charts.chart(charts.styled(histogram), key="ap_histogram", place=right)


def changes(found: Comparison) -> None:
    """mAP and rank-1 by both camera rules, in the order of similarity and re-ranked, as far as they are computed."""
    rows = []
    for (across, reranked), quality in found.qualities.items():
        row = {"among": RULES[across], "order": ORDERS[reranked], "mAP": percent(quality.mAP)}
        rows.append(row | {f"rank-{k}": percent(float(quality.cmc[k - 1])) for k in (1, 5) if k <= len(quality.cmc)})
    if rows:
        st.dataframe(rows, hide_index=True)
    if not {(True, False), (True, True)} <= set(found.qualities):
        return
    raised, lowered = found.changed(True)
    st.caption(
        f"Among images of other cameras, re-ranking by k-reciprocal neighbours raises the average precision of "
        f"{raised:,} queries and lowers that of {lowered:,}. The standard protocol keeps other identities on the "
        "query's own camera, whose background makes them similar."
    )


def similarities(found: Survey) -> None:
    """The similarities of true and of false matches, and the error rates of a threshold."""
    low, high = float(found.edges[0]), float(found.edges[-1])
    left, right = st.columns(2)
    counts = {TRUE: (found.true, charts.COLOURS[2]), FALSE: (found.false, charts.COLOURS[1])}
    charts.chart(overlaid(counts, low, high, "pairs"), key="similarities", place=left)
    missed, accepted = found.error_rates()
    curves = {
        "true matches missed": (found.edges.tolist(), missed.tolist()),
        "false matches accepted": (found.edges.tolist(), accepted.tolist()),
    }
    rates = charts.lines(curves, "threshold on the similarity", "error rate", percent=True)
    rates.update_traces(mode="lines")
    rates.update_xaxes(range=[low, high])
    charts.chart(rates, key="error_rates", place=right)
    equal = int(np.abs(missed - accepted).argmin())
    st.caption(
        f"{THRESHOLD} Here at about {similarity(float(found.edges[equal]))}, with {percent(float(missed[equal]))} "
        f"missed and {percent(float(accepted[equal]))} accepted."
    )


def open_set(measured: Mapping[str, Any]) -> None:
    """Best similarities of queries whose identity is in the gallery and of those whose is taken out; the threshold's
    two error rates. `measured`: evaluation.json's `similarities`."""
    st.markdown(f"**{OPEN_SET}**")
    found = measured.get("across", measured.get("mixed", {})).get("open_set")
    if found is None:
        st.caption(NO_EVALUATION)
        return
    chosen = found["chosen"]
    if (drawn := found.get("histogram")) is not None:
        counts = {
            KNOWN: (np.array(drawn["known"]), charts.COLOURS[2]),
            NEW: (np.array(drawn["new"]), charts.COLOURS[1]),
        }
        figure = overlaid(counts, drawn["low"], drawn["high"], "queries")
        figure.update_xaxes(title="similarity of the best image")
        figure.add_vline(
            x=chosen["threshold"], line_dash="dash", line_color=charts.COLOURS[6], annotation_text="threshold"
        )
        charts.chart(figure, key="open_set")
    st.caption(
        f"On test images, with the identity in the gallery and with it taken out: AUROC {found['auroc']:.3f}. At the "
        f"threshold of {similarity(chosen['threshold'])}, {percent(chosen['misses'])} of the queries that are there "
        f"are called new, and {percent(chosen['false_alarms'])} of the new ones pass."
    )


def reliability(measured: Mapping[str, Any]) -> None:
    """Probabilities against what they came to on test images, with the calibration error; nothing without one."""
    found = measured.get("across", measured.get("mixed", {}))
    if "reliability" not in found:
        return
    st.markdown("**Can the probabilities on the cards be trusted?**")
    bins = found["reliability"]
    sizes = [6 + 18 * (own["pairs"] / max(row["pairs"] for row in bins)) ** 0.5 for own in bins]
    figure = charts.lines({PERFECT: ([0.0, 1.0], [0.0, 1.0])}, "probability", "share of one identity", percent=True)
    figure.update_traces(mode="lines", line={"color": charts.COLOURS[6], "dash": "dash"})
    figure.add_scatter(
        x=[own["probability"] for own in bins],
        y=[own["matches"] for own in bins],
        mode="markers",
        name="measured; larger: more pairs",
        marker={"size": sizes, "color": charts.COLOURS[0]},
    )
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    charts.chart(figure, key="reliability")
    pairs = sum(own["pairs"] for own in bins)
    st.caption(
        f"Each query's ten most similar test images, in {len(bins)} bins of {pairs:,} pairs. "
        f"Expected calibration error {percent(found['calibration_error'])}."
    )


def overlaid(counts: Mapping[str, tuple[np.ndarray, str]], low: float, high: float, of: str) -> go.Figure:
    """{name: (counts in equal bins, colour)} as histograms over each other, each as shares of its own sum."""
    figure = go.Figure()
    for name, (values, colour) in counts.items():
        edges = np.linspace(low, high, len(values) + 1)
        shares = values / max(1, values.sum())
        figure.add_bar(x=(edges[1:] + edges[:-1]) / 2, y=shares, name=name, marker_color=colour, opacity=0.6)
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(title="similarity (cosine)", range=[low, high])
    figure.update_yaxes(title=f"share of the {of}", tickformat=".0%")
    return charts.styled(figure)

"""One image through one checkpoint: predictions, and all maps in the live view, for one class and one R."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

import dcal
from dcal.explain.inspect import explain_class
from dcal_explorer.content import captions, map_scores
from dcal_explorer.content.live_payload import live_payload, rivals
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.dashboard import charts
from dcal_explorer.dashboard.choices import choose_checkpoint
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.image_bar import image
from dcal_explorer.dashboard.live import live
from dcal_explorer.dashboard.sidebar import library, record_of


@shows_errors
def page() -> None:
    """The whole page, top to bottom: what belongs to the predicted class comes first."""
    data = image()
    checkpoint = choose_checkpoint("Checkpoint", library().names(), "checkpoint", st.sidebar)
    before = record_of(checkpoint, data)
    with st.container(key="summary"):
        st.markdown(captions.summary(before, checkpoint, library().metrics(checkpoint)))
    left, right = st.columns([3, 1])
    with right:
        target, rival, ratio = choices(before)
    version, scores = library().version(checkpoint), MapScores.of(library().analysis(checkpoint))
    seen = chosen_record(checkpoint, version, data, target, ratio)
    with left:
        key = f"{checkpoint}@{hash((version, data, target, rival, ratio)):x}"
        live(seen, packed(checkpoint, key, rival, seen, scores), "inspect", library().model(checkpoint))
    with right:
        explain(before, seen, scores)


def choices(seen: dcal.Inspection) -> tuple[str | None, str | None, float | None]:
    """The class whose evidence is shown, the one it is contrasted with (None: the runner-up), and R.

    None where the checkpoint has no classes, or no GLCA.
    """
    target, rival, ratio = None, None, None
    if captions.names_classes(seen.config):
        charts.chart_of(predictions, probabilities(seen), key="predictions")
        shown = {name: text for text, name in captions.choices(seen)}
        first = str(captions.first_choice(seen))
        ordered = [first, *(name for name in shown if name != first)]
        target = st.selectbox(
            "Class whose evidence is shown", ordered, format_func=shown.__getitem__, key="target", bind="query-params"
        )
        others = {name: text for text, name in rivals(seen) if name != target}
        rival = st.selectbox(
            "Contrasted with", list(others), format_func=others.__getitem__, key="rival", bind="query-params"
        )
    if seen.selected is not None:
        label = "R, the share of patches that GLCA selects"
        ratio = st.slider(label, 0.01, 1.0, seen.top_ratio, 0.01, key="ratio", bind="query-params")
    return target, rival or None, ratio


@st.cache_resource(show_spinner="Computing …", max_entries=12)
def chosen_record(
    checkpoint: str, version: str, image: bytes, target: str | None, ratio: float | None
) -> dcal.Inspection:
    """The record with the evidence for a class and the selection at R, by checkpoint name and files."""
    seen, model = record_of(checkpoint, image), library().model(checkpoint)
    if target is not None:
        seen = explain_class(model, seen, seen.classes.index(target))
    return seen if ratio is None or ratio == seen.top_ratio else dcal.reselect(model, seen, ratio)


@st.cache_resource(show_spinner=False, max_entries=12)
def packed(checkpoint: str, key: str, rival: str | None, _seen: dcal.Inspection, _scores: MapScores) -> dict[str, Any]:
    """The record for the live view. `key` stands for the record and its rival."""
    return live_payload(_seen, key, "the image", rival=rival, has_model=True, scores=_scores, checkpoint=checkpoint)


def explain(before: dcal.Inspection, seen: dcal.Inspection, scores: MapScores) -> None:
    """What the maps show and what they score on test images, and what R changes."""
    if seen.target is not None:
        st.markdown(f"{captions.evidence(seen, seen.target)[0]} {scores.sentence('relevance')}")
    st.markdown(f"{captions.read(seen, captions.SA)} {captions.rollout_note(seen)} {scores.sentence('rollout')}")
    if seen.selected is None:
        st.info(captions.NO_GLCA)
    else:
        st.markdown(f"**GLCA.** {captions.read(seen, captions.GLCA_MAPS['input'])} {scores.sentence('glca_input')}")
        st.markdown(captions.selection(seen, before))
    st.caption(map_scores.SINGLE.strip("*"))


def probabilities(seen: dcal.Inspection) -> dict[str, list[tuple[str, float]]]:
    """{branch: (class, probability)} of the five most probable classes by SA and GLCA together."""
    names = [name for name, _ in seen.top(5)]
    branches = {"SA": seen.sa_probabilities, "GLCA": seen.glca_probabilities}
    if seen.glca_probabilities is not None:
        branches["SA + GLCA"] = seen.probabilities
    return {
        branch: [(captions.readable(name), float(values[seen.classes.index(name)])) for name in names]
        for branch, values in branches.items()
        if values is not None
    }


def predictions(branches: Mapping[str, Sequence[tuple[str, float]]]) -> go.Figure:
    """`probabilities` as bars, each branch's beside the others'."""
    bars = [
        go.Bar(
            name=branch,
            y=[name for name, _ in own],
            x=[probability for _, probability in own],
            orientation="h",
            marker_color=charts.BRANCHES[branch],
        )
        for branch, own in branches.items()
    ]
    figure = go.Figure(bars)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", type="category")  # also classes whose names are numbers
    figure.update_layout(
        height=300,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        legend={"traceorder": "reversed", "orientation": "h", "y": -0.15},
    )
    return figure

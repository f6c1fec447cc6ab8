"""One image through one checkpoint: predictions, class evidence, layer by layer, patch by patch."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

import dcal
from dcal import draw
from dcal.explain.inspect import explain_class
from dcal_explorer.content import captions, map_scores
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.patches import patch_chooser
from dcal_explorer.dashboard.sidebar import Look, image, library, look, record_of

COLOURS = {"SA": "rgb(67, 133, 190)", "GLCA": "rgb(224, 130, 40)", "SA + GLCA": "rgb(100, 116, 139)"}  # as in bars.css


@shows_errors
def page() -> None:
    """The whole page, top to bottom: what belongs to the predicted class comes first."""
    data, style = image(), look()
    with st.sidebar:
        checkpoint = st.selectbox("Checkpoint", library().names(), key="checkpoint", bind="query-params")
    seen = record_of(checkpoint, data)
    scores = MapScores.of(library().analysis(checkpoint))
    st.markdown(captions.summary(seen, checkpoint, library().metrics(checkpoint)))
    if captions.names_classes(seen.config):
        left, right = st.columns(2)
        with left:
            st.subheader("Predictions")
            st.plotly_chart(predictions(seen), width="stretch", key="predictions")
        with right:
            class_evidence(checkpoint, data, seen, scores, style)
    st.subheader("Rollout, and one patch")
    rollout(seen, scores, style)
    st.subheader("SA and GLCA")
    both_maps(seen, scores, style)
    st.subheader("All layers")
    labels = [f"layer {i + 1}" for i in range(seen.num_layers)]
    st.image(draw.strip(seen, seen.rollout, labels, **style.options()), width="stretch")
    st.caption(captions.layers(seen))


def class_evidence(checkpoint: str, data: bytes, seen: dcal.Inspection, scores: MapScores, style: Look) -> None:
    """The relevance of a class, at first the most probable one."""
    st.subheader("Class evidence")
    names = dict(captions.choices(seen))
    by_name = {name: shown for shown, name in names.items()}
    first = str(captions.first_choice(seen))
    ordered = [first, *(name for name in by_name if name != first)]
    target = st.selectbox("Class", ordered, format_func=by_name.__getitem__, key="target", bind="query-params")
    explained = explained_record(checkpoint, library().version(checkpoint), data, target)
    assert explained.relevance is not None and explained.target is not None
    st.image(draw.figure(explained, explained.relevance, max_side=512, **style.options()), width="stretch")
    st.markdown(f"{captions.evidence(explained, explained.target)[0]} {scores.sentence('relevance')}")


@st.cache_resource(show_spinner="Computing …", max_entries=12)
def explained_record(checkpoint: str, version: str, image: bytes, target: str) -> dcal.Inspection:
    """The record with the maps for one class, by checkpoint name and files."""
    seen = record_of(checkpoint, image)
    return explain_class(library().model(checkpoint), seen, seen.classes.index(target))


def rollout(seen: dcal.Inspection, scores: MapScores, style: Look) -> None:
    """The rollout by one layer, and what one of its patches attends to."""
    layer = st.slider("Layer", 1, seen.num_layers, seen.num_layers, key="layer", bind="query-params")
    map = seen.rollout[layer - 1]
    left, right = st.columns(2)
    with left:
        row, col = patch_chooser(seen, map, style)
        score = scores.sentence("rollout") if layer == seen.num_layers else map_scores.LAST_LAYER_ONLY
        st.markdown(f"{captions.layer(seen, layer, map, 'mean', 0.0)} {captions.rollout_note(seen)} {score}")
    with right:
        attended = seen.token(layer - 1, row, col)
        st.image(draw.mark(seen, draw.overlay(seen, attended, **style.options()), row, col), width="stretch")
        st.markdown(f"{captions.token(row + 1, col + 1, layer, 0, attended)} {map_scores.SINGLE}")


def predictions(seen: dcal.Inspection) -> go.Figure:
    """The five most probable classes by SA and GLCA together, with each branch's probability beside."""
    names = [name for name, _ in seen.top(5)]
    places = [seen.classes.index(name) for name in names]
    branches = {"SA": seen.sa_probabilities, "GLCA": seen.glca_probabilities}
    if seen.glca_probabilities is not None:
        branches["SA + GLCA"] = seen.probabilities
    bars = [
        go.Bar(
            name=branch, y=names, x=[float(values[i]) for i in places], orientation="h", marker_color=COLOURS[branch]
        )
        for branch, values in branches.items()
        if values is not None
    ]
    figure = go.Figure(bars)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=320, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend={"traceorder": "reversed"})
    return figure


def both_maps(seen: dcal.Inspection, scores: MapScores, style: Look) -> None:
    """SA's and GLCA's maps on one scale, or why there is only one."""
    sa = f"{captions.SA} {scores.sentence('rollout')}"
    if seen.glca_input_map is None:
        st.image(draw.overlay(seen, seen.sa_map, **style.options()))
        st.markdown(sa)
        st.info(captions.NO_GLCA)
        return
    low, high = draw.shared_scale(seen.sa_map, seen.glca_input_map)
    glca = f"**GLCA.** {captions.GLCA_MAPS['input']} {scores.sentence('glca_input')}"
    for column, (map, sentence) in zip(st.columns(2), ((seen.sa_map, sa), (seen.glca_input_map, glca)), strict=True):
        column.image(draw.overlay(seen, map, low=low, high=high, **style.options()), width="stretch")
        column.markdown(sentence)

"""One photo through one checkpoint: layer by layer, patch by patch."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

import dcal
from dcal import draw
from dcal_explorer.content import captions
from dcal_explorer.dashboard.sidebar import Look, checkpoints, look, look_at, photo

COLOURS = {"SA": "rgb(67, 133, 190)", "GLCA": "rgb(224, 130, 40)", "SA + GLCA": "rgb(100, 116, 139)"}  # as in bars.css


def page() -> None:
    """The whole page, top to bottom."""
    st.title("What does it look at?")
    data, style = photo(), look()
    with st.sidebar:
        checkpoint = st.selectbox("Checkpoint", checkpoints().names(), key="checkpoint", bind="query-params")
    seen = look_at(checkpoint, data)
    st.markdown(captions.summary(seen, checkpoint, checkpoints().metrics(checkpoint)))
    layer = st.slider("Layer", 1, seen.num_layers, seen.num_layers, key="layer", bind="query-params")
    left, right = st.columns(2)
    with left:
        row, col = patch_chooser(seen, seen.rollout[layer - 1], style)
        st.markdown(captions.layer(seen, layer, seen.rollout[layer - 1], "mean", 0.0))
    with right:
        attended = seen.token(layer - 1, row, col)
        st.image(draw.mark(seen, draw.overlay(seen, attended, **style.options()), row, col), width="stretch")
        st.markdown(captions.token(row + 1, col + 1, layer, 0, attended))
    st.subheader("Predictions")
    if captions.names_classes(seen.config):
        st.plotly_chart(predictions(seen), width="stretch", key="predictions")
    else:
        st.info(captions.NO_CLASSES)
    st.subheader("SA and GLCA")
    both_maps(seen, style)
    st.subheader("All layers")
    labels = [f"layer {i + 1}" for i in range(seen.num_layers)]
    st.image(draw.strip(seen, seen.rollout, labels, **style.options()), width="stretch")
    st.caption(captions.layers(seen))


def patch_chooser(seen: dcal.Inspection, map: np.ndarray, style: Look) -> tuple[int, int]:
    """The map over the photo with a point on every patch; (row, col) of the one clicked, else the strongest."""
    rows, cols = seen.layout.rows, seen.layout.cols
    picture = draw.overlay(seen, map, **style.options())
    figure = patch_points(seen, picture)
    event = st.plotly_chart(figure, width="stretch", key="patches", on_select="rerun", selection_mode="points")
    points = event["selection"]["points"] if event else []
    chosen = points[0]["point_index"] if points else int(map.argmax())
    return divmod(chosen, cols) if chosen < rows * cols else divmod(int(map.argmax()), cols)


def patch_points(seen: dcal.Inspection, picture: np.ndarray) -> go.Figure:
    """A figure with `picture` behind and one transparent square on each patch's centre, row by row."""
    height, width = picture.shape[:2]
    photo_height, photo_width = seen.photo.shape[:2]
    left, top, right, bottom = seen.box
    x = (left + (np.arange(seen.layout.cols) + 0.5) * (right - left) / seen.layout.cols) * width / photo_width
    y = (top + (np.arange(seen.layout.rows) + 0.5) * (bottom - top) / seen.layout.rows) * height / photo_height
    xs, ys = (axis.ravel() for axis in np.meshgrid(x, y))
    marker = {"symbol": "square", "size": 16, "opacity": 0.0}
    figure = go.Figure(go.Scatter(x=xs, y=ys, mode="markers", marker=marker, hoverinfo="none"))
    figure.add_layout_image(
        source=Image.fromarray(picture), x=0, y=0, sizex=width, sizey=height, xref="x", yref="y", layer="below"
    )
    figure.update_xaxes(visible=False, range=[0, width])
    figure.update_yaxes(visible=False, range=[height, 0], scaleanchor="x")
    figure.update_layout(dragmode=False, margin={"l": 0, "r": 0, "t": 0, "b": 0}, height=420)
    return figure


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


def both_maps(seen: dcal.Inspection, style: Look) -> None:
    """SA's and GLCA's maps on one scale, or a word on why there is one only."""
    if seen.glca_input_map is None:
        st.image(draw.overlay(seen, seen.sa_map, **style.options()))
        st.markdown(captions.SA)
        st.info(captions.NO_GLCA)
        return
    low, high = draw.shared_scale(seen.sa_map, seen.glca_input_map)
    maps = (seen.sa_map, captions.SA), (seen.glca_input_map, f"**GLCA.** {captions.GLCA_MAPS['input']}")
    for column, (map, sentence) in zip(st.columns(2), maps, strict=True):
        column.image(draw.overlay(seen, map, low=low, high=high, **style.options()), width="stretch")
        column.markdown(sentence)

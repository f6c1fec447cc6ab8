"""A patch that is clicked in an image, kept as a place in the image: the same for every checkpoint and grid."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

import dcal
from dcal import draw
from dcal_explorer.dashboard import charts
from dcal_explorer.dashboard.sidebar import Look

Place = tuple[float, float]  # (x, y) as fractions of the image's width and height
PARAMETER = "at"  # of the page's address


def patch_chooser(seen: dcal.Inspection, map: np.ndarray, style: Look, key: str = "patches") -> tuple[int, int]:
    """The map over the image with a point on every patch; (row, col) of the one chosen, else the strongest.

    The choice holds for other maps, grids and checkpoints: it is kept as a place, also in the page's address.
    """
    grid = f"{seen.layout.rows}x{seen.layout.cols}-{'-'.join(f'{edge:g}' for edge in seen.box)}"
    figure = patch_points(seen, draw.overlay(seen, map, **style.options()))
    event = charts.chart(figure, key=f"{key}-{grid}", on_select="rerun", selection_mode="points")
    if event and (points := event["selection"]["points"]):
        keep_place(draw.place_of(seen, *divmod(points[0]["point_index"], seen.layout.cols)))
    place = kept_place()
    found = None if place is None else draw.patch_under(seen, place)
    return divmod(int(map.argmax()), seen.layout.cols) if found is None else found


def kept_place() -> Place | None:
    """The place in the page's address; None if there is none or it is outside the image."""
    x, _, y = st.query_params.get(PARAMETER, "").partition(",")
    try:
        place = float(x), float(y)
    except ValueError:
        return None
    return place if 0 <= place[0] < 1 and 0 <= place[1] < 1 else None


def keep_place(place: Place) -> None:
    st.query_params[PARAMETER] = f"{place[0]:.4f},{place[1]:.4f}"


def patch_points(seen: dcal.Inspection, image: np.ndarray) -> go.Figure:
    """A figure with `image` behind and one transparent square on each patch's centre, row by row."""
    height, width = image.shape[:2]
    xs, ys = zip(
        *(
            draw.patch_centre(seen, row, col, image.shape)
            for row in range(seen.layout.rows)
            for col in range(seen.layout.cols)
        ),
        strict=True,
    )
    marker = {"symbol": "square", "size": 16, "opacity": 0.0}
    figure = go.Figure(go.Scatter(x=xs, y=ys, mode="markers", marker=marker, hoverinfo="none"))
    figure.add_layout_image(
        source=Image.fromarray(image), x=0, y=0, sizex=width, sizey=height, xref="x", yref="y", layer="below"
    )
    figure.update_xaxes(visible=False, range=[0, width])
    figure.update_yaxes(visible=False, range=[height, 0], scaleanchor="x")
    figure.update_layout(dragmode=False, margin={"l": 0, "r": 0, "t": 0, "b": 0}, height=420)
    return figure

"""The gallery's embeddings in the plane; a lasso around points opens their images."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from dcal.gallery import Item
from dcal.gallery.projection import METHODS, Projection, projection_steps
from dcal.progress import Steps
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.content.numbers import percent
from dcal_explorer.dashboard import charts
from dcal_explorer.dashboard.markup import Html
from dcal_explorer.dashboard.query import galleries
from dcal_explorer.dashboard.work import worked

TITLES = {"pca": "Principal components", "t-sne": "t-SNE"}
SHOWN = 48  # images that a lasso opens
MOST_MAPS = 16  # kept for all visitors
MOST_COLOURS = 12  # values that get an entry of the legend
T_SNE = "t-SNE keeps neighbours together; the distances between its groups, and their sizes, mean nothing."


def embedding_map(name: str, place: str, version: str, gallery: GalleryWithMetadata) -> None:
    """The map, and the images of the points that a lasso, a box or clicks select."""
    left, right = st.columns(2)
    method = left.segmented_control(
        "Map", METHODS, default="pca", format_func=TITLES.__getitem__, key="map", bind="query-params"
    )
    names = {gallery.noun: "identity", "camera": "camera"}
    colour = right.segmented_control(
        "Colour by", list(names), default=gallery.noun, key="map_colour", bind="query-params"
    )
    key = name, place, version, method or "pca"
    found = worked("map", [key], projected, f"The map by {TITLES[key[-1]]}", MOST_MAPS).get(key)
    if found is None:
        return
    items = [gallery.embedded.items[index] for index in found.indices.tolist()]
    event = charts.chart(
        scatter(gallery, found, items, names[colour or gallery.noun]),
        key=f"embedding_map-{method}-{colour}",
        on_select="rerun",
        selection_mode=("lasso", "box", "points"),
    )
    if found.explained is not None:
        st.caption(f"The two components hold {percent(sum(found.explained))} of the variance.")
    else:
        st.caption(T_SNE)
    chosen = [items[point["customdata"][0]] for point in event["selection"]["points"]] if event else []
    if not chosen:
        st.caption("Draw a lasso around points, or click them, to see their images.")
        return
    more = f", the first {SHOWN} of them shown" if len(chosen) > SHOWN else ""
    st.markdown(f"**{len(chosen):,} images chosen{more}.**")
    st.html(Html(cards.captioned(gallery, chosen[:SHOWN])))


def projected(key: tuple[str, str, str, str]) -> Steps[Projection]:
    """`projection_steps` of a gallery, by the names and files of the checkpoint and the gallery, and the method."""
    name, place, _, method = key
    return projection_steps(galleries().open(name, place).embedded, method)


def scatter(gallery: GalleryWithMetadata, found: Projection, items: list[Item], label: str) -> go.Figure:
    """A point for each image, one trace for each value of the label; hovering names the image."""
    values = [getattr(item, label) or "unknown" for item in items]
    names = list(dict.fromkeys(values))
    figure = go.Figure()
    for number, name in enumerate(names):
        own = [place for place, value in enumerate(values) if value == name]
        figure.add_scatter(
            x=found.points[own, 0],
            y=found.points[own, 1],
            mode="markers",
            name=name,
            customdata=[[place] for place in own],
            text=[", ".join(reid_captions.facts(gallery, items[place])) or items[place].path for place in own],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": charts.COLOURS[number % len(charts.COLOURS)],
                "symbol": number // len(charts.COLOURS) % len(SYMBOLS),
                "size": 8,
            },
        )
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, scaleanchor="x")
    figure.update_layout(dragmode="lasso", showlegend=len(names) <= MOST_COLOURS)
    return charts.styled(figure, 460)


SYMBOLS = range(5)  # circle, square, diamond, cross, x

"""Plotly figures that several pages use: one style, one colour per checkpoint and per branch; names are text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dcal_explorer.dashboard.work import once

MOST = 128  # figures kept for all visitors
# Okabe and Ito's palette: told apart by colour-blind readers, legible on light and on dark.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b59f00")
BRANCHES = {"SA": "rgb(67, 133, 190)", "GLCA": "rgb(224, 130, 40)", "SA + GLCA": "rgb(100, 116, 139)"}  # as in bars.css
Interval = tuple[float, float, float]  # mean, low, high
# Plotly reads some HTML, entities and formulas between dollar signs, wherever it writes text.
MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", "$": "&#36;"})
OURS = {"hovertemplate", "source"}  # what holds markup of the pages' own, and the data of an image; never a name


def chart(figure: go.Figure, key: str, place: Any = st, **options: Any) -> Any:
    """Show a figure at a `place` of the page, every text of it as it is; what Streamlit's `plotly_chart` returns.

    No page shows a figure but by this or `chart_of`, so that no name of a class, checkpoint, image or run is ever
    markup.
    """
    return place.plotly_chart(as_text(figure), width="stretch", key=key, **options)


def chart_of(make: Callable[..., go.Figure], *data: Any, key: str, place: Any = st, **options: Any) -> Any:
    """`chart` of `make(*data)`, which is made once for these data: plotly checks every value that it is given.

    `make` is a function of a module, `data` are what JSON can say; {} in another order are other data.
    """
    of = make.__module__, make.__qualname__, json.dumps(data)
    figure = once("figures", of, lambda: as_text(make(*data)), MOST)
    return place.plotly_chart(figure, width="stretch", key=key, **options)


def as_text(figure: go.Figure) -> go.Figure:
    """A copy of `figure` that shows each of its texts as it is: names of traces, labels, titles, what hovering says.

    A name that hovering shows is whole: cut at Plotly's 15 characters, it could end within an entity.
    """
    shown = go.Figure(escaped(figure.to_dict()), _validate=False)  # the copy has what the figure has: validated already
    return shown.update_layout(hoverlabel_namelength=-1)


def escaped(value: Any) -> Any:
    """`value` of a figure with all its strings escaped but those under OURS."""
    if isinstance(value, str):
        return value.translate(MARKUP)
    if isinstance(value, Mapping):
        return {key: own if key in OURS else escaped(own) for key, own in value.items()}
    return [escaped(own) for own in value] if isinstance(value, list | tuple) else value


def styled(figure: go.Figure, height: int = 320) -> go.Figure:
    """`figure` with the pages' margins and a fixed height, so that nothing moves while it loads."""
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 24, "b": 0},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    )
    return figure


def intervals(groups: Mapping[str, Mapping[str, Interval]], percent: bool = False) -> go.Figure:
    """{checkpoint: {label: (mean, low, high)}} as points with 95 % intervals, side by side for each label."""
    figure = go.Figure()
    labels = list(dict.fromkeys(label for own in groups.values() for label in own))
    for number, (name, own) in enumerate(groups.items()):
        shift = (number - (len(groups) - 1) / 2) * 0.14
        places = [labels.index(label) + shift for label in own]
        means = [mean for mean, _, _ in own.values()]
        figure.add_scatter(
            x=means,
            y=places,
            mode="markers",
            name=name,
            marker={"color": COLOURS[number % len(COLOURS)], "size": 9},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - mean for mean, _, high in own.values()],
                "arrayminus": [mean - low for mean, low, _ in own.values()],
            },
        )
    figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, autorange="reversed")
    if percent:
        figure.update_xaxes(tickformat=".0%")
    return styled(figure, 120 + 60 * len(labels))


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, percent: bool = False
) -> go.Figure:
    """{name: (xs, ys)} as lines with markers."""
    figure = go.Figure()
    for number, (name, (xs, ys)) in enumerate(series.items()):
        colour = BRANCHES.get(name.upper(), COLOURS[number % len(COLOURS)])
        figure.add_scatter(x=list(xs), y=list(ys), mode="lines+markers", name=name, line={"color": colour})
        figure.data[-1].marker.size = 5
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y, tickformat=".0%" if percent else None)
    return styled(figure)

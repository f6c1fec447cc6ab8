"""One image through several checkpoints, side by side: the ablations, for instance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal_explorer.content import captions
from dcal_explorer.content.numbers import whole_percent
from dcal_explorer.content.places import STYLES
from dcal_explorer.dashboard.errors import shows_errors
from dcal_explorer.dashboard.sidebar import Look, image, library, look, record_of

CSS = [Path(__file__).with_name("compare.css"), STYLES / "bars.css"]
SIDE = 512  # pixels of an image's longer side
BAR = 48  # pixels of the colour bar's height: its numbers must be legible in a narrow column
INTRO = (
    "**SA** is the backbone's self-attention. **GLCA** lets the most-attended patches attend to the whole image "
    "again; it adds maps and predictions of its own. **PWCA** is used in training only and has no map: its effect "
    "shows in the others. Maps of one kind share one scale."
)
NO_MAP = "Trained without global-local cross-attention (GLCA): there is no such map."
NO_SELECTION = "GLCA selects the patches; this model has no GLCA."
ONE_BRANCH = "SA is the only branch of this model: its predictions are those at the top."

Scale = tuple[float, float]


@shows_errors
def page() -> None:
    """A column for each checkpoint; every row of maps is on one scale. Moving a slider only draws again."""
    for path in CSS:
        st.html(path)
    data, style = image(), look()
    names = library().names()
    compared = st.multiselect("Checkpoints", names, library().ablations(names[0]), key="compared", bind="query-params")
    if not compared:
        st.info("Choose at least one checkpoint.")
        return
    seen = {name: record_of(name, data) for name in compared}
    for note in dict.fromkeys(note for record in seen.values() for note in record.notes):
        st.caption(note)
    st.caption(INTRO)
    depth = min(record.num_layers for record in seen.values())
    layer = st.slider("Layer of the rollout", 1, depth, depth, key="compared_layer", bind="query-params")
    if verdict := captions.verdict(list(seen.values())):
        st.markdown(verdict)
    rollouts = draw.shared_scale(*(record.rollout[layer - 1] for record in seen.values()))
    carried = [record.glca_input_map for record in seen.values() if record.glca_input_map is not None]
    glca = draw.shared_scale(*carried) if carried else (0.0, 1.0)
    with st.container(key="columns"):
        for place, (name, record) in zip(st.columns(len(seen)), seen.items(), strict=True):
            with place:
                column(name, record, layer, rollouts, glca, style)


def column(name: str, seen: dcal.Inspection, layer: int, rollouts: Scale, glca: Scale, style: Look) -> None:
    """One checkpoint, top to bottom. Every column has the same parts, so that they stand in rows (see compare.css)."""
    branches = list(captions.top(seen, 3).items())
    together, apart = dict(branches[:1]), dict(branches[1:])  # SA + GLCA, or SA where it is alone
    st.html(f'<div class="about">{captions.about(seen.config, name, library().metrics(name))}</div>')
    st.html(captions.bars(together))
    picture(seen, seen.rollout[layer - 1], rollouts, style)
    st.caption(f"Rollout by layer {layer}")
    if seen.glca_input_map is None or seen.selected is None or seen.selected_mask is None:
        absent(seen, NO_MAP)
        st.caption("No GLCA map")
        absent(seen, NO_SELECTION)
        st.caption("No selected patches")
    else:
        picture(seen, seen.glca_input_map, glca, style)
        st.caption("GLCA's map")
        st.image(draw.selection(seen, seen.selected_mask, SIDE), width="stretch")
        st.caption(f"GLCA's {len(seen.selected)} selected patches (R = {whole_percent(seen.top_ratio)})")
    st.html(captions.bars(apart) if apart else f'<p class="alone">{ONE_BRANCH if together else ""}</p>')


def picture(seen: dcal.Inspection, map: np.ndarray, scale: Scale, style: Look) -> None:
    """A map over the image, and the colour bar of its row's scale."""
    low, high = scale
    drawn = draw.overlay(seen, map, low=low, high=high, max_side=SIDE, **style.options())
    st.image(draw.under(drawn, draw.bar(SIDE, low, high, style.colormap, height=BAR)), width="stretch")


def absent(seen: dcal.Inspection, sentence: str) -> None:
    """A box of the image's shape with the reason why there is no map."""
    height, width = seen.image.shape[:2]
    st.html(f'<div class="absent" style="--shape: {width} / {height}"><p>{sentence}</p></div>')

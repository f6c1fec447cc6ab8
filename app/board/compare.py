"""One photo through several checkpoints, side by side: the ablations, for instance."""

from __future__ import annotations

import streamlit as st

from app import words
from app.board.choice import checkpoints, look, look_at, photo
from dcal import draw


def page() -> None:
    """A column for each checkpoint; every row of maps is on one scale."""
    st.title("Which one looks where?")
    data, style = photo(), look()
    names = st.multiselect("Checkpoints", checkpoints().names(), checkpoints().names()[:4], key="compared")
    if not names:
        st.info("Choose at least one checkpoint.")
        return
    seen = {name: look_at(name, data) for name in names}
    for note in next(iter(seen.values())).notes:
        st.caption(note)
    depth = min(record.num_layers for record in seen.values())
    layer = st.slider("Layer of the rollout", 1, depth, depth, key="layer", bind="query-params")
    low, high = draw.shared_scale(*(record.rollout[layer - 1] for record in seen.values()))
    glca = [record.glca_input_map for record in seen.values() if record.glca_input_map is not None]
    glca_low, glca_high = draw.shared_scale(*glca) if glca else (None, None)
    for column, (name, record) in zip(st.columns(len(names)), seen.items(), strict=True):
        with column:
            st.subheader(name)
            metrics = checkpoints().metrics(name)
            if "top1" in metrics:
                st.caption(f"top-1 {metrics['top1']:.1%} on its test images")
            st.html(words.bars(words.top(record, 3)))
            st.image(
                draw.overlay(record, record.rollout[layer - 1], low=low, high=high, **style.options()), width="stretch"
            )
            st.caption(f"Rollout after layer {layer}: how much of every patch is in the class token.")
            if record.glca_input_map is None or record.selected is None or record.selected_mask is None:
                st.caption("No GLCA branch in this checkpoint.")
                continue
            picture = draw.overlay(record, record.glca_input_map, low=glca_low, high=glca_high, **style.options())
            st.image(picture, width="stretch")
            st.caption(words.GLCA_MAPS["input"])
            st.image(draw.selection(record, record.selected_mask), width="stretch")
            st.caption(f"The {len(record.selected)} patches that ask in the GLCA block (R = {record.top_ratio:.0%}).")

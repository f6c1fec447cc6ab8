"""The test images on which checkpoints disagree most: who is right, whose maps differ; each opens in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

import dcal
from dcal.evaluation.disagreement import Disagreements, disagreements
from dcal.evaluation.image_results import ImageResults, read_image_results
from dcal_explorer.content import ablation_tables as tables
from dcal_explorer.content.checkpoints import SideFile, relative_paths
from dcal_explorer.content.markdown import plain
from dcal_explorer.content.numbers import share
from dcal_explorer.dashboard import errors
from dcal_explorer.dashboard.grid import grid, page_of
from dcal_explorer.dashboard.sidebar import library
from dcal_explorer.dashboard.work import once

ORDERS = {"answers": "By their answers", "maps": "By their maps"}
MAPS = {
    "rollout": "Rollout after the last layer",
    "raw": "Attention of the last layer",
    "glca_input": "GLCA, carried to the input",
}
MOST = 8  # kept for all visitors
ANY, NONE, ALL = "any", "none of them", "all of them"
NO_RESULTS = (
    "Which images they disagree on is not known: `dcal eval --checkpoint …` keeps each image's answer "
    "(predictions.npz) since this release; run it again for at least two of these checkpoints."
)
ABOUT = (
    "By answers: images that some get right and some wrong come first, then those on which the label's probability "
    "(Re-ID: the average precision) differs most. By maps: the largest share of a map that must move to turn one "
    "checkpoint's into another's, on a grid of 7 × 7."
)


def section(results: Mapping[str, ImageResults], chosen: Sequence[str]) -> None:
    """The whole section, for the chosen checkpoints of one task. Raises DCALError for results of other images."""
    st.subheader("Images on which they disagree")
    if len(results) < 2:
        st.info(NO_RESULTS)
        return
    if left_out := [name for name in chosen if name not in results]:
        st.caption(f"Without {plain(', '.join(left_out))}: no predictions.npz of these weights.")
    left, middle, right = st.columns([2, 2, 2], vertical_alignment="bottom")
    order = left.segmented_control(
        "Sort", list(ORDERS), default="answers", format_func=ORDERS.__getitem__, key="disagree_by", bind="query-params"
    )
    maps = [map for map in MAPS if sum(map in found.maps for found in results.values()) > 1]
    map = middle.selectbox("Map", maps, format_func=MAPS.__getitem__, key="disagree_map", bind="query-params")
    who = right.selectbox("Right are exactly", [ANY, *results, NONE, ALL], key="disagree_right", bind="query-params")
    of = map, *((name, library().version(name)) for name in results)
    found = once("disagreements", of, lambda: disagreements(results, map or "rollout"), MOST)
    rows = chosen_rows(found, order or "answers", who)
    if not rows:
        st.info("No image is left: choose another filter.")
        return
    shown = page_of(rows, "disagree_page")
    names = [found.images[row] for row in shown]
    grid(names, lambda n: words(found, shown[n]), "Open in all", "compare", {"compared": list(found.checkpoints)})
    st.caption(ABOUT)


def results_of(evaluations: Mapping[str, SideFile]) -> dict[str, ImageResults]:
    """The checkpoints' results that are of the weights that were evaluated; a damaged file is reported."""
    results = {}
    for name, file in evaluations.items():
        try:
            found = read_results(name, library().version(name))
        except dcal.DCALError as error:
            errors.show(str(error))
            continue
        if found is not None and found.fingerprint == file.values.get("fingerprint"):
            results[name] = found
    return results


@st.cache_resource(show_spinner=False, max_entries=16)
def read_results(name: str, version: str) -> ImageResults | None:
    with relative_paths(library().folder):
        return read_image_results(library().folder / name)


def chosen_rows(found: Disagreements, order: str, who: str) -> list[int]:
    """The images in the order chosen, as far as the filter admits them."""
    rows = found.order(order)
    if who == ANY:
        return rows
    right = {NONE: (), ALL: found.checkpoints}.get(who, (who,))
    admitted = found.only(right)
    return [row for row in rows if admitted[row]]


def words(found: Disagreements, row: int) -> str:
    """An image's label, every checkpoint's answer, and how far the maps differ."""
    lines = [f"**{plain(tables.label_of(found, row))}**", *map(plain, tables.answers_of(found, row))]
    if np.isfinite(found.moved[row]):
        lines.append(f"maps differ by {share(float(found.moved[row]))}")
    return "  \n".join(lines)

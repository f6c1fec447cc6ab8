"""The test images that a checkpoint was evaluated on, of whatever data set: by class, right or wrong, one opened."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dcal.evaluation.disagreement import answers_of, labels_of, right_of, scores_of
from dcal.evaluation.image_results import ImageResults
from dcal.evaluation.predictions import Predictions
from dcal_explorer.content.captions import readable
from dcal_explorer.content.markdown import plain
from dcal_explorer.content.numbers import percent
from dcal_explorer.dashboard.choices import choose_checkpoint
from dcal_explorer.dashboard.disagreement import results_of
from dcal_explorer.dashboard.grid import grid, page_of
from dcal_explorer.dashboard.sidebar import library

ALL = "all"
ANSWERS = {ALL: "All", "right": "Right", "wrong": "Wrong"}
NONE_KEPT = (
    "No test image of this checkpoint is known: run `dcal eval --checkpoint …`, which keeps what each was answered."
)


def section() -> None:
    """The whole section: filters, and a page of images with what the checkpoint answered."""
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    name = choose_checkpoint("Checkpoint", library().names(), "evaluated_checkpoint", left)
    found = results_of({name: library().evaluation(name)}).get(name)
    if found is None:
        st.info(NONE_KEPT)
        return
    st.caption(plain(found.dataset))
    labels = np.array(labels_of(found))
    what = "Class" if isinstance(found.answers, Predictions) else "Identity"
    label = middle.selectbox(what, [ALL, *dict.fromkeys(labels.tolist())], key="evaluated_label", bind="query-params")
    answer = right.segmented_control(
        "Answer",
        list(ANSWERS),
        default=ALL,
        format_func=ANSWERS.__getitem__,
        key="evaluated_answer",
        bind="query-params",
    )
    admitted = (labels == label) | (label == ALL)
    if answer in ("right", "wrong"):
        admitted &= right_of(found) == (answer == "right")
    rows = np.flatnonzero(admitted).tolist()
    if not rows:
        st.info("No image is left: choose fewer filters.")
        return
    shown = page_of(rows, "evaluated_page")
    names = [found.images[row] for row in shown]
    grid(names, lambda n: words(found, shown[n]), "Inspect", "inspect", {"checkpoint": name})


def words(found: ImageResults, row: int) -> str:
    """An image's label, and what the checkpoint answered."""
    label, answer = labels_of(found)[row], answers_of(found)[row]
    sign, score = "✓" if right_of(found)[row] else "✗", percent(float(scores_of(found)[row]))
    if isinstance(found.answers, Predictions):
        return f"**{plain(readable(label))}**  \n{sign} {plain(readable(str(answer)))}; label {score}"
    return f"**identity {plain(label)}**  \n{sign} first match at rank {answer}, AP {score}"

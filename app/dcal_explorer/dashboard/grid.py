"""Rows of a data set's images, each with words below and a button that opens it on another page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal.model.checkpoint import file_version
from dcal_explorer.content.image_folders import image_path
from dcal_explorer.dashboard.choices import keep
from dcal_explorer.dashboard.folders import image_roots
from dcal_explorer.dashboard.image_bar import show_next

CSS = Path(__file__).with_name("grid.css")
SHOWN = 12  # images at once
ACROSS = 4  # in a row
SIDE = 256  # pixels of an image's longer side
NO_IMAGES = "The images are not at hand: give their folder as Data under Folders, or with `dcal dashboard --data-root`."


def page_of(rows: Sequence[int], key: str) -> Sequence[int]:
    """The rows of the page that is chosen, and a sentence that counts them."""
    pages = -(-len(rows) // SHOWN)
    page = int(st.number_input(f"Page, of {pages}", 1, pages, 1, key=f"{key}_of_{pages}", bind="query-params"))
    shown = rows[(page - 1) * SHOWN : page * SHOWN]
    st.markdown(f"**{len(rows):,} images**, {(page - 1) * SHOWN + 1} to {(page - 1) * SHOWN + len(shown)} shown.")
    return shown


def grid(names: Sequence[str], words: Callable[[int], str], button: str, to: str, keeps: Mapping[str, object]) -> None:
    """Images by their names, `words` in Markdown below each. The `button` opens one on the page `to`.

    There, the controls `keeps` hold what is given here.
    """
    st.html(CSS)
    roots = image_roots()
    paths = [image_path(name, roots) for name in names]
    if not any(paths):
        st.info(NO_IMAGES)
    with st.container(key=f"grid-{to}"):
        for start in range(0, len(names), ACROSS):
            for place, number in zip(st.columns(ACROSS), range(start, len(names)), strict=False):
                with place:
                    cell(names[number], paths[number], words(number), button, to, keeps)


def cell(name: str, path: Path | None, words: str, button: str, to: str, keeps: Mapping[str, object]) -> None:
    """One image, its words and its button; without its file, the words alone."""
    if path is not None:
        st.image(thumbnail(str(path), file_version(path)), width="stretch", alt=name)
    st.markdown(words)
    if path is not None and st.button(button, key=f"open-{name}"):
        show_next(name)
        for key, value in keeps.items():
            st.session_state.pop(key, None)
            keep(key, value)
        st.switch_page(st.session_state["pages"][to])


@st.cache_data(show_spinner=False, max_entries=256)
def thumbnail(path: str, version: str) -> bytes:
    """The image, small, as a JPEG file. `version`: of the file."""
    return draw.jpeg(draw.tile(np.asarray(dcal.read_image(path).image), SIDE))

"""The folders that the dashboard reads: from the command line (the environment), or from the sidebar."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from dcal_explorer.content import places

# environment variable → (what the sidebar calls it, what it is for)
FOLDERS = {
    places.CHECKPOINTS_VARIABLE: ("Checkpoints", "A folder of checkpoints."),
    places.GALLERY_VARIABLE: ("Gallery", "A gallery made by `dcal index build`."),
    places.DATA_ROOT_VARIABLE: ("Data", "The folder of the data set that `dcal eval` was run on, for its images."),
    places.RUNS_VARIABLE: ("Runs", "A folder of run folders."),
}


def key_of(variable: str) -> str:
    return f"folder_{variable}"


def folder(variable: str) -> str:
    """The folder given in the sidebar, else in the environment, else ""."""
    return str(st.session_state.get(key_of(variable)) or os.environ.get(variable, "")).strip()


def image_roots() -> Sequence[Path]:
    """Where images of data sets are looked for: the data folder, and the yard that comes with the package."""
    from dcal.data.reid.yard import Yard  # not before the frame of the page stands

    given = folder(places.DATA_ROOT_VARIABLE)
    return [*([Path(given).expanduser()] if given else []), *([Yard.home] if Yard.home is not None else [])]


def folder_choices() -> None:
    """The sidebar's fields. They are not in the page's address: it would show a stranger this machine's paths."""
    with st.sidebar.expander("Folders", icon=":material/folder:"):
        for variable, (label, about) in FOLDERS.items():
            started = os.environ.get(variable, "")
            st.text_input(label, key=key_of(variable), help=about, placeholder=started or "none")

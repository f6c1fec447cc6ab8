"""The dashboard: images, checkpoints and galleries, singly and side by side.

The script of every run; server.py serves it.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable

import streamlit as st

from dcal_explorer.dashboard.folders import folder_choices
from dcal_explorer.dashboard.pages import further_pages
from dcal_explorer.threads import sleep_when_idle

# module in views → (title of the page, in the navigation, icon)
PAGES = {
    "inspect": ("What does it attend to?", "Inspect", ":material/visibility:"),
    "compare": ("Which checkpoint attends where?", "Compare", ":material/compare:"),
    "ablations": ("How good is each checkpoint?", "Ablations", ":material/bar_chart:"),
    "reidentify": ("Which images show the same identity?", "Re-identify", ":material/directions_car:"),
    "retrieval": ("Which queries rank well, which badly?", "Retrieval", ":material/format_list_numbered:"),
    "twins": ("What tells twins apart?", "Twins", ":material/content_copy:"),
    "images": ("What is in the data set?", "Images", ":material/grid_view:"),
    "runs": ("How is training going?", "Runs", ":material/show_chart:"),
}


def main() -> None:
    """All pages. The frame is sent first: a view, and with it torch, is imported when its page is opened."""
    sleep_when_idle()
    st.set_page_config(page_title="DCAL Explorer", page_icon="🔎", layout="wide", initial_sidebar_state="auto")
    pages = {
        name: st.Page(page_of(name, title), title=label, icon=icon, url_path=name)
        for name, (title, label, icon) in PAGES.items()
    } | further_pages()
    # The default page has no path of its own: without this one /inspect would be "page not found".
    title, label, icon = PAGES["inspect"]
    start = st.Page(
        page_of("inspect", title), title=label, icon=icon, url_path="start", default=True, visibility="hidden"
    )
    st.session_state["pages"] = pages
    page = st.navigation([start, *pages.values()])
    page.run()
    folder_choices()


def page_of(name: str, title: str) -> Callable[[], None]:
    """The page of a view: its title at once, the rest when the view is imported."""

    def page() -> None:
        st.title(title)
        view = f"dcal_explorer.dashboard.views.{name}"
        if view not in sys.modules:
            with st.spinner("Loading the page …"):  # with torch, some seconds
                importlib.import_module(view)
                leave_out_of_collections()
        sys.modules[view].page()

    return page


def leave_out_of_collections() -> None:
    """Have garbage collections pass over what is there now, as torch's modules, which stay for good.

    Streamlit collects all garbage after every run; that was more than half of a run's processor time.
    """
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()

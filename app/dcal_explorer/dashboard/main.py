"""The dashboard: one photo in depth, checkpoints side by side, what they find again.

Run it with `streamlit run app/dcal_explorer/dashboard/main.py`.
"""

from __future__ import annotations

import streamlit as st

from dcal_explorer.threads import sleep_when_idle


def main() -> None:
    """All pages, and the sidebar that they share."""
    sleep_when_idle()
    from dcal_explorer.dashboard.views import compare, inspect, reidentify

    st.set_page_config(page_title="DCAL Explorer", page_icon="🔎", layout="wide")
    pages = [
        st.Page(inspect.page, title="Inspect", icon=":material/visibility:", url_path="inspect", default=True),
        st.Page(compare.page, title="Compare", icon=":material/compare:", url_path="compare"),
        st.Page(reidentify.page, title="Re-identify", icon=":material/directions_car:", url_path="reidentify"),
    ]
    st.navigation(pages).run()


main()

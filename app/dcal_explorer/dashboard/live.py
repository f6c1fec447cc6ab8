"""The live view on a page: what the visitor chooses in it stands in the page's address and is there after a reload."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

import dcal
from dcal_explorer.view.streamlit_view import live_view

PARAMETER = "view"  # of the page's address


@st.fragment
def live(
    seen: dcal.Inspection, packed: dict[str, Any], key: str, model: dcal.DCAL, link: str = "", parts: str = "all"
) -> None:
    """Show a packed record of `model`. A fragment: what the view fetches runs this function again, not the page.

    Views with the same `link` move together: those with the `parts` "maps" are moved by one with the parts "controls",
    which keeps what was chosen for all.
    """
    look = live_view(
        seen,
        packed,
        key=f"live-{key}",
        state=kept_state(),
        remembers=parts != "maps",
        link=link,
        model=model,
        parts=parts,
    )
    if look:
        st.query_params[PARAMETER] = json.dumps(look, separators=(",", ":"))


def kept_state() -> dict[str, Any] | None:
    """The choices in the page's address; None if there are none. The view itself checks each of them."""
    try:
        state = json.loads(st.query_params.get(PARAMETER, "null"))
    except (ValueError, RecursionError):
        return None
    return state if isinstance(state, dict) else None

"""The live view as a component of the dashboard."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import streamlit as st

from dcal import DCAL, Inspection
from dcal_explorer.view.answers import answered
from dcal_explorer.view.assets import adapted, stylesheet
from dcal_explorer.view.measuring import Measurements

NAME = "dcal_live_view"


def live_view(
    seen: Inspection,
    payload: dict[str, Any],
    key: str,
    state: dict[str, Any] | None = None,
    remembers: bool = False,
    link: str = "",
    model: DCAL | None = None,
    parts: str = "all",
) -> dict[str, Any] | None:
    """Show `payload` (see payload.py), which was packed from `seen`; its `id` must differ from other records' ids.

    Fetches rerun the script, or the fragment that this is called in: call it in one. `state` is where the view starts.
    `model`: the record's, for payloads that say `has_model`. With `remembers`, what the visitor chooses comes back, at
    the price of a run for every choice. `link` and `parts`: as in gradio_view.py.
    """
    request = st.session_state.get(key, {}).get("fetch")
    answer = None
    if request is not None:
        arrays = None
        if _is_ours(request, payload):
            measurements = st.session_state.setdefault(f"{key}-measurements", Measurements())
            model_of = None if model is None else lambda _: nullcontext(model)
            arrays = answered({payload["id"]: seen}.__getitem__, request, model_of, measurements)
        if arrays is not None:
            answer = {"request": request, "arrays": arrays, "error": arrays.get("error")}
    shown = _component()(
        key=key,
        data={
            "payload": payload,
            "answer": answer,
            "state": state,
            "remembers": remembers,
            "link": link,
            "parts": parts,
        },
        on_fetch_change=_nothing,
        on_look_change=_nothing,
    )
    look = shown.look if remembers else None
    return dict(look) if look is not None else None


def _component() -> Any:
    return st.components.v2.component(
        NAME, html='<div class="dcal-host"></div>', css=stylesheet(), js=adapted("streamlit.js")
    )


def _is_ours(request: Any, payload: dict[str, Any]) -> bool:
    return isinstance(request, dict) and request.get("id") == payload["id"]


def _nothing() -> None:
    """A name for streamlit: it keeps only what has a callback."""

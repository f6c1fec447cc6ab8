"""Choices that survive: a checkpoint asked for that is gone is reported, and a page finds its choices when reopened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dcal import CheckpointError
from dcal_explorer.dashboard import errors

KEPT = "kept_choices"  # in the session: {key: value} of controls whose page is closed
GONE = "There is no checkpoint `{}` any more: it was removed or renamed. Choose another, or restore its folder."


def choose_checkpoint(label: str, names: Sequence[str], key: str, place: Any = st) -> str:
    """One of the checkpoints. One that is asked for and is not there stays chosen, and a CheckpointError is raised."""
    missing = [name for name in asked_for(key) if name not in names]
    remember(key)
    chosen = str(place.selectbox(label, [*names, *missing], key=key, bind="query-params"))
    keep(key, chosen)
    if chosen in missing:
        raise CheckpointError(GONE.format(chosen))
    return chosen


def choose_checkpoints(
    label: str, names: Sequence[str], default: Sequence[str], key: str, place: Any = st, most: int | None = None
) -> list[str]:
    """Some of the checkpoints. Those asked for that are not there stay chosen and are reported, not returned."""
    missing = [name for name in asked_for(key) if name not in names]
    remember(key)
    chosen = place.multiselect(
        label,
        [*names, *missing],
        list(default),
        key=key,
        max_selections=most,
        bind="query-params",
    )
    keep(key, chosen)
    for name in missing:
        if name in chosen:
            errors.show(GONE.format(name))
    return [name for name in chosen if name in names]


def asked_for(key: str) -> list[str]:
    """What the session, a page opened before, or the address holds for a control."""
    value = st.session_state.get(key, st.query_params.get_all(key) or kept(key))
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]


def remember(key: str) -> None:
    """Before a control is made: what it held when its page was open last, unless the address says otherwise."""
    if key not in st.session_state and not st.query_params.get_all(key) and kept(key) is not None:
        st.session_state[key] = kept(key)


def keep(key: str, value: Any) -> None:
    """After a control was made."""
    st.session_state.setdefault(KEPT, {})[key] = value


def kept(key: str) -> Any:
    return st.session_state.get(KEPT, {}).get(key)

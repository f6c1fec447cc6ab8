"""Error reporting of every page: our own errors are shown as they are, the frame of the page stays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from dcal.errors import DCALError
from dcal_explorer.content.markdown import message as as_markdown

P = ParamSpec("P")


def shows_errors(page: Callable[P, None]) -> Callable[P, None]:
    """`page`, whose DCALErrors are shown where they occurred; everything drawn before stays."""

    @functools.wraps(page)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            page(*args, **kwargs)
        except DCALError as error:
            show(str(error))

    return wrapped


def show(message: str) -> None:
    """One error in the page."""
    st.error(as_markdown(message), icon=":material/error:")

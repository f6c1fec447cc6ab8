"""Pages from outside this package: an entry point of the group "dcal.pages" adds one (docs/extending.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from dcal.registry import Registry


@dataclass(frozen=True)
class PageKind:
    """A page of the dashboard: its title, its name and icon in the navigation, and what draws it below the title."""

    title: str
    label: str
    draw: Callable[[], None]
    icon: str = ":material/extension:"


FURTHER: Registry[PageKind] = Registry("dcal.pages", {})


def further_pages() -> dict[str, st.Page]:
    """Those that were announced or registered, by the name that their address has."""
    return {
        name: st.Page(drawn(kind), title=kind.label, icon=kind.icon, url_path=name) for name, kind in FURTHER.items()
    }


def drawn(kind: PageKind) -> Callable[[], None]:
    """The page under its title."""

    def page() -> None:
        st.title(kind.title)
        kind.draw()

    return page

"""HTML of a page, as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Html:
    """HTML for `st.html`, which goes through all lines of a string for their indents: 5 ms for a row of cards."""

    text: str

    def _repr_html_(self) -> str:
        return self.text

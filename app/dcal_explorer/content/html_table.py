"""Rows of figures as an HTML table, which takes its place in the page at once."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

NONE = "–"


def html_table(rows: Sequence[Mapping[str, str]], name: str) -> str:
    """A table of `rows` under the headings that any of them has; a cell that a row has not is a dash. "" for no rows.

    `name` says what it holds to those who cannot see it. Wider than its place, it scrolls.
    """
    if not rows:
        return ""
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    head = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{_cells([row.get(heading, NONE) for heading in headings])}</tr>" for row in rows)
    place = f'class="figures" tabindex="0" role="region" aria-label="{html.escape(name)}"'
    return f"<div {place}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cells(values: Sequence[str]) -> str:
    first, *others = (html.escape(value) for value in values)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{value}</td>" for value in others)

"""Tables of a page, from rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

NONE = "–"  # where a row has not this column


def table(rows: Sequence[Mapping[str, str]]) -> pa.Table:
    """Rows as streamlit sends them, all their columns in the order in which they first occur.

    By way of pandas, which streamlit takes for rows, a table costs 2 to 3 ms, else 0.2.
    """
    columns = dict.fromkeys(column for row in rows for column in row)
    return pa.table({column: [row.get(column, NONE) for row in rows] for column in columns})

"""The documents' tables are what the kept files give."""

from __future__ import annotations

import re

import pytest

from tools.documents.__main__ import DOCUMENTS, ROOT, TABLE, TABLES, renewed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_table_has_drifted(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python -m tools.documents"


def test_a_changed_figure_is_put_right():
    text = (ROOT / "docs/reid.md").read_text(encoding="utf-8")
    table = next(found for found in TABLE.finditer(text) if found["name"] == "dependence")
    wrong = text[: table.start()] + re.sub(r"0\.\d\d", "0.99", table[0], count=1) + text[table.end() :]
    assert wrong != text and renewed(wrong) == text


def test_every_table_stands_in_a_document():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS]
    assert sorted(found["name"] for text in texts for found in TABLE.finditer(text)) == sorted(TABLES)


def test_an_unknown_table_is_an_error():
    with pytest.raises(KeyError, match="nothing"):
        renewed("<!-- table: nothing -->\n<!-- end of table -->\n")

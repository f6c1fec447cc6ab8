"""The benchmark of galleries in Milvus holds every answer against an exact search, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import milvus
from benchmarks.milvus import NAME, measure, table_row
from dcal.gallery.milvus_collection import Collection

add = Collection.add


@pytest.fixture(autouse=True)
def two_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "QUERIES", 2)


def test_a_gallery_is_measured_and_removed(tmp_path: Path) -> None:
    url = str(tmp_path / "gallery.db")
    found = measure(url, 300, 8)
    assert found.images == 300 and found.written > 0 and len(found.searches) == milvus.QUERIES and found.bytes
    assert table_row(found).startswith("| 300 | ")
    collection = Collection(url, NAME)
    assert not collection.client.has_collection(NAME)
    collection.close()


def test_a_wrong_answer_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collection, "add", lambda self, first, items, rows: add(self, first, items, rows[::-1]))
    with pytest.raises(AssertionError, match="not the exact answer"):
        measure(str(tmp_path / "gallery.db"), 300, 8)

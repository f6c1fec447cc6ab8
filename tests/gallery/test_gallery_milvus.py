"""Milvus gives the embedded engine's answers, bit for bit.

Here from a file; from a server, which keeps nothing else, with its URL in DCAL_MILVUS_URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient

from dcal.errors import DCALError
from dcal.gallery import Item, MilvusGallery, open_gallery, rank
from dcal.gallery import milvus_collection as collection_module
from dcal.gallery import milvus_gallery as milvus_module
from dcal.gallery.base import Choice
from dcal.gallery.milvus_collection import Collection
from dcal.gallery.milvus_gallery import expressions
from tests.fixtures.tiny_gallery import ORIGIN, N, random_gallery, random_items, random_rows
from tests.gallery.test_gallery import CASES, own_exclusions

ODD = ("a\"b'c", "back\\slash", "東京", "line\nbreak")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """The random gallery in the collection "dcal"."""
    file = tmp_path_factory.mktemp("milvus") / "gallery.db"
    collection = Collection(os.environ.get("DCAL_MILVUS_URL", str(file)), "dcal")
    fill(collection)
    yield collection
    collection.close()


def fill(collection: Collection, items: list[Item] | None = None) -> None:
    items, rows = items or random_items(), random_gallery().rows(np.arange(N))
    collection.begin(ORIGIN, Path("/images"), N)
    collection.add(0, items[:20], rows[:20])
    collection.add(20, items[20:], rows[20:])
    collection.finish(ORIGIN, Path("/images"), N)


@pytest.fixture(scope="module")
def gallery(database: Collection) -> Iterator[MilvusGallery]:
    gallery = open_gallery(database.url)
    assert isinstance(gallery, MilvusGallery)
    yield gallery
    gallery.close()


def test_it_is_the_same_gallery(gallery: MilvusGallery):
    own = random_gallery()
    assert gallery.items == own.items and len(gallery) == N and gallery.origin == own.origin
    assert gallery.cameras == own.cameras and gallery.image_path(3) == Path("/images") / own.items[3].path
    order = np.array([41, 3, 17])
    assert np.array_equal(gallery.rows(order), own.rows(order))


@pytest.mark.parametrize("case", CASES)
def test_both_engines_give_the_same_answers(gallery: MilvusGallery, case: str):
    queries, own = random_rows(5, seed=9), random_gallery()
    for exclude, k in ((None, 7), (own_exclusions(), N + 2)):
        found = gallery.search(queries, k, exclude=exclude, **CASES[case])
        expected = own.search(queries, k, exclude=exclude, **CASES[case])
        assert np.array_equal(found.indices, expected.indices)
        assert np.array_equal(found.similarities, expected.similarities, equal_nan=True)


def test_rankings_are_the_same(gallery: MilvusGallery):
    own = random_gallery()
    found, expected = (rank(engine, own.items[8], k=9, leave_out_junk=True) for engine in (gallery, own))
    assert found.to_dict() == expected.to_dict() and found.ap is not None


def test_only_the_hits_are_asked_for(gallery: MilvusGallery, monkeypatch: pytest.MonkeyPatch):
    """Of a gallery that was just opened, where nothing needs the labels of all images."""
    own, query = random_gallery(), random_rows(1, seed=9)[0]
    fresh = MilvusGallery(gallery.collection.url)
    monkeypatch.setattr(Collection, "items", lambda *_: pytest.fail("the list of all items was read"))
    found, expected = (engine.search(query[None], 7) for engine in (fresh, own))
    assert np.array_equal(found.indices, expected.indices)
    first, second = (rank(engine, query, k=9).to_dict() for engine in (fresh, own))
    assert first == second
    assert fresh.image_path(3) == Path("/images") / own.items[3].path
    assert fresh.index_of(own.items[5].path) == 5 and fresh.index_of('no"ne.jpg') is None
    with pytest.raises(DCALError, match=f"gallery 'dcal' at .* lacks image {N}: build it again"):
        fresh.rows(np.array([3, N]))
    monkeypatch.undo()
    assert (
        fresh.search(query[None], 7, cameras=["c1"]).indices[0, 0]
        == own.search(query[None], 7, cameras=["c1"]).indices[0, 0]
    )
    assert fresh.items_at(np.array([5])) == [own.items[5]]
    fresh.close()


def test_opening_waits_for_what_was_written_and_searching_does_not(
    database: Collection, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[str, str, str | None]] = []

    def noted(real: Callable[..., Any]) -> Callable[..., Any]:
        def noting(client: MilvusClient, of: str, **options: Any) -> Any:
            asked.append((real.__name__, of, options.get("consistency_level")))
            return real(client, of, **options)

        return noting

    for name in ("query", "get", "search"):
        monkeypatch.setattr(MilvusClient, name, noted(getattr(MilvusClient, name)))
    gallery = MilvusGallery(database.url)
    assert asked == [("query", "dcal_about", "Strong"), ("query", "dcal", "Strong")]
    asked.clear()
    gallery.search(random_rows(1), 3)
    assert asked == [("search", "dcal", "Bounded"), ("get", "dcal", "Bounded")]
    gallery.close()


def test_more_than_milvus_gives_at_once(gallery: MilvusGallery, monkeypatch: pytest.MonkeyPatch):
    for module in (collection_module, milvus_module):
        monkeypatch.setattr(module, "MOST", 16)
    monkeypatch.setattr(collection_module, "ROW_BYTES", 5 * 4 * gallery.width)
    everything = Choice(None, None, None, N)
    assert expressions(everything, 17, N) == [f"id >= {start} and id < {start + 16}" for start in (0, 16, 32, 48)]
    again, own = MilvusGallery(gallery.collection.url), random_gallery()
    assert again.items == own.items
    queries = random_rows(2, seed=9)
    found, expected = (engine.search(queries, 31, cameras=["c0", "c1"]) for engine in (again, own))
    assert np.array_equal(found.indices, expected.indices)
    again.close()


def test_a_choice_as_milvus_reads_it():
    choice = Choice(("c1", 'c"2'), ("7",), None, N)
    assert expressions(choice, 5, N) == ['camera in ["c1", "c\\"2"] and identity in ["7"]']
    assert expressions(Choice(None, None, None, N), 5, N) == [""]


def test_odd_names_and_other_galleries_in_the_same_database(database: Collection):
    items = random_items()
    items[: len(ODD)] = [Item(f"{index}.jpg", name, name) for index, name in enumerate(ODD)]
    other = Collection(database.url, "other")
    fill(other, items)
    fill(other, items)  # in place of itself
    gallery = open_gallery(database.url, collection="other", images="here")
    for index, name in enumerate(ODD):
        assert gallery.search(random_rows(1), 2, cameras=[name], identities=[name]).indices.tolist() == [[index, -1]]
    assert gallery.image_path(0) == Path("here/0.jpg")
    assert open_gallery(database.url).items == tuple(random_items())
    other.close()


def test_what_is_no_gallery_is_said(database: Collection, tmp_path: Path):
    with pytest.raises(DCALError, match="has no gallery 'cars'; its collections: dcal"):
        open_gallery(database.url, collection="cars")
    unfinished = Collection(database.url, "unfinished")
    unfinished.begin(ORIGIN, Path("/images"), N)
    unfinished.add(0, random_items()[:5], random_rows(5))
    with pytest.raises(DCALError, match=r"'unfinished' at .* is not complete: its build was interrupted"):
        open_gallery(database.url, collection="unfinished")
    unfinished.finish(ORIGIN, Path("/images"), N)
    with pytest.raises(DCALError, match=f"has 5 of its {N} images"):
        _ = open_gallery(database.url, collection="unfinished").items
    with pytest.raises(DCALError, match="'dcal_about' that is no gallery: choose another --collection"):
        Collection(database.url, "dcal_about").begin(ORIGIN, Path("/images"), N)
    with pytest.raises(DCALError, match=f"Milvus at {tmp_path}/nowhere/x.db"):
        open_gallery(tmp_path / "nowhere" / "x.db")

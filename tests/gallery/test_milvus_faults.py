"""A Milvus server that goes away in the middle of a build or a search, and comes back.

The server is a small one of gRPC that knows a few of Milvus' calls; the database of the build is a file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

from dcal.errors import DCALError
from dcal.gallery import embed as embedding_module
from dcal.gallery import open_gallery
from dcal.gallery.build import build_collection, build_folder
from dcal.gallery.milvus_collection import Collection, DatabaseError
from dcal.gallery.sources import folder_images
from tests.fixtures.tiny_gallery import ORIGIN, N, random_gallery, random_items, tiny_model, write_sightings


class Empty(milvus_pb2_grpc.MilvusServiceServicer):
    """A database without collections, where nobody may list them."""

    def Connect(self, request: Any, context: grpc.ServicerContext) -> Any:
        return milvus_pb2.ConnectResponse(status=common_pb2.Status(), identifier=1)

    def DescribeCollection(self, request: Any, context: grpc.ServicerContext) -> Any:
        return milvus_pb2.DescribeCollectionResponse(status=common_pb2.Status(code=100, reason="collection not found"))

    def ShowCollections(self, request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")


@contextmanager
def server(port: int = 0) -> Iterator[int]:
    running = grpc.server(ThreadPoolExecutor(2))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Empty(), running)
    bound = running.add_insecure_port(f"127.0.0.1:{port}")
    running.start()
    try:
        yield bound
    finally:
        running.stop(0).wait()


def test_a_server_that_goes_away_is_one_sentence_and_may_come_back(caplog: pytest.LogCaptureFixture) -> None:
    with server() as port:
        collection = Collection(f"http://127.0.0.1:{port}", "cars")
        with pytest.raises(
            DatabaseError, match=rf"^Milvus at http://127.0.0.1:{port}, collection 'cars': not for you$"
        ):
            collection.about()
    for request in (collection.about, lambda: collection.search(np.zeros((1, 4), np.float32), 3, "")):
        with pytest.raises(DatabaseError, match=f"collection 'cars': Fail connecting to server on 127.0.0.1:{port}"):
            request()
    with server(port):
        answer, end = "", time.monotonic() + 60
        while "not for you" not in answer and time.monotonic() < end:  # gRPC tries again after a second or so
            with pytest.raises(DatabaseError) as caught:
                collection.about()
            answer = str(caught.value)
            time.sleep(0.1)
    collection.close()
    assert "not for you" in answer
    assert not [record for record in caplog.records if record.name.startswith("pymilvus")]


@pytest.mark.parametrize("failing", ["insert", "flush"])
def test_a_build_whose_server_goes_away_goes_on(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, model = folder_images(write_sightings(tmp_path / "images")), tiny_model()
    monkeypatch.setattr(embedding_module, "BATCHES", 1)  # several parts
    collection = Collection(str(tmp_path / "gallery.db"), "dcal")

    def build() -> int:
        built = build_collection(model, images, tmp_path / "out", "tiny", collection, batch_size=4, workers=0)
        return built.count

    calls, real = [0], getattr(collection.client, failing)

    def sometimes(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise MilvusException(2, "Fail connecting to server")
        return real(*args, **options)

    monkeypatch.setattr(collection.client, failing, sometimes)
    with pytest.raises(DCALError, match=r"to server\. The embeddings are kept\. The same command goes on"):
        build()
    with pytest.raises(DCALError, match="is not complete: its build was interrupted"):
        open_gallery(collection.url)
    monkeypatch.setattr(type(model), "embed", lambda *_: pytest.fail("an image was embedded again"))
    assert build() == len(images.items) == 9
    monkeypatch.undo()
    build_folder(model, images, tmp_path / "folder", "tiny", batch_size=4, workers=0)
    found, expected = open_gallery(collection.url), open_gallery(tmp_path / "folder")
    assert found.items == expected.items
    np.testing.assert_array_equal(found.rows(np.arange(9)), expected.rows(np.arange(9)))
    collection.close()


def test_a_collection_that_is_not_loaded_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server is that was killed and started again, while it recovers."""
    collection, memory = Collection(str(tmp_path / "gallery.db"), "dcal"), random_gallery()
    rows = memory.rows(np.arange(N))
    collection.begin(ORIGIN, Path("/images"), N)
    collection.add(0, random_items(), rows)
    collection.finish(ORIGIN, Path("/images"), N)
    collection.client.release_collection("dcal")
    assert [index for _, index in collection.search(rows[:1], 1, "")[0]] == [0]
    collection.client.release_collection("dcal")
    np.testing.assert_array_equal(collection.rows(np.array([3, 1]), memory.width), rows[[3, 1]])
    collection.client.release_collection("dcal")
    assert collection.items(N) == memory.items

    def refused(*_: Any, **__: Any) -> None:
        raise MilvusException(65535, "no query node")

    collection.client.release_collection("dcal")
    monkeypatch.setattr(collection.client, "load_collection", refused)
    with pytest.raises(DatabaseError, match=f"^Milvus at {collection.url}, collection 'dcal': no query node$"):
        collection.search(rows[:1], 1, "")
    collection.close()

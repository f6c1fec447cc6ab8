"""A gallery's collection in a Milvus database: how it is laid out, and the few requests that are made of it.

The database is a file (milvus-lite) or a server, which may be many machines. Beside the collection of the images lies
`<name>_about`, one row that describes them; it is marked complete last.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from dcal.errors import DCALError
from dcal.gallery.item import Item, Origin

MOST = 16384  # rows that Milvus gives for one request
ROW_BYTES = 2**23  # of embeddings in one request: an eighth of what gRPC lets through
TEXT = 4096  # bytes of a path, an identity or a camera, at most
FORMAT = 1
LABELS = ("path", "identity", "camera")
NOT_LOADED = 101  # Milvus' code of a collection that is on disk, and has to be loaded to be searched
# A request that misses nothing of what was written waits for the server's clock, a fifth of a second; others may miss
# the last 5 seconds, unless the server is set up otherwise. A gallery is not written to once it is complete: the first
# request of its images, when it is opened, is strong, and those that follow need not be.
STRONG = {"consistency_level": "Strong"}
BOUNDED = {"consistency_level": "Bounded"}
LOADS_WITHIN = 300.0  # seconds for that; a standalone server of 2.3 took 28 to 101 after it was killed


class DatabaseError(DCALError):
    """The database refused a request, or did not answer: it may be gone, and come back."""


class Collection:
    """A collection by name in the database at `url`. Raises DatabaseError where that does not answer as it should.

    pymilvus is imported here, not with the module: it is the extra `milvus`, and takes seconds.
    """

    def __init__(self, url: str, name: str) -> None:
        try:
            from pymilvus import MilvusClient
        except ModuleNotFoundError as error:
            raise DCALError("a gallery in Milvus needs pymilvus: pip install 'dcal[milvus]'") from error
        self.url, self.name, self.about_name = url, name, f"{name}_about"
        with self.requests():
            self.client = MilvusClient(uri=url, timeout=10)

    @contextmanager
    def requests(self) -> Iterator[None]:
        """Makes a DatabaseError of what pymilvus raises, which it also logs, each time with a traceback."""
        from grpc import RpcError
        from pymilvus.exceptions import MilvusException

        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        try:
            yield
        except (MilvusException, RpcError) as error:
            why = error.message if isinstance(error, MilvusException) else error.details()
            raise DatabaseError(f"Milvus at {self.url}, collection {self.name!r}: {why}") from error

    def _loaded(self, request: Callable[..., Any], **options: Any) -> Any:
        """The answer to a request of the images, which a server that was started again has to load first."""
        from pymilvus.exceptions import MilvusException

        with self.requests():
            try:
                return request(self.name, **options, **BOUNDED)
            except MilvusException as error:
                if error.code != NOT_LOADED:
                    raise
            self.client.load_collection(self.name, timeout=LOADS_WITHIN)
            return request(self.name, **options, **STRONG)

    def close(self) -> None:
        self.client.close()

    def about(self) -> dict[str, Any]:
        """What the images are: format, complete, images, count, fingerprint, checkpoint, layout."""
        with self.requests():
            there = [name for name in (self.name, self.about_name) if self.client.has_collection(name)]
            rows = []
            if self.about_name in there:
                for name in there:
                    self.client.load_collection(name)
                rows = self.client.query(self.about_name, filter="id == 0", output_fields=["about"], **STRONG)
                if self.name in there:  # after that row: what it says is complete is then visible
                    self.client.query(self.name, filter="id == 0", output_fields=["id"], **STRONG)
            if len(there) < 2 or not rows:
                names = self.client.list_collections()
                others = ", ".join(sorted(name for name in names if not name.endswith("_about"))) or "none"
                raise DCALError(f"{self.url} has no gallery {self.name!r}; its collections: {others}")
        about: dict[str, Any] = json.loads(rows[0]["about"])
        if about["format"] != FORMAT:
            raise DCALError(f"gallery {self.name!r} has format {about['format']}; this release reads format {FORMAT}")
        return about

    def begin(self, origin: Origin, images: Path, count: int) -> None:
        """Make room for a gallery of `count` images, in place of one of this name.

        Raises DCALError for a collection of that name that is no gallery: it would be lost.
        """
        with self.requests():
            there = [name for name in (self.name, self.about_name) if self.client.has_collection(name)]
            if there == [self.name]:
                raise DCALError(
                    f"{self.url} has a collection {self.name!r} that is no gallery: choose another --collection"
                )
            for name in there:
                self.client.drop_collection(name)
            self._create(self.about_name, {"about": 65535}, 2)
            self._describe(origin, images, count, complete=False)
            self._create(self.name, {"path": TEXT, "identity": TEXT, "camera": TEXT}, origin.width)

    def add(self, first: int, items: Sequence[Item], rows: Float32[np.ndarray, "m d"]) -> None:
        """Put images at the indices `first`, `first` + 1, …"""
        step = max(1, ROW_BYTES // rows[0].nbytes) if len(rows) else 1
        with self.requests():
            for start in range(0, len(items), step):
                data = [
                    {"id": first + index, "path": items[index].path, "embedding": rows[index]}
                    | {"identity": items[index].identity or "", "camera": items[index].camera or ""}
                    for index in range(start, min(start + step, len(items)))
                ]
                self.client.insert(self.name, data)

    def finish(self, origin: Origin, images: Path, count: int) -> None:
        """Make what was added last, and the gallery complete."""
        with self.requests():
            self.client.flush(self.name)
            self._describe(origin, images, count, complete=True)

    def _describe(self, origin: Origin, images: Path, count: int, complete: bool) -> None:
        about = {"format": FORMAT, "complete": complete, "images": str(images), "count": count}
        about |= {"fingerprint": origin.fingerprint, "checkpoint": origin.checkpoint, "layout": dict(origin.layout)}
        self.client.upsert(self.about_name, [{"id": 0, "about": json.dumps(about), "embedding": [1.0, 0.0]}])
        self.client.flush(self.about_name)

    def _create(self, name: str, texts: dict[str, int], width: int) -> None:
        from pymilvus import DataType

        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        for field, most in texts.items():
            schema.add_field(field, DataType.VARCHAR, max_length=most)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=width)
        index = self.client.prepare_index_params()
        index.add_index("embedding", index_type="FLAT", metric_type="IP")  # FLAT: exhaustive
        self.client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")

    def items(self, count: int) -> tuple[Item, ...]:
        """All images, by index."""
        found = []
        for start in range(0, count, MOST):
            chosen = f"id >= {start} and id < {start + MOST}"
            found += self._loaded(self.client.query, filter=chosen, output_fields=["id", *LABELS], limit=MOST)
        found.sort(key=lambda row: row["id"])
        if [row["id"] for row in found] != list(range(count)):
            raise DCALError(
                f"gallery {self.name!r} at {self.url} has {len(found)} of its {count} images: build it again"
            )
        return tuple(map(item_of, found))

    def items_at(self, indices: Int64[np.ndarray, " m"]) -> list[Item]:
        """The images at these indices. Raises DCALError if one is not there."""
        return [item_of(row) for row in self._at(indices, LABELS, MOST)]

    def index_of(self, path: str) -> int | None:
        """The index of the image with this path; None if there is none."""
        found = self._loaded(self.client.query, filter=f"path == {quoted(path)}", output_fields=["id"], limit=1)
        return int(found[0]["id"]) if found else None

    def rows(self, indices: Int64[np.ndarray, " m"], width: int) -> Float32[np.ndarray, "m d"]:
        """The embeddings at these indices. Raises DCALError if one is not there."""
        rows = self._at(indices, ("embedding",), max(1, min(MOST, ROW_BYTES // (4 * width))))
        return np.array([row["embedding"] for row in rows], dtype=np.float32).reshape(len(indices), width)

    def _at(self, indices: Int64[np.ndarray, " m"], fields: Sequence[str], step: int) -> list[dict[str, Any]]:
        """The fields at these indices, in their order, `step` of them a request."""
        found: dict[int, dict[str, Any]] = {}
        for start in range(0, len(indices), step):
            own = indices[start : start + step].tolist()
            answer = self._loaded(self.client.get, ids=own, output_fields=["id", *fields])
            found |= {row["id"]: row for row in answer}
        if lacking := [index for index in indices.tolist() if index not in found]:
            raise DCALError(f"gallery {self.name!r} at {self.url} lacks image {lacking[0]}: build it again")
        return [found[index] for index in indices.tolist()]

    def search(self, queries: Float32[np.ndarray, "q d"], count: int, chosen: str) -> list[list[tuple[float, int]]]:
        """(inner product, index) of each query's `count` nearest rows that the expression `chosen` admits."""
        asked = {"data": list(queries), "limit": count, "filter": chosen, "search_params": {"metric_type": "IP"}}
        found = self._loaded(self.client.search, **asked)
        return [[(hit["distance"], hit["id"]) for hit in hits] for hits in found]


def item_of(row: Mapping[str, Any]) -> Item:
    return Item(row["path"], row["identity"] or None, row["camera"] or None)


def quoted(value: str | list[str]) -> str:
    """Text, or a list of texts, in an expression."""
    return json.dumps(value, ensure_ascii=False)

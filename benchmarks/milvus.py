"""A gallery in Milvus at several sizes: how fast it is written, opened and searched, and what it takes on the disk.

    python -m benchmarks.milvus [--url FILE.db|http://host:19530] [--images 10000 30000 100000] [--width 384]

Random embeddings. Without --url: a file of milvus-lite, which is made in a temporary folder and removed. On a server
the collection `dcal_benchmark` is made, and dropped at the end; `python -m tests.stress.milvus_server` starts one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.inspection import machine
from dcal.gallery import EmbeddedGallery, Item, MilvusGallery, Origin
from dcal.gallery.milvus_collection import Collection

NAME, CAMERAS, K, QUERIES = "dcal_benchmark", 8, 50, 30
HEAD = "\n| images | written, images/s | opened, s | all items, s | search p50 / p95, ms | on the disk, MB |"


@dataclass(frozen=True)
class Measured:
    """Wall time in seconds; `searches` has one number a query."""

    images: int
    written: float
    opened: float
    listed: float  # all items read, which filters and verdicts need
    searches: list[float]
    bytes: int | None  # of the file; None for a server


def measure(url: str, images: int, width: int) -> Measured:
    """Raises AssertionError unless the nearest images are those of an exact search in memory."""
    rows = np.random.default_rng(0).standard_normal((images, width), dtype=np.float32)
    items = [Item(f"{index}.jpg", str(index // CAMERAS), str(index % CAMERAS)) for index in range(images)]
    memory = EmbeddedGallery(items, rows, Origin("0" * 64, "random", {"sa": width}), "images")
    collection = Collection(url, NAME)
    begun = time.perf_counter()
    collection.begin(memory.origin, Path("images"), images)
    for start in range(0, images, 10_000):
        collection.add(start, items[start : start + 10_000], memory.embeddings[start : start + 10_000])
    collection.finish(memory.origin, Path("images"), images)
    written = time.perf_counter() - begun
    collection.close()
    begun = time.perf_counter()
    gallery = MilvusGallery(url, NAME)
    opened, searches = time.perf_counter() - begun, []
    for query in np.random.default_rng(1).standard_normal((QUERIES, width), dtype=np.float32):
        begun = time.perf_counter()
        found = gallery.search(query[None], K)
        searches.append(time.perf_counter() - begun)
        assert np.array_equal(found.indices, memory.search(query[None], K).indices), "not the exact answer"
    begun = time.perf_counter()
    assert len(gallery.items) == images
    listed = time.perf_counter() - begun
    file = Path(url)
    size = sum(part.stat().st_size for part in [file, *file.rglob("*")] if part.is_file()) if file.exists() else None
    for name in (NAME, f"{NAME}_about"):
        gallery.collection.client.drop_collection(name)
    gallery.close()
    return Measured(images, written, opened, listed, searches, size)


def table_row(row: Measured) -> str:
    middle, late = (1e3 * float(np.percentile(row.searches, share)) for share in (50, 95))
    size = "–" if row.bytes is None else f"{row.bytes / 1e6:.0f}"
    cells = (
        f"{row.images:,}",
        f"{row.images / row.written:,.0f}",
        f"{row.opened:.1f}",
        f"{row.listed:.1f}",
        f"{middle:.0f} / {late:.0f}",
        size,
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a server, or a file to be made")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--width", type=int, default=384)
    options = parser.parse_args()
    print(machine(), HEAD, "|---" * 6 + "|", sep="\n", flush=True)
    for images in options.images:
        with tempfile.TemporaryDirectory(prefix="dcal-milvus-") as folder:
            print(table_row(measure(options.url or f"{folder}/gallery.db", images, options.width)), flush=True)


if __name__ == "__main__":
    main()

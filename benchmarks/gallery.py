"""A search of a gallery against the plain ways with numpy: 50,000 images of width 768, the 50 best, a camera filter.

    python -m benchmarks.gallery [--images 50000] [--width 768] [--quick] [--json PATH]

One thread, random embeddings. Not a test: nothing fails for being slow, only for an answer that is not exact.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
import torch

from benchmarks.clock import Ratio, interleaved, ratio
from benchmarks.inspection import machine
from benchmarks.worker import Worker
from dcal.gallery import EmbeddedGallery, Item, Origin

CAMERAS, K = 8, 50


@dataclass(frozen=True)
class Measured:
    """One kind of search. Ratios are of processor time, over that of `ours`."""

    queries: int
    filtered: bool
    rounds: int
    disturbed: bool
    seconds: float  # `ours`, of one call, processor time
    p95: float  # `ours`, wall time in seconds, whoever else ran
    ratios: dict[str, Ratio]


def made(images: int, width: int) -> EmbeddedGallery:
    """Random embeddings; the cameras take turns."""
    rows = np.random.default_rng(0).standard_normal((images, width), dtype=np.float32)
    items = [Item(f"{index}.jpg", str(index // CAMERAS), str(index % CAMERAS)) for index in range(images)]
    return EmbeddedGallery(items, rows, Origin("0" * 64, "random", {"sa": width}), "images")


def variants(gallery: EmbeddedGallery, queries: np.ndarray, filtered: bool) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to the indices (q, K) of the best images, of camera 3 alone if `filtered`; numpy is given the mask."""
    rows, cameras = gallery.embeddings, ["3"] if filtered else None
    mask = gallery.choose(cameras).mask if filtered else np.ones(len(gallery), dtype=bool)
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)

    def best(scores: np.ndarray) -> np.ndarray:
        found = np.argpartition(-scores, K, axis=1)[:, :K]
        return np.take_along_axis(found, np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1), axis=1)

    def ours() -> np.ndarray:
        return gallery.search(queries, K, cameras=cameras).indices

    def product() -> np.ndarray:
        scores = unit @ rows.T
        scores[:, ~mask] = -np.inf
        return best(scores)

    def gathered() -> np.ndarray:
        admitted = np.flatnonzero(mask)
        return admitted[best(unit @ rows[admitted].T)]

    return {"ours": ours, "product": product, "gathered": gathered} if filtered else {"ours": ours, "product": product}


def measure(gallery: EmbeddedGallery, count: int, filtered: bool, seconds: float, least_rounds: int) -> Measured:
    queries = np.random.default_rng(1).standard_normal((count, gallery.width), dtype=np.float32)
    with ExitStack() as stack:
        calls = variants(gallery, queries, filtered)
        workers = {name: stack.enter_context(Worker(call)) for name, call in calls.items()}
        times = interleaved(workers, seconds, least_rounds)
        check(gallery, queries, filtered, workers["ours"].answer())
    ours, disturbed = times.pop("ours"), any(t.disturbed for t in times.values())
    middle = min(ours.cpu) if disturbed else sorted(ours.cpu)[len(ours.cpu) // 2]
    p95 = float(np.percentile(ours.wall, 95))
    ratios = {name: ratio(t, ours) for name, t in times.items()}
    return Measured(count, filtered, len(ours.cpu), disturbed, middle, p95, ratios)


def check(gallery: EmbeddedGallery, queries: np.ndarray, filtered: bool, indices: np.ndarray) -> None:
    """AssertionError unless every query's best are those of float64: recall against exact is 1, in order."""
    admitted = np.arange(3, len(gallery), CAMERAS) if filtered else np.arange(len(gallery))
    for query, found in zip(queries.astype(np.float64), indices, strict=True):
        cosines = [gallery.embeddings[own].astype(np.float64) @ query for own in np.array_split(admitted, 32)]
        expected = admitted[np.argsort(-np.concatenate(cosines), kind="stable")[:K]]
        assert np.array_equal(found, expected), (
            f"not exact: {np.isin(found, expected).mean():.0%} of the best {K} found"
        )


HEADER = """\
| queries | filter | ours ms | p95, wall | product × | gathered × |
|---|---|---|---|---|---|"""


def table_row(row: Measured) -> str:
    cells = [str(row.queries), f"1 of {CAMERAS} cameras" if row.filtered else "–", f"{row.seconds * 1e3:.1f}"]
    cells[-1] += "*" if row.disturbed else ""
    cells.append(f"{row.p95 * 1e3:.1f}")
    for name in ("product", "gathered"):
        found = row.ratios.get(name)
        middle = 0.0 if found is None else found.of_minima if row.disturbed else found.of_medians
        cells.append("–" if found is None else f"{middle:.1f} ({found.least:.1f}–{found.most:.1f})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--quick", action="store_true", help="one query at a time, few rounds: under a minute")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    print(f"{machine()}, numpy {np.__version__}, faiss {faiss.__version__}", HEADER, sep="\n\n", flush=True)
    gallery, rows = made(options.images, options.width), []
    for count in (1,) if options.quick else (1, 64):
        for filtered in (True, False):
            seconds = 4 if options.quick else 20
            rows.append(measure(gallery, count, filtered, seconds=seconds, least_rounds=5))
            print(table_row(rows[-1]), flush=True)
    if any(row.disturbed for row in rows):
        print("\n* Others had the processor at times: ratios of minima of processor time, else of medians.")
    print(f"\nEvery answer was exact: recall of the best {K} is 1.")
    if options.json:
        report = {"machine": machine(), "command": sys.argv, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

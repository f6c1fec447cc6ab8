"""A real Milvus server: the embedded engine's answers, and what is left when it is killed in the middle of work.

The server is a standalone one that pip can get, see milvus_server; or the one at DCAL_MILVUS_URL, which nobody kills.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count as count_from
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from dcal.errors import DCALError
from dcal.gallery import Gallery, MilvusGallery, open_gallery
from dcal.gallery.build import build_collection, build_folder
from dcal.gallery.milvus_collection import Collection
from dcal.gallery.sources import folder_images
from tests.fixtures.tiny_gallery import tiny_model, write_sightings
from tests.stress.figures import Figure, at_most, none_of
from tests.stress.milvus_server import VERSION, NoServer, Server, package

URL = "DCAL_MILVUS_URL"
WHAT = "a real Milvus server"
PATTERN = r"half\d/(?P<identity>\d+)_c(?P<camera>\d+)\."
IMAGES, BUILDS, SEARCHES = 120, 10, 5
ANSWERS_WITHIN = 10.0  # seconds from a kill to the sentence that says so


@dataclass(frozen=True)
class Stop:
    """The error that work ended with, "" where it came to its end, and how many seconds after the kill."""

    text: str
    after: float


def real_milvus(short: bool, folder: Path) -> list[Figure]:
    if URL in os.environ:
        return [answers(os.environ[URL], short)]
    try:
        with Server(package(folder / "package"), folder / "server") as server:
            return [
                Figure(f"{WHAT}: standalone {VERSION}", "started here"),
                answers(server.url, short),
                *faults(server, folder, BUILDS // 5 if short else BUILDS, SEARCHES // 5 if short else SEARCHES),
            ]
    except NoServer as why:
        return [Figure(WHAT, f"skipped: {why}; {URL} names none")]


def answers(url: str, short: bool) -> Figure:
    """Whether it gives the embedded engine's, bit for bit."""
    tests = Path(__file__).resolve().parents[1] / "gallery" / "test_gallery_milvus.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    command += ["-k", "same_answers or same_gallery"] if short else []
    done = subprocess.run(command, env=os.environ | {URL: url}, stdout=subprocess.DEVNULL, check=False)
    return none_of(f"{WHAT}: other answers than the embedded engine's", int(done.returncode != 0))


def faults(server: Server, folder: Path, builds: int, searches: int) -> list[Figure]:
    """What is left of galleries after the server was killed in their middle."""
    model, images = tiny_model(), folder_images(write_sightings(folder / "images", IMAGES), PATTERN)
    build_folder(model, images, folder / "memory", "tiny", batch_size=2, workers=0)
    memory, chance = open_gallery(folder / "memory"), random.Random(0)

    def build(number: int) -> None:
        with closing(Collection(server.url, f"gallery_{number}")) as collection:
            build_collection(model, images, folder / f"out-{number}", "tiny", collection, batch_size=2, workers=0)

    begun = time.monotonic()
    build(0)
    duration, wrong, ready = time.monotonic() - begun, int(differs(server.url, 0, memory)), 0.0
    stops: list[Stop] = []
    for number in range(1, builds + 1):
        stops.append(stop := interrupted(partial(build, number), server, chance.uniform(0, duration)))
        ready = max(ready, server.start())
        if stop.text:  # else the build was faster than the kill
            build(number)
        wrong += differs(server.url, number, memory)
    kills = f"{WHAT}: killed while a gallery was written, at random moments of {duration:.0f} s; builds that stopped"
    return [
        Figure(kills, f"{builds}, {sum(bool(stop.text) for stop in stops)}"),
        *sentences(stops, "The same command goes on"),
        none_of("galleries that were written, or went on: other images, embeddings or rankings than in memory", wrong),
        Figure("the server, started again: well after, at most", f"{ready:.0f} s"),
        *killed_searches(server, memory, searches, chance),
    ]


def killed_searches(server: Server, memory: Gallery, count: int, chance: random.Random) -> list[Figure]:
    """What the searches of one open gallery give, before and after the server was killed."""
    queries = memory.rows(np.arange(len(memory)))
    expected, stops, again, wrong = memory.search(queries, 20).indices, [], 0.0, 0
    with closing(MilvusGallery(server.url, "gallery_0")) as gallery:
        for _ in range(count):
            stops.append(
                interrupted(lambda: [gallery.search(queries, 20) for _ in count_from(0)], server, chance.uniform(0, 3))
            )
            server.start()
            begun = time.monotonic()
            wrong += not np.array_equal(gallery.search(queries, 20).indices, expected)
            again = max(again, time.monotonic() - begun)
    return [
        Figure(f"{WHAT}: killed while a gallery was searched", f"{count}"),
        *sentences(stops, f"Milvus at {server.url}"),
        none_of("the same gallery's next search, the server started again: another answer", wrong),
        Figure("that search, which waits until the server has loaded the collection, at most", f"{again:.0f} s"),
    ]


def sentences(stops: Sequence[Stop], expected: str) -> list[Figure]:
    said = [stop for stop in stops if stop.text]
    return [
        none_of("of them: without the sentence that says so", sum(expected not in stop.text for stop in said)),
        at_most(
            "from the kill to that sentence, at most",
            max((stop.after for stop in said), default=0.0),
            ANSWERS_WITHIN,
            "s",
        ),
    ]


def interrupted(work: Callable[[], Any], server: Server, seconds: float) -> Stop:
    """What a server that is killed after so many seconds makes of `work`."""
    killed: list[float] = []

    def kill() -> None:
        killed.append(time.monotonic())
        server.kill()

    timer = Timer(seconds, kill)
    timer.start()
    try:
        work()
        return Stop("", 0.0)
    except DCALError as error:
        return Stop(str(error), time.monotonic() - killed[0])
    finally:
        timer.join()


def differs(url: str, number: int, memory: Gallery) -> bool:
    """Whether a gallery on the server is another than in memory, or ranks otherwise."""
    every = np.arange(len(memory))
    rows = memory.rows(every)
    expected = memory.search(rows, 20)
    with closing(MilvusGallery(url, f"gallery_{number}")) as gallery:
        found = gallery.search(rows, 20)
        arrays = (
            (gallery.rows(every), rows),
            (found.indices, expected.indices),
            (found.similarities, expected.similarities),
        )
        return tuple(gallery.items) != memory.items or not all(np.array_equal(one, other) for one, other in arrays)

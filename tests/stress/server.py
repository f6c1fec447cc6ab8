"""The demo as a process: a crowd, wrong types, large images, SIGTERM."""

from __future__ import annotations

import io
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.load import demo, load, resident
from benchmarks.visitor import Refused, Visitor, endpoints
from tests.stress.figures import Figure, at_least, at_most, none_of

CHECKPOINT = "cub50-full"
WRONG: list[Any] = [None, "nonsense", "", -1, 0.5, 10**9, True, [], [1, "a"], {}, {"a": 1}, {"path": "/etc/passwd"}]
SIDE, LARGE = 8900, 14  # pixels, images


def crowd(short: bool, folder: Path) -> list[Figure]:
    """Thirty visitors who never pause."""
    visitors, seconds = (10, 20) if short else (30, 120)
    with demo() as (port, process):
        found = load(port, process.pid, visitors, seconds, think=0, evidence=False, checkpoint=CHECKPOINT).summary()
    name = f"{visitors} visitors"
    return [
        at_least(f"{name}: calls a second", found["calls a second"], 30, ""),
        at_most(f"{name}: inspect, p95", found["inspect p95 (s)"], 4, "s"),
        at_most(f"{name}: light calls, p95", found["light p95 (s)"], 0.3, "s"),
        Figure(f"{name}: processor time of the server a call", f"{found['processor time of the server a call (s)']} s"),
        Figure(f"{name}: refused politely", f"{found['refused politely']}"),
        none_of(f"{name}: errors", int(found["errors"])),
        none_of(f"{name}: another visitor's answer", int(found["foreign answers"])),
        at_most(f"{name}: memory at most", found["memory at most (MiB)"], 1500, "MiB"),
        at_most(
            f"{name}: growth after the first minute", found["memory growth after the first minute (MiB)"], 100, "MiB"
        ),
    ]


def wrong_types(short: bool, folder: Path) -> list[Figure]:
    """Every argument of every named endpoint, with values that are none of its own."""
    calls = silent = 0
    with demo() as (port, process):
        inputs = endpoints(port)
        visitor = Visitor(port, 1, inputs)
        image = visitor.upload(5)
        visitor.call("inspect", image=image, checkpoint=CHECKPOINT)
        for name, own in inputs.items():
            for argument in own:
                for wrong in WRONG[:: 4 if short else 1]:
                    calls += 1
                    given = {"image": image} if "image" in own else {}
                    try:
                        visitor.call(name, **{**given, argument: wrong})
                    except Refused as error:
                        silent += len(str(error)) < 15
        alive = process.poll() is None
    return [
        none_of("wrong types to named endpoints: answered without a sentence", silent, calls),
        none_of("wrong types to named endpoints: ended the server", int(not alive)),
    ]


def large_images(short: bool, folder: Path) -> list[Figure]:
    """Small files of many pixels, then small images again."""
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "teal").save(buffer, "PNG")
    with demo() as (port, process):
        inputs, before = endpoints(port), resident(process.pid)
        most = before
        for number in range(LARGE // 5 if short else LARGE):
            visitor = Visitor(port, number, inputs)
            visitor.call("inspect", image=visitor.upload_bytes(buffer.getvalue(), "large.png"), checkpoint=CHECKPOINT)
            most = max(most, resident(process.pid))
        for number in range(10 if short else 60):
            visitor = Visitor(port, 100 + number, inputs)
            visitor.call("inspect", image=visitor.upload(number + 1), checkpoint=CHECKPOINT)
        after = resident(process.pid)
    name = f"images of {SIDE}² pixels"
    return [
        Figure(f"{name}: memory before, at most, after small images", f"{before}, {most}, {after} MiB"),
        at_most(f"{name}: memory at most", most, 2500, "MiB"),
    ]


def sigterm(short: bool, folder: Path) -> list[Figure]:
    """SIGTERM while a visitor's images are there."""
    with demo() as (port, process):
        visitor = Visitor(port, 1, endpoints(port))
        places = [
            path for path in Path(visitor.upload(3)["path"]).parents if path.parent == Path(tempfile.gettempdir())
        ]
        start = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        seconds = time.perf_counter() - start
    return [
        at_most("SIGTERM: until the demo has ended", seconds, 3, "s"),
        none_of("SIGTERM: folders of uploads left", sum(place.exists() for place in places)),
    ]

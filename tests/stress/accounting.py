"""Memory by the demo's own account: a fixed script of visitors in this process, and what their records hold after it.

Each visitor uploads an image, inspects it, looks at every view, compares checkpoints, ranks a gallery and asks why an
image matched. What the stores count is compared with what can be reached from their entries; when the visitors have
gone, nothing of theirs is left, by reference counts alone.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dcal import Inspection
from dcal.explain.match import Match
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.map_scores import MapScores
from dcal_explorer.content.places import CHECKPOINTS
from dcal_explorer.demo.callbacks.compare import CompareCallbacks, Comparison
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.query_session import QuerySession
from dcal_explorer.demo.sessions import Entry, SessionStore, owner_of
from tests.stress.figures import Figure, at_most, none_of

KINDS = (Entry, Comparison, QuerySession, Inspection, Match)
SMALL = 2048  # bytes of an entry that no store counts: scores and short lists
GROWTH = 48  # MiB that the process may grow by after its first round: the allocator's own
SHARED = (torch.nn.Module, CheckpointLibrary, SessionStore, MapScores, type, type(gc))  # not an entry's own


@dataclass(frozen=True)
class Faces:
    """The three tabs' callbacks, and which checkpoints the script takes."""

    inspect: InspectCallbacks
    compare: CompareCallbacks
    reid: ReIDCallbacks
    checkpoints: tuple[str, str]  # that classify
    reid_checkpoint: str

    @classmethod
    def of(cls, library: CheckpointLibrary, folder: Path, checkpoints: tuple[str, str], reid: str) -> Faces:
        inspect = InspectCallbacks(library, folder)
        return cls(inspect, CompareCallbacks(inspect), ReIDCallbacks(inspect), checkpoints, reid)

    @property
    def stores(self) -> tuple[SessionStore[Any], ...]:
        return self.inspect.records, self.compare.records, self.reid.records


@dataclass(frozen=True)
class Account:
    """What the script found. `uncounted`: the most bytes that an entry holds beyond those that its store counts."""

    uncounted: int
    kept: int  # entries after the visitors have gone
    alive: int  # records, comparisons, queries and matches then
    growth: float  # MiB of resident memory after the first round


def visit(faces: Faces, number: int) -> dict[SessionStore[Any], str]:
    """One visitor's script; the keys of what it leaves in the stores."""
    pixels = np.random.default_rng(number).integers(0, 256, (120 + number % 7, 90, 3), dtype=np.uint8)
    path = faces.inspect.folder / f"visitor-{number}.png"
    Image.fromarray(pixels).save(path)
    upload, (first, second) = {"path": str(path), "orig_name": path.name}, faces.checkpoints
    inspect, compare, reid = faces.inspect, faces.compare, faces.reid
    key, *_ = inspect.inspect(upload, first)
    inspect.live(key, None, None, 0.5)
    inspect.layers(key, "max", 0.1 * (number % 3))
    inspect.layer(key, 1, "max", 0.1 * (number % 3))
    inspect.heads(key, 1)
    inspect.token(key, 1, 1, 1)
    inspect.compare(key)
    inspect.select(key, 0.5)
    inspect.evidence(key, inspect.records.get(key).seen.classes[1])
    compared, *_ = compare.compare_checkpoints(upload, [first, second])
    compare.differences(compared, first)
    query, _ = reid.search(upload, faces.reid_checkpoint)
    reid.ranking(query)
    reid.match(query, 1)
    reid.match(query, 1, against=2)
    return {inspect.records: key, compare.records: compared, reid.records: query}


def account(faces: Faces, rounds: int, visitors: int) -> Account:
    """Run the script of `visitors` at a time, `rounds` times, with the collector of garbage switched off."""
    visit(faces, 0)  # models and galleries are loaded, once for all
    for store in faces.stores:
        for key in list(store._entries):
            store.let_go(key)
    gc.collect()
    before, uncounted, alive, kept = living(), 0, 0, 0
    sizes: list[float] = []
    gc.disable()
    try:
        for turn in range(rounds):
            left = [visit(faces, 1 + turn * visitors + number) for number in range(visitors)]
            uncounted = max(uncounted, *(missed(store.get(key)) for keys in left for store, key in keys.items()))
            for keys in left:
                for store, key in keys.items():
                    store.let_go(key)
            kept, alive = max(kept, sum(map(len, faces.stores))), max(alive, living() - before)
            sizes.append(resident())
    finally:
        gc.enable()
    return Account(uncounted, kept, alive, sizes[-1] - sizes[0])


def missed(entry: Any) -> int:
    """Bytes of arrays and tensors that can be reached from an entry, less those that it counts."""
    owners: dict[int, int] = {}
    for value in reachable(entry):
        if issubclass(type(value), np.ndarray):
            owner = owner_of(value)
            owners[id(owner)] = owner.nbytes
        elif issubclass(type(value), torch.Tensor):
            storage = value.untyped_storage()
            owners[storage.data_ptr()] = storage.nbytes()
    return max(0, sum(owners.values()) - int(entry.nbytes))


def reachable(entry: Any) -> Iterator[Any]:
    """Everything that an entry refers to, through closures too, up to what all share."""
    seen, waiting = set(), [entry]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or issubclass(type(value), SHARED):
            continue
        seen.add(id(value))
        yield value
        if issubclass(type(value), np.ndarray | torch.Tensor):
            continue
        own = getattr(value, "__closure__", None)
        cells = [cell.cell_contents for cell in own or ()]
        waiting += cells if callable(value) and hasattr(value, "__globals__") else gc.get_referents(value)


def living() -> int:
    return sum(type(value) in KINDS for value in gc.get_objects())


def resident() -> float:
    """MiB of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def accounting(short: bool, folder: Path) -> list[Figure]:
    """The script on the bundled checkpoints."""
    library = CheckpointLibrary(CHECKPOINTS)
    faces = Faces.of(library, folder, ("cub50-full", "cub50-sa_only"), "reid-full")
    found = account(faces, *((3, 3) if short else (12, 8)))
    return [
        at_most("a fixed script: bytes of an entry that its store does not count", found.uncounted, SMALL, "bytes"),
        none_of("a fixed script: entries kept when the visitors have gone", found.kept),
        none_of("a fixed script: records alive then, without a garbage collection", found.alive),
        at_most("a fixed script: growth of the process after the first round", found.growth, GROWTH, "MiB"),
    ]

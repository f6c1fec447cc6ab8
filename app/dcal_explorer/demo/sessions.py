"""The records of everybody who has the page open, kept on the server and bounded in number and bytes."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from dcal import DCALError, Inspection
from dcal_explorer.content.map_scores import MapScores

MOST = 256  # entries
REMEMBERED = 1024  # sources of entries that left, from which they can be made again
MOST_BYTES = 2**29 - 2**26  # of the records; comparisons and queries have a store each with less
FEW_BYTES = 2**27
ROLLOUTS = 8  # settings of fusion and discard ratio kept with an entry


class Kept(Protocol):
    """What the store keeps: it knows its size, and drops what could keep it alive."""

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that it holds."""

    @property
    def source(self) -> Any:
        """What the entry can be made again from; small. None if it cannot."""

    def close(self) -> None:
        """Drop drawings and other closures: the entry has left the store."""


T = TypeVar("T", bound=Kept)


@dataclass(frozen=True)
class Drawing:
    """The image drawn last: its name, and how to draw it at another size. `maps`: the arrays that `draw` holds."""

    name: str
    draw: Callable[[int], np.ndarray]
    maps: tuple[np.ndarray, ...] = ()


@dataclass
class Entry:
    """A record, the checkpoint that made it, and what the page has requested of it so far.

    `path` is the uploaded image, from which the record can be made again; `top_ratio` the R shown last, `shown` the
    image drawn last. A drawing must hold the record, never the entry: a cycle would keep both until the garbage
    collector runs.
    """

    checkpoint: str
    seen: Inspection
    path: Path | None = None
    scores: MapScores = field(default_factory=MapScores)
    top_ratio: float | None = None
    shown: Drawing | None = None
    rollouts: OrderedDict[tuple[str, float], np.ndarray] = field(default_factory=OrderedDict)

    @property
    def nbytes(self) -> int:
        return total_bytes(
            [*arrays(self.seen), *self.rollouts.values(), *(() if self.shown is None else self.shown.maps)]
        )

    @property
    def source(self) -> tuple[str, Path] | None:
        return None if self.path is None else (self.checkpoint, self.path)

    def close(self) -> None:
        self.shown = None
        self.rollouts.clear()

    def rolled(self, fusion: str, discard: float) -> np.ndarray:
        """`Inspection.rolled`, once per setting; the settings used last are kept."""
        key = fusion, discard
        if key not in self.rollouts:
            self.rollouts[key] = self.seen.rolled(fusion, float(discard))
            while len(self.rollouts) > ROLLOUTS:
                self.rollouts.popitem(last=False)
        self.rollouts.move_to_end(key)
        return self.rollouts[key]


class SessionStore(Generic[T]):
    """Entries by a key that cannot be guessed. The least recently used leave when there are too many.

    `renew` makes an entry again from its source: one that left for want of room comes back when it is needed.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES, renew: Callable[[Any], T] | None = None) -> None:
        self.most, self.most_bytes, self.renew = most, most_bytes, renew
        self._entries: OrderedDict[str, T] = OrderedDict()
        self._sources: OrderedDict[str, Any] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str | None) -> bool:
        return key in self._entries

    def keep(self, entry: T, instead_of: str | None = None) -> str:
        """Keep `entry` and return its key; the entry `instead_of`, which the page no longer shows, is dropped."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._drop(instead_of)
            self._put(key, entry)
        return key

    def let_go(self, key: str) -> None:
        """Drop the entry under `key`, if it is still kept."""
        with self._lock:
            self._drop(key)

    @contextmanager
    def lent(self, key: str) -> Iterator[T]:
        """The entry under `key`, which leaves at the end."""
        try:
            yield self.get(key)
        finally:
            self.let_go(key)

    def get(self, key: str | None) -> T:
        """The entry kept under `key`, made again if it left for want of room.

        Raises DCALError if nothing was inspected yet, or the entry cannot be made again.
        """
        if not key:
            raise DCALError("There is no image yet: upload one, or click a sample.")
        return self.record(key)

    def record(self, key: str, source: Any = None) -> T:
        """The entry kept under `key`, made again from its source if it left.

        `source`, what the page shows, counts where the server remembers none: after more than `REMEMBERED` others, or
        a restart. Raises DCALError if the entry cannot be made again.
        """
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
            source = self._sources.get(key, source)
        if source is None or self.renew is None:
            raise DCALError("This image is no longer kept on the server. Upload it again.")
        entry = self.renew(source)
        with self._lock:
            if key not in self._entries:  # two calls of one page may have made it
                self._put(key, entry)
            return self._entries[key]

    def grown(self) -> None:
        """To be called when an entry holds more than before: the limits are checked again."""
        with self._lock:
            self._sizes = {key: entry.nbytes for key, entry in self._entries.items()}
            self._trim()

    @property
    def nbytes(self) -> int:
        """Bytes that all entries hold."""
        with self._lock:
            return sum(entry.nbytes for entry in self._entries.values())

    def _put(self, key: str, entry: T) -> None:
        self._entries[key], self._sizes[key] = entry, entry.nbytes
        self._trim()

    def _drop(self, key: str | None) -> None:
        self._sources.pop(key or "", None)
        self._sizes.pop(key or "", None)
        entry = self._entries.pop(key or "", None)
        if entry is not None:
            entry.close()

    def _trim(self) -> None:
        """The newest entry always stays. What can be made again leaves first, the least recently used of it."""
        while len(self._entries) > 1 and (
            len(self._entries) > self.most or sum(self._sizes.values()) > self.most_bytes
        ):
            old = list(self._entries)[:-1]
            key = next((key for key in old if self._entries[key].source is not None), old[0])
            source = self._entries[key].source
            self._drop(key)
            self._sources[key] = source
        while len(self._sources) > REMEMBERED:
            self._sources.popitem(last=False)


def arrays(record: Any) -> list[np.ndarray]:
    """The arrays among the fields of a record, or of the evidence of a match."""
    values = (getattr(record, item.name) for item in dataclasses.fields(record))
    return [value for value in values if isinstance(value, np.ndarray)]


def total_bytes(held: Iterable[np.ndarray]) -> int:
    """Bytes that arrays keep in memory; one that several share is counted once."""
    owners = {id(owner): owner.nbytes for owner in map(owner_of, held)}
    return sum(owners.values())


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array whose memory a view shows: it stays in memory as a whole."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def size(seen: Inspection) -> int:
    """Bytes of a record's arrays."""
    return total_bytes(arrays(seen))

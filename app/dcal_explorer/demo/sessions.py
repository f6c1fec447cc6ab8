"""The inspected pictures of everybody who has the page open, kept on the server and bounded."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

from dcal import DCALError, Inspection

MOST = 32  # records
MOST_BYTES = 2**30


class Sized(Protocol):
    """What can be kept: it knows its size."""

    @property
    def nbytes(self) -> int:
        """Bytes that its arrays take."""


T = TypeVar("T", bound=Sized)


@dataclass
class Entry:
    """A record, the checkpoint that made it, and what the page has asked of it so far.

    `top_ratio` is the R shown last, `shown` the picture drawn last: its name, and how to draw it at another size.
    """

    checkpoint: str
    seen: Inspection
    top_ratio: float | None = None
    shown: tuple[str, Callable[[int], np.ndarray]] | None = None
    rollouts: dict[tuple[str, float], np.ndarray] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return size(self.seen)

    def rolled(self, fusion: str, discard: float) -> np.ndarray:
        """`Inspection.rolled`, once per setting."""
        if (fusion, discard) not in self.rollouts:
            self.rollouts[fusion, discard] = self.seen.rolled(fusion, float(discard))
        return self.rollouts[fusion, discard]


class SessionStore(Generic[T]):
    """SessionStore by a key that cannot be guessed. The ones not used for longest go when they are too many."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._entries: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, entry: T, instead_of: str | None = None) -> str:
        """Keep `entry` and return its key; the record `instead_of`, which the page shows no longer, is let go."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._entries.pop(instead_of or "", None)
            self._entries[key] = entry
            while len(self._entries) > self.most or (len(self._entries) > 1 and self._bytes() > self.most_bytes):
                self._entries.popitem(last=False)
        return key

    def let_go(self, key: str) -> None:
        """Forget the record under `key`, if it is still kept."""
        with self._lock:
            self._entries.pop(key, None)

    def get(self, key: str | None) -> T:
        """The entry kept under `key`. Raises DCALError if nothing was inspected yet, or the record has been let go."""
        if not key:
            raise DCALError("There is no picture yet: upload one, or click a sample.")
        with self._lock:
            if key not in self._entries:
                raise DCALError("This picture is no longer kept on the server. Upload it again.")
            self._entries.move_to_end(key)
            return self._entries[key]

    def _bytes(self) -> int:
        return sum(entry.nbytes for entry in self._entries.values())


def size(seen: Inspection) -> int:
    """Bytes that a record's arrays take."""
    values = (getattr(seen, item.name) for item in dataclasses.fields(seen))
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))

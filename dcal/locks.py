"""The system's locks on files and folders: they end with the process that holds them, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_held: set[int] = set()  # descriptors of this process's locks


@contextmanager
def exclusive(descriptor: int) -> Iterator[bool]:
    """Whether an open file or folder is now locked by this process alone; it is closed at the end.

    Forked processes, a loader's for example, do not keep the lock.
    """
    _leave_after_fork()
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        _held.add(descriptor)
        yield True
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


@cache
def _leave_after_fork() -> None:
    os.register_at_fork(after_in_child=_leave)


def _leave() -> None:
    """In a forked process: it does not hold its parent's locks."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()

"""How torch's idle threads wait, and from where threads take memory."""

from __future__ import annotations

import ctypes
import os
import sys

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # malloc.h
LARGE = 2**20  # bytes; a record of an image is a few arrays of more


def sleep_when_idle() -> None:
    """Torch's idle threads will sleep instead of spinning, unless OMP_WAIT_POLICY says otherwise. Call before torch
    is imported: it reads the variable then, once.

    On a busy machine spinning threads take the processor from the ones with work (a image on two cores under load:
    3.7 s, and 0.09 s so; on an idle one it makes no difference). The programs call this. Importing dcal does not, since
    the choice would hold for everything else in the user's process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def few_arenas() -> None:
    """Threads share two pools of memory, where the C library is GNU's; else each of a server's forty keeps its own.

    Arrays of `LARGE` and more are in none, so that what is let go of goes back to the system, whatever lies behind it.
    Call before threads are started. MALLOC_ARENA_MAX and MALLOC_MMAP_THRESHOLD_, where they are set, stand.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    for variable, option, value in (
        ("MALLOC_ARENA_MAX", M_ARENA_MAX, 2),
        ("MALLOC_MMAP_THRESHOLD_", M_MMAP_THRESHOLD, LARGE),
    ):
        if variable not in os.environ:
            mallopt(option, value)

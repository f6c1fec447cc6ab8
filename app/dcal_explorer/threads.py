"""How torch's idle threads wait, and from where threads take memory."""

from __future__ import annotations

import ctypes
import os
import sys

M_ARENA_MAX = -8  # malloc.h


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

    Call before threads are started. MALLOC_ARENA_MAX, where it is set, stands.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(M_ARENA_MAX, 2)

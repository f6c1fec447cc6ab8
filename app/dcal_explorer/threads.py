"""How torch's idle threads wait, and from where threads take memory."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable

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
    mallopt = gnu("mallopt")
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(M_ARENA_MAX, 2)


def give_back_memory() -> None:
    """Give what the pools hold and nobody uses back to the system, where the C library is GNU's.

    Without it a record that was let go of stays in them where anything newer lies behind it. To have large arrays in no
    pool at all would give them back at once, and costs a model a fifth of its time: its own are as large.
    """
    trim = gnu("malloc_trim")
    if trim is not None:
        trim(0)


def give_back_always(seconds: float = 2.0, busy: float = 0.25) -> threading.Thread:
    """Give memory back again and again, in a thread that ends with the program.

    Every `seconds`, if the process has used `busy` seconds of processor time since: going through the pools takes some
    60 ms for a gigabyte, which a server that nobody asks anything should not spend.
    """

    def work() -> None:
        used = 0.0
        while True:
            time.sleep(seconds)
            if time.process_time() - used >= busy:
                give_back_memory()
                used = time.process_time()

    thread = threading.Thread(target=work, name="memory", daemon=True)
    thread.start()
    return thread


def gnu(name: str) -> Callable[..., int] | None:
    """A function of the GNU C library; None where it is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

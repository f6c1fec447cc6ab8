"""How torch's idle threads wait, from where threads take memory, and when what nobody uses is given back."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

M_ARENA_MAX = -8  # malloc.h


def sleep_when_idle() -> None:
    """Torch's idle threads will sleep instead of spinning, unless OMP_WAIT_POLICY says otherwise. Call before torch
    is imported: it reads the variable then, once.

    On a busy machine spinning threads take the processor from the ones with work (a image on two cores under load:
    3.7 s, and 0.09 s so; on an idle one it makes no difference). The programs call this. Importing dcal does not, since
    the choice would hold for everything else in the user's process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def yield_to_others(by: int = 10) -> None:
    """The calling thread, and those that it starts from here on, get the processors after the process's others.

    Where a thread has no priority of its own (elsewhere than on Linux), or the system refuses to change it, it keeps
    the others': what it computes is the same, and the others wait longer.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + by)


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


def give_back_always(seconds: float = 2.0) -> threading.Thread:
    """Give memory back every `seconds`, in a thread that ends with the program, while it works.

    Going through the pools takes some 60 ms for a gigabyte.
    """
    return while_busy(give_back_memory, seconds, "memory")


def collect_always(seconds: float = 10.0) -> threading.Thread:
    """Collect all garbage every `seconds`, in a thread that ends with the program, while it works."""
    return while_busy(collect_garbage, seconds, "garbage")


def collect_garbage() -> None:
    gc.collect()


def while_busy(work: Callable[[], None], seconds: float, name: str, busy: float = 0.25) -> threading.Thread:
    """Do `work` again and again, in a thread that ends with the program.

    Every `seconds`, if the process has used `busy` seconds of processor time since: a server that nobody asks anything
    should not spend any.
    """

    def again() -> None:
        used = 0.0
        while True:
            time.sleep(seconds)
            if time.process_time() - used >= busy:
                work()
                used = time.process_time()

    thread = threading.Thread(target=again, name=name, daemon=True)
    thread.start()
    return thread


def gnu(name: str) -> Callable[..., int] | None:
    """A function of the GNU C library; None where it is another."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

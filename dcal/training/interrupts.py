"""Ctrl-C and SIGTERM while a run goes on: the step in progress is finished and saved, then the run ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dcal.errors import Interrupted
from dcal.progress import OnProgress

AGAIN = 2.0  # seconds after which another Ctrl-C is meant as one: torchrun passes on the first, which is there already
MESSAGE = b"\nfinishing this step and saving the state; Ctrl-C again ends at once\n"


class Interrupts:
    """`noted`: the number of the signal that came, 0 before. Another Ctrl-C later ends the process at once."""

    def __init__(self) -> None:
        self.noted, self.since = 0, 0.0

    def note(self, number: int, frame: FrameType | None) -> None:
        if not self.noted:
            self.noted, self.since = number, time.monotonic()
            if number == signal.SIGINT:
                os.write(2, MESSAGE)  # print is not for signal handlers
        elif number == signal.SIGINT and time.monotonic() - self.since > AGAIN:
            raise KeyboardInterrupt

    def ending(self, on_progress: OnProgress, out: Path) -> OnProgress:
        """`on_progress` for work that a resumed run does again (its state is in `out`): raises Interrupted."""

        def report(what: str, done: int, total: int, note: str = "") -> None:
            on_progress(what, done, total, note)
            if self.noted:
                where = f"{what} {done} of {total}; the state is saved in {out}"
                raise Interrupted(f"interrupted at {where}: continue with the same command and --resume", self.noted)

        return report


@contextmanager
def noted_signals() -> Iterator[Interrupts]:
    """Notes SIGINT and SIGTERM instead of ending the process; outside the main thread, where Python has no handlers,
    it notes nothing."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals(worker: int) -> None:
    """For loader processes, which a terminal or a cluster signals too: they end with the process that they work for."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

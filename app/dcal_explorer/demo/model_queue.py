"""Visitors' work for the models: in the order of arrival, what is alike together in one batch, too much of it refused.

Only one batch at a time is in a model: several would share the same processors and each take longer. All are computed
in one thread, which yields the processors to those that answer visitors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dcal import DCALError
from dcal_explorer.threads import yield_to_others

TOGETHER = 4  # most items of a batch; of eight, each takes a twelfth less, and 100 MB more are needed
MOST_SECONDS = 20.0  # estimated wait from which on a visitor is asked to come back
MOST_WAITING = 48  # each holds a thread of the server
FIRST_GUESS = 0.2  # seconds an item takes, before one was measured
BLEND = 0.3  # of the newest measurement in an estimate
LOOK = 0.25  # seconds between two reports of the place in the queue

OnWait = Callable[[int, float], None]  # (items before this one, seconds that they will take)


def quietly(place: int, seconds: float) -> None:
    """Tell nobody of the place in the queue."""


class Busy(DCALError):
    """More is waiting than a visitor would wait for."""


@dataclass(eq=False)
class Job:
    """One visitor's item, and what became of it."""

    kind: Hashable
    item: Any
    together: Callable[[Sequence[Any]], Sequence[Any]]
    done: bool = False
    result: Any = None
    error: BaseException | None = None


@dataclass(eq=False)
class ModelQueue:
    """`running` is held by whoever is in a model: batches here, and anybody else who takes it."""

    together: int = TOGETHER
    most_seconds: float = MOST_SECONDS
    most_waiting: int = MOST_WAITING
    running: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._led = False  # is somebody about to run a batch, or running it?
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._seconds: dict[Hashable, float] = {}  # by kind, one item's
        self._worker = ThreadPoolExecutor(1, "models", yield_to_others)

    def run(
        self,
        kind: Hashable,
        item: Any,
        together: Callable[[Sequence[Any]], Sequence[Any]],
        on_wait: OnWait = quietly,
    ) -> Any:
        """`together([item])[0]`, computed with the waiting items of the same `kind` in one call of `together`.

        `on_wait` hears of the place in the queue now and then. Raises Busy, before anything is computed, where too much
        is waiting, and what `together` raised.
        """
        job = Job(kind, item, together)
        with self._changed:
            self._admit()
            self._waiting.append(job)
        while not job.done:
            if self._leads(job):
                self._run_next()
            elif not job.done:
                on_wait(*self.place(job))
        if job.error is not None:
            raise job.error
        return job.result

    def _leads(self, job: Job) -> bool:
        """Whether the caller is to run the next batch, as nobody else does; else after waiting a while for a change."""
        with self._changed:
            if self._led and not job.done:
                self._changed.wait(LOOK)
            lead = not (self._led or job.done)
            self._led |= lead
            return lead

    def place(self, job: Job | None = None) -> tuple[int, float]:
        """(how many items come before a job, or before a new one; the seconds that they are estimated to take)."""
        with self._changed:
            return self._before(job)

    def _before(self, job: Job | None) -> tuple[int, float]:
        ahead = self._waiting[: self._waiting.index(job)] if job in self._waiting else self._waiting
        before = [*self._running, *ahead] if job not in self._running else []
        return len(before), sum(self._seconds.get(other.kind, FIRST_GUESS) for other in before)

    def _admit(self) -> None:
        count, seconds = self._before(None)
        if count and (seconds > self.most_seconds or len(self._waiting) >= self.most_waiting):
            raise Busy(
                f"The server is busy: {count} requests are before this one, about {seconds:.0f} s. Try again then."
            )

    def _run_next(self) -> None:
        """Run the oldest waiting job, with those of its kind, as soon as nobody else is in a model."""
        batch: list[Job] = []
        try:
            with self.running:
                with self._changed:
                    kind = self._waiting[0].kind
                    batch = self._running = [job for job in self._waiting if job.kind == kind][: self.together]
                    self._waiting = [job for job in self._waiting if job not in batch]
                start = time.perf_counter()
                self._worker.submit(compute, batch).result()
                taken = (time.perf_counter() - start) / len(batch)
        finally:
            with self._changed:
                for job in batch:
                    job.done = True
                self._running, self._led = [], False
                self._changed.notify_all()
        self._seconds[kind] = (1 - BLEND) * self._seconds.get(kind, taken) + BLEND * taken


def compute(batch: Sequence[Job]) -> None:
    """Give every job of a batch its result, or all of them the error that there was."""
    try:
        results = batch[0].together([job.item for job in batch])
        for job, result in zip(batch, results, strict=True):
            job.result = result
    except BaseException as error:
        for job in batch:
            job.error = error

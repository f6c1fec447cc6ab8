"""A process for each variant, so that none meets the memory or the caches that another has left behind."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

PATIENCE = 3600  # seconds
FORK = multiprocessing.get_context("fork")  # the model is made once, and shared


class Worker:
    """A forked process that runs `call` whenever it is told to, in inference mode or with `gradients`.

    A context manager. torch must not have used a second thread before: a forked process has none of its parent's.
    """

    def __init__(self, call: Callable[[], Any], gradients: bool = False) -> None:
        self.pipe, far = FORK.Pipe()
        self.process = FORK.Process(target=_serve, args=(call, far, gradients), daemon=True)

    def __enter__(self) -> Worker:
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.join()

    def seconds(self) -> tuple[float, float]:
        """(processor time, wall time) of one call."""
        return self._ask(_timed)

    def peak(self) -> int:
        """Bytes at the peak of one call above the process before it; Linux only. Call it after others, to warm up."""
        return self._ask(_peak)

    def answer(self) -> Any:
        """What the call returns."""
        return self._ask(_answer)

    def latest(self) -> Any:
        """What a `Kept` call returned when it ran last."""
        return self._ask(_latest)

    def _ask(self, how: Callable[[Any], Any]) -> Any:
        self.pipe.send(how)
        ready = wait([self.pipe, self.process.sentinel], PATIENCE)
        if self.pipe in ready:
            return self.pipe.recv()
        if ready:
            raise RuntimeError(f"a variant's process ended with the exit code {self.process.exitcode}")
        raise TimeoutError(f"a variant has not answered for {PATIENCE // 60} minutes")


class Kept:
    """A call that keeps what it returned, for `Worker.latest`, and lets go of it before it runs again."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call, self.value = call, None

    def __call__(self) -> None:
        self.value = None
        self.value = self.call()


def _serve(call: Callable[[], Any], pipe: Connection, gradients: bool) -> None:
    with torch.inference_mode(not gradients):
        while True:
            pipe.send(pipe.recv()(call))


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def _peak(call: Callable[[], Any]) -> int:
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark: proc_pid_clear_refs(5)
    resting = _status("VmRSS")
    call()
    return _status("VmHWM") - resting


def _answer(call: Callable[[], Any]) -> Any:
    return call()


def _latest(call: Kept) -> Any:
    return call.value


def _status(field: str) -> int:
    """A size from /proc/self/status, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024

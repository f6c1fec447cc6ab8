"""When a process that loads images dies: one sentence instead of PyTorch's traceback, wherever it is noticed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from torch.utils.data import DataLoader

from dcal.errors import DCALError


class LoaderError(DCALError):
    """A process that loads images ended before its work was done."""


def loaded(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of `loader`. Raises LoaderError where one does not come because a process that loads ended.

    What the main process sees of a killed process depends on the moment: PyTorch's RuntimeError, a connection that was
    reset, the end of a file. The processes themselves say what happened. PyTorch would also raise in the handler of
    SIGCHLD, which is in any line of the main process, in the middle of a step or of a file: that handler is taken
    back.
    """
    others, handler = set(active_children()), child_handler()
    batches = iter(loader)
    set_child_handler(handler)
    processes = [process for process in active_children() if process not in others]
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except DCALError:  # of a process that goes on: a file that is no image
            raise
        except Exception as error:
            if not (how := first_end(processes)):
                raise
            raise LoaderError(
                f"a process that loads images ended ({how}), often for want of memory: fewer --workers take less"
            ) from error
        yield batch


@contextmanager
def worker_errors(what_now: str) -> Iterator[None]:
    """Adds `what_now` to a LoaderError; SIGCHLD raises nothing meanwhile, whoever listened to it before."""
    handler = child_handler()
    set_child_handler(signal.SIG_DFL)
    try:
        yield
    except LoaderError as error:
        raise DCALError(f"{error}. {what_now}") from error
    finally:
        set_child_handler(handler)


def first_end(processes: Sequence[BaseProcess]) -> str:
    """How one of the processes ended that should not have: by which signal, or with which code; "" if all go on.

    A process closes its connections a moment before the system tells its end, so that moment is waited for.
    """
    ready = wait([process.sentinel for process in processes], timeout=1)
    for process in processes:
        if process.sentinel in ready:
            process.join()
    codes = [process.exitcode for process in processes if process.exitcode]
    if not codes:
        return ""
    return f"exit code {codes[0]}" if codes[0] > 0 else f"killed by {signal.Signals(-codes[0]).name}"


def child_handler() -> Any:
    """What listens to SIGCHLD."""
    return signal.getsignal(signal.SIGCHLD)


def set_child_handler(handler: Any) -> None:
    """Python has handlers in the main thread only, and None is one that was not set by Python."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)

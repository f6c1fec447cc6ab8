"""A loader's process that dies is told as that, whatever the main process sees of it, and whenever."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.process import BaseProcess

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.multiprocessing import reductions
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torch.utils.data._utils import signal_handling

from dcal.data.workers import loaded, worker_errors
from dcal.errors import DCALError, ImageError


class Dying(Dataset[Tensor]):
    """Numbers as tensors; who loads number `at` ends by SIGKILL or with exit code 3, or raises an error of ours."""

    def __init__(self, at: int, how: str) -> None:
        self.at, self.how = at, how

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Tensor:
        if index == self.at and get_worker_info() is not None:
            if self.how == "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "exit":
                os._exit(3)
            raise ImageError("3.png is no image")
        return torch.full((4,), float(index))


@pytest.fixture(autouse=True)
def child_handler_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGCHLD)
    yield
    assert signal.getsignal(signal.SIGCHLD) == before


@contextmanager
def loading(at: int, how: str, workers: int = 1) -> Iterator[Iterator[Tensor]]:
    with worker_errors("Try again"):
        yield loaded(DataLoader(Dying(at, how), batch_size=2, num_workers=workers))


@pytest.mark.parametrize(
    ("at", "how", "told"),
    [(0, "SIGKILL", "killed by SIGKILL"), (7, "SIGKILL", "killed by SIGKILL"), (11, "exit", "exit code 3")],
)
@pytest.mark.parametrize("pause", [0.0, 0.05])  # the main process waits for the batch, or works when the other dies
def test_a_process_that_ends_is_one_sentence(at: int, how: str, told: str, pause: float):
    taken = 0
    sentence = rf"^a process that loads images ended \({told}\).*fewer --workers take less\. Try again$"
    with pytest.raises(DCALError, match=sentence), loading(at, how) as batches:
        for batch in batches:
            assert batch[0, 0] == 2 * taken
            taken += 1
            until = time.monotonic() + pause
            while time.monotonic() < until:  # the death must not interrupt this
                np.ones(100).sum()
    assert taken <= at // 2


def test_a_broken_connection_to_a_dead_process_is_told_as_its_end(monkeypatch: pytest.MonkeyPatch):
    others = set(active_children())
    seen: list[BaseProcess] = []

    def reset(*arguments: object) -> Tensor:
        seen.extend(process for process in active_children() if process not in others)
        os.kill(seen[0].pid or 0, signal.SIGKILL)
        raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(DCALError, match="killed by SIGKILL"), loading(-1, "") as batches:
        next(batches)
        monkeypatch.setattr(reductions, "rebuild_storage_fd", reset)  # how a batch comes from another process
        list(batches)
    assert seen


def test_errors_of_a_process_that_goes_on_stay_what_they_are():
    with pytest.raises(ImageError, match=r"^3\.png is no image$"), loading(3, "error") as batches:
        list(batches)


def test_a_death_interrupts_nothing_else(monkeypatch: pytest.MonkeyPatch):
    """PyTorch's handler of SIGCHLD, installed by a process's first loader, would raise in whatever line runs."""
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    with pytest.raises(DCALError, match="killed by SIGKILL"), loading(5, "SIGKILL") as batches:
        next(batches)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            os.getpid()
        monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", True)
        list(batches)


def test_all_batches_come_in_order_by_none_one_and_two_processes():
    for workers in (0, 1, 2):
        with loading(-1, "", workers) as batches:
            assert torch.cat(list(batches))[:, 0].tolist() == list(range(12))

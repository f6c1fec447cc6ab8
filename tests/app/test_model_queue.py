"""The queue before the models: batches of what is alike, in order, each its own answer, and a polite no."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from dcal import DCALError
from dcal_explorer.demo.model_queue import Busy, ModelQueue

PATIENCE = 10.0


def crowd(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each call, in a thread of its own, returned or raised."""
    found: list[Any] = [None] * len(calls)

    def run(index: int) -> None:
        try:
            found[index] = calls[index]()
        except DCALError as error:
            found[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return found


class Model:
    """Squares numbers, and notes the batches. Two at once in it are an error."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.inside = 0

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.inside += 1
        assert self.inside == 1
        time.sleep(0.01)
        self.batches.append(tuple(numbers))
        self.inside -= 1
        if -1 in numbers:
            raise DCALError("no negative numbers")
        return [number**2 for number in numbers]


def waiting(queue: ModelQueue, model: Model, kinds: Sequence[str]) -> list[Any]:
    """The answers for items 0, 1, … of some kinds that all wait before the first runs."""
    queue.running.acquire()

    def let_go() -> None:
        until_waiting(queue, len(kinds))
        queue.running.release()

    release = threading.Thread(target=let_go)
    release.start()
    found = crowd([partial(queue.run, kind, i, model) for i, kind in enumerate(kinds)])
    release.join()
    return found


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


def until_waiting(queue: ModelQueue, count: int) -> None:
    until(lambda: queue.place()[0] == count)


def test_what_is_alike_runs_together_and_each_gets_its_own_answer() -> None:
    queue, model = ModelQueue(together=4), Model()
    assert waiting(queue, model, "aaabbaaa") == [i**2 for i in range(8)]
    assert sorted(map(len, model.batches)) == [2, 2, 4]  # six of a, at most four at once, and two of b
    assert queue.place() == (0, 0)


def test_batches_begin_with_the_oldest() -> None:
    queue, model = ModelQueue(together=2), Model()
    queue.running.acquire()
    threads = []
    for index, kind in enumerate("abab"):
        threads.append(threading.Thread(target=queue.run, args=(kind, index, model)))
        threads[-1].start()
        until_waiting(queue, index + 1)
    queue.running.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert model.batches == [(0, 2), (1, 3)]


def test_an_error_reaches_those_of_its_batch_and_no_others() -> None:
    queue, model = ModelQueue(), Model()
    with pytest.raises(DCALError, match="no negative"):
        queue.run("a", -1, model)
    assert queue.run("a", 3, model) == 9


def test_too_much_is_refused_with_the_number_and_the_wait() -> None:
    queue, model = ModelQueue(together=1, most_seconds=1.0), Model()
    queue._seconds["a"] = 0.6
    queue.running.acquire()
    first = [threading.Thread(target=queue.run, args=("a", i, model)) for i in range(2)]
    for thread in first:
        thread.start()
    until(lambda: queue.place()[0] == 2)
    with pytest.raises(Busy, match=r"busy: 2 requests are before this one, about 1 s\. Try again then"):
        queue.run("a", 7, model)
    queue.running.release()
    for thread in first:
        thread.join(PATIENCE)
    assert model.batches in ([(0,), (1,)], [(1,), (0,)])  # the refused one was never computed
    assert queue.run("a", 7, model) == 49


def test_an_idle_server_refuses_nobody_however_long_one_takes() -> None:
    queue = ModelQueue(most_seconds=0.001)
    queue._seconds["a"] = 100
    assert queue.run("a", 5, Model()) == 25


def test_threads_are_not_all_taken() -> None:
    queue, model = ModelQueue(most_waiting=3), Model()
    found = waiting_at_most(queue, model, 5)
    assert sum(isinstance(answer, Busy) for answer in found) == 2


def waiting_at_most(queue: ModelQueue, model: Model, count: int) -> list[Any]:
    queue.running.acquire()
    release = threading.Timer(0.3, queue.running.release)
    release.start()
    found = crowd([partial(queue.run, "a", i, model) for i in range(count)])
    release.join()
    return found


def test_the_place_in_the_queue_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcal_explorer.demo.model_queue.LOOK", 0.01)
    queue, model, heard = ModelQueue(together=1), Model(), []
    queue._seconds["a"] = 0.5
    queue.running.acquire()
    first = threading.Thread(target=queue.run, args=("a", 1, model))
    first.start()
    until(lambda: queue.place()[0] == 1)
    second = threading.Thread(target=queue.run, args=("a", 2, model, lambda *place: heard.append(place)))
    second.start()
    until(lambda: bool(heard))
    queue.running.release()
    first.join(PATIENCE)
    second.join(PATIENCE)
    assert heard[0] == (1, 0.5)


def batch_threads(queue: ModelQueue) -> list[tuple[int, int]]:
    """(thread, its priority) that computed each of three visitors' items."""

    def together(items: Sequence[int]) -> list[tuple[int, int]]:
        own = threading.get_native_id()
        return [(own, os.getpriority(os.PRIO_PROCESS, own)) for _ in items]

    return crowd([partial(queue.run, str(kind), kind, together) for kind in range(3)])


linux = pytest.mark.skipif(sys.platform != "linux", reason="only there has each thread a priority of its own")


@linux
def test_models_run_in_one_thread_after_those_that_answer() -> None:
    own, queue = os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), ModelQueue()
    assert {priority for _, priority in batch_threads(queue)} == {min(19, own + 10)}
    assert len({*batch_threads(queue), *batch_threads(queue)}) == 1
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


@linux
def test_a_system_that_refuses_the_priority_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: int) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "setpriority", refused)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert {priority for _, priority in batch_threads(ModelQueue())} == {own}

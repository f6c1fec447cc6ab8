"""How a long computation says how far it is: it calls back. The caller draws a bar, writes a line, or does nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

Value = TypeVar("Value")
# The share done, as the work goes, which closing ends; what it returns is its result.
Steps = Generator[float, None, Value]


@runtime_checkable
class OnProgress(Protocol):
    """Called with what is being done, how much of it is done, of how much, and a remark (figures so far; may be "")."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """Reports nothing."""


def reported(values: Iterable[Value], total: int, what: str, on_progress: OnProgress) -> Iterator[Value]:
    """The values; `on_progress` is called with 0 before the first and with the count after each was worked on."""
    on_progress(what, 0, total)
    for done, value in enumerate(values, 1):
        yield value
        on_progress(what, done, total)


def finished(steps: Steps[Value], on_share: Callable[[float], Any] = float) -> Value:
    """What the work comes to. `on_share` is called with each share done, and may end the work by an exception."""
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            result: Value = end.value
            return result
        on_share(share)


def portion(steps: Steps[Value], first: float, last: float) -> Steps[Value]:
    """The steps as those of a larger work, of which they are what lies between two shares."""
    try:
        while True:
            yield first + (last - first) * next(steps)
    except StopIteration as end:
        result: Value = end.value
        return result


def time_left(seconds: float) -> str:
    """A duration in the two largest of its units: "3 h 20 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h left"
    if hours:
        return f"{hours} h {minutes} min left"
    return f"{minutes} min {rest} s left" if minutes else f"{rest} s left"

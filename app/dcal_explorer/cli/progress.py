"""Progress on the error stream: a bar where a person looks, a line now and then where it is written to a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dcal.progress import OnProgress, time_left

BETWEEN = 10.0  # seconds, at least, between two lines in a file


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """One bar for each thing that is done, under its name, removed when the next one begins; or lines, in a file."""
    if not sys.stderr.isatty():
        yield progress_lines()
        return
    columns = (
        *(TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    # What is printed meanwhile stands above the bar, unless it goes elsewhere: rich would send it to the error stream.
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:

        def on_progress(what: str, done: int, total: int, note: str = "") -> None:
            if what not in bars:
                for bar in bars.values():
                    progress.remove_task(bar)
                bars.clear()
                bars[what] = progress.add_task(what, total=total, note=note)
            progress.update(bars[what], completed=done, note=note)

        yield on_progress


def progress_lines(between: float = BETWEEN) -> OnProgress:
    """Writes a line for what takes long: the first after so many seconds, then one at most in so many.

    Where the caller has no remark, the line ends with the time that is left at the pace so far.
    """
    written = time.monotonic()
    began: tuple[str, float, int] = ("", written, 0)  # what, since when, and how much of it was done then

    def on_progress(what: str, done: int, total: int, note: str = "") -> None:
        nonlocal written, began
        now = time.monotonic()
        if what != began[0] or done < began[2]:
            began = (what, now, done)
        if done and now - written >= between:
            written = now
            pace = (now - began[1]) / (done - began[2]) if done > began[2] else None
            remark = note or ("" if pace is None else time_left(pace * (total - done)))
            print(f"{what}  {done:,}/{total:,}  {remark}".rstrip(), file=sys.stderr, flush=True)

    return on_progress

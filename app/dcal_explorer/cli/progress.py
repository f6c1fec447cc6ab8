"""Progress on the error stream: a bar where a person looks, a line now and then where it is written to a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dcal.progress import OnProgress


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """Draws one bar for each thing that is done, under its name, and removes it when the next one begins."""
    columns = (
        *(TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[note]}"),
    )
    shown = sys.stderr.isatty()
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    # What is printed meanwhile stands above the bar, unless it goes elsewhere: rich would send it to the error stream.
    with Progress(
        *columns, console=console, transient=True, disable=not shown, redirect_stdout=sys.stdout.isatty()
    ) as progress:

        def on_progress(what: str, done: int, total: int, note: str = "") -> None:
            if what not in bars:
                for bar in bars.values():
                    progress.remove_task(bar)
                bars.clear()
                bars[what] = progress.add_task(what, total=total, note=note)
            progress.update(bars[what], completed=done, note=note)

        yield on_progress

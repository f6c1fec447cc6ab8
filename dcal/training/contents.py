"""What a run's data set holds, image by image, so that a resumed run goes on with the same."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from dcal.data.base import first
from dcal.errors import DCALError

FILE = "data.csv"  # in the run's folder
COLUMNS = ("split", "image", "bytes", "label")
Row = tuple[str, str, str, str]  # as COLUMNS


def check_contents(rows: Sequence[Row], out: Path, begun: bool) -> None:
    """Keep the list in the run's folder; where the run has `begun`, hold it against the list that it began with.

    Raises DCALError, with the difference, if the data set is another one now.
    """
    path = out / FILE
    if begun and path.is_file():
        before = read_rows(path)
        if sorted(before) != sorted(rows):
            raise DCALError(
                f"the data set is not the one that the run in {out} began with: {difference(before, rows)}. "
                "Restore it, or begin another run with another --out"
            )
        return
    beside = path.with_suffix(".tmp")
    with beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    beside.replace(path)


def read_rows(path: Path) -> list[Row]:
    """The list in a file. Raises DCALError if it is damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            heading, *rows = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DCALError(f"{path} is damaged ({error}). Delete it to go on unchecked") from error
    if tuple(heading) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise DCALError(
            f"{path} is damaged: its lines must have {len(COLUMNS)} values, {', '.join(COLUMNS)} first. Delete it to "
            "go on unchecked"
        )
    return [(split, image, size, label) for split, image, size, label in rows]


def difference(before: Sequence[Row], now: Sequence[Row]) -> str:
    """What was added, removed and changed, with numbers and some names."""
    old, new = ({row[:2]: row[2:] for row in rows} for rows in (before, now))
    both = old.keys() & new.keys()
    changes = {
        "added": new.keys() - old.keys(),
        "removed": old.keys() - new.keys(),
        "of another size in bytes": {key for key in both if old[key][0] != new[key][0]},
        "with another label": {key for key in both if old[key][1] != new[key][1]},
        "listed more or less often": both if old == new else set(),
    }
    named = (
        f"{len(keys):,} image{'s' if len(keys) > 1 else ''} {what} ({first(sorted(f'{s}: {i}' for s, i in keys))})"
        for what, keys in changes.items()
        if keys
    )
    return "; ".join(named)


def row(split: str, image: Path, root: Path, label: object) -> Row:
    """One image of the list; its path is relative to the data set's folder, wherever that lies."""
    name = image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name
    return split, name, str(image.stat().st_size) if image.is_file() else "missing", str(label)

"""Reading CSV files of images: their rows, checked."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from dcal.data.base import first
from dcal.errors import DCALError


def csv_file(root: Path) -> Path:
    """The file itself, or the only CSV file of the folder `root`."""
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv")) if root.is_dir() else []
    if len(found) != 1:
        held = f"it holds {len(found)}: {first(path.name for path in found)}" if found else "there is none"
        raise DCALError(f"{root}: expected a CSV file, or a folder with one (*.csv); {held}")
    return found[0]


def read_csv(
    path: Path, columns: Sequence[str], splits: Collection[str], once: Sequence[str] = ("path",)
) -> list[tuple[int, dict[str, str]]]:
    """(line, {column: cell}) of every row.

    Raises DCALError for lacking columns, for an empty cell in one of them, for a split that is not one of `splits`,
    and for rows that agree in all the columns `once`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            named = tuple(reader.fieldnames or ())
            rows = [(reader.line_num, {name: (row[name] or "").strip() for name in named}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DCALError(f"cannot read {path} as a CSV file in UTF-8: {error}") from error
    if lacking := [name for name in columns if name not in named]:
        raise DCALError(f"{path} lacks the columns {', '.join(lacking)}; its first line names {', '.join(named)}")
    seen: dict[tuple[str, ...], int] = {}
    for line, row in rows:
        if empty := [name for name in columns if not row[name]]:
            raise DCALError(f"{path}, line {line}: {', '.join(empty)} is empty")
        if row["split"] not in splits:
            raise DCALError(f"{path}, line {line}: the split is {', '.join(splits)}; got {row['split']!r}")
        key = tuple(row[name] for name in once)
        if key in seen:
            raise DCALError(f"{path}, line {line}: {row['path']} is listed already, in line {seen[key]}")
        seen[key] = line
    return rows


def ordered(names: Collection[str]) -> tuple[str, ...]:
    """Numbers by size if all of them are, else in order of the alphabet."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))

"""Any set of photos that a CSV file lists."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

from dcal.data.base import first
from dcal.data.fgvc.base import Labelled
from dcal.data.records import Record
from dcal.data.reid.base import SPLITS, ReID, Row
from dcal.errors import DCALError

BOX = ("left", "top", "width", "height")


class Listing(Labelled):
    """A CSV file (UTF-8, commas) whose first line names its columns: path, label, split, and maybe left, top, width,
    height.

    `root` is the file, or a folder that holds no other CSV file. Paths are relative to the file's folder. The split
    is train or test; val stands for test where no row says test, and is left out otherwise, which the notes say. The
    classes are the training rows' labels, numbers in order of size and names in order of the alphabet. A box is in
    the photo's pixels; four empty cells mean that the photo has none. Other columns are passed over.
    """

    title = "list"
    terms = "A list of the user's own: who may use the photos, and for what, is not known here."

    def read(self) -> tuple[Record, ...]:
        path = csv_file(self.root)
        self.root, self.title = path.parent, f"list {path.name}"
        rows = read_csv(path, ("path", "label", "split"), ("train", "test", "val"))
        test = "test" if any(row["split"] == "test" for _, row in rows) else "val"
        self.classes = ordered({row["label"] for _, row in rows if row["split"] == "train"})
        labels = {name: label for label, name in enumerate(self.classes)}
        if unknown := ordered({row["label"] for _, row in rows if row["split"] == test} - labels.keys()):
            raise DCALError(f"{path}: {len(unknown)} labels of the test split have no training photo: {first(unknown)}")
        if test == "val" and self.split == "test":
            self.notes.append("the test split is the rows marked val")
        elif unused := sum(row["split"] == "val" for _, row in rows) if test == "test" else 0:
            self.notes.append(f"{unused:,} rows marked val are not used")
        wanted = "train" if self.split == "train" else test
        return tuple(
            Record(path.parent / row["path"], labels[row["label"]], read_box(row, path, line))
            for line, row in rows
            if row["split"] == wanted
        )


class ReIDCsv(ReID):
    """A CSV file (UTF-8, commas) whose first line names its columns: path, identity, camera, split, and maybe track.

    `root` is the file, or a folder that holds no other CSV file. Paths are relative to the file's folder. The split
    is train, query or gallery; a photo may be in the query and in the gallery. Other columns are passed over.
    """

    title = "list"
    terms = Listing.terms

    def rows(self) -> list[Row]:
        path = csv_file(self.root)
        self.root, self.title = path.parent, f"list {path.name}"
        rows = read_csv(path, ("path", "identity", "camera", "split"), SPLITS, once=("path", "split"))
        return [
            Row(row["split"], path.parent / row["path"], row["identity"], row["camera"], row.get("track") or None)
            for _, row in rows
        ]


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


def read_box(row: dict[str, str], path: Path, line: int) -> tuple[float, float, float, float] | None:
    """The row's (left, top, width, height), None where these cells are empty or there are no such columns."""
    cells = [row.get(name, "") for name in BOX]
    if not any(cells):
        return None
    try:
        left, top, width, height = (float(cell) for cell in cells)
    except ValueError as error:
        raise DCALError(f"{path}, line {line}: a box is four numbers ({', '.join(BOX)}), got {cells}") from error
    if not (width > 0 and height > 0):
        raise DCALError(f"{path}, line {line}: a box's width and height are positive, got {width:g} and {height:g}")
    return left, top, width, height


def ordered(names: Collection[str]) -> tuple[str, ...]:
    """Numbers by size if all of them are, else in order of the alphabet."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))

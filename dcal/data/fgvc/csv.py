"""Images with one class each, listed by a CSV file."""

from __future__ import annotations

from pathlib import Path

from dcal.data.base import first
from dcal.data.csv_reader import csv_file, ordered, read_csv
from dcal.data.fgvc.base import Labelled
from dcal.data.records import Record
from dcal.errors import DCALError

BOX = ("left", "top", "width", "height")


class Listing(Labelled):
    """A CSV file (UTF-8, commas) whose first line names its columns: path, label, split, and maybe left, top, width,
    height.

    `root` is the file, or a folder that holds no other CSV file. Paths are relative to the file's folder. The split
    is train or test; val stands for test where no row says test, and is left out otherwise, as the notes state. The
    classes are the training rows' labels, numbers in order of size and names in order of the alphabet. A box is in
    the image's pixels; four empty cells mean that the image has none. Other columns are ignored.
    """

    title = "list"
    terms = "A list of the user's own: who may use the images, and for what, is not known here."

    def read(self) -> tuple[Record, ...]:
        path = csv_file(self.root)
        self.root, self.title = path.parent, f"list {path.name}"
        rows = read_csv(path, ("path", "label", "split"), ("train", "test", "val"))
        test = "test" if any(row["split"] == "test" for _, row in rows) else "val"
        self.classes = ordered({row["label"] for _, row in rows if row["split"] == "train"})
        labels = {name: label for label, name in enumerate(self.classes)}
        if unknown := ordered({row["label"] for _, row in rows if row["split"] == test} - labels.keys()):
            raise DCALError(f"{path}: {len(unknown)} labels of the test split have no training image: {first(unknown)}")
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

"""Images with an identity and a camera each, listed by a CSV file."""

from __future__ import annotations

from dcal.data.csv_reader import csv_file, read_csv
from dcal.data.reid.base import OPTIONAL, SPLITS, ReID, Row


class ReIDCsv(ReID):
    """A CSV file (UTF-8, commas) whose first line names its columns: path, identity, camera, split, and maybe track,
    date and viewpoint.

    `root` is the file, or a folder that holds no other CSV file. Paths are relative to the file's folder. The split
    is train, query or gallery; an image may be in the query and in the gallery. Other columns are ignored.
    """

    title = "list"
    terms = "A list of the user's own: who may use the images, and for what, is not known here."

    def rows(self) -> list[Row]:
        path = csv_file(self.root)
        self.root, self.title = path.parent, f"list {path.name}"
        rows = read_csv(path, ("path", "identity", "camera", "split"), SPLITS, once=("path", "split"))
        return [
            Row(row["split"], path.parent / row["path"], row["identity"], row["camera"], *more)
            for _, row in rows
            for more in [[row.get(name) or None for name in OPTIONAL]]
        ]

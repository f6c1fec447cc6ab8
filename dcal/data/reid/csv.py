"""Images with an identity and a camera each, listed by a CSV file."""

from __future__ import annotations

from dcal.data.csv_reader import csv_file, read_csv
from dcal.data.reid.base import OPTIONAL, ReID, Row
from dcal.data.reid.folder import NAMED, ONE, TEST
from dcal.errors import DCALError


class ReIDCsv(ReID):
    """A CSV file (UTF-8, commas) whose first line names its columns: path, identity, camera, split, and maybe track,
    date and viewpoint.

    `root` is the file, or a folder that holds no other CSV file. Paths are relative to the file's folder. The split
    is train, query or gallery; an image may be in the query and in the gallery, and is in both with the split
    test. Without a column camera, all images count as one camera's. Other columns are ignored.
    """

    title = "list"
    terms = "A list of the user's own: who may use the images, and for what, is not known here."

    def rows(self) -> list[Row]:
        path = csv_file(self.root)
        self.root, self.title = path.parent, f"list {path.name}"
        rows = read_csv(path, ("path", "identity", "split"), NAMED, once=("path", "split"))
        self.cameras_known = any("camera" in row for _, row in rows)
        if self.cameras_known and (empty := next((line for line, row in rows if not row["camera"]), None)):
            raise DCALError(f"{path}, line {empty}: camera is empty")
        return [
            Row(split, path.parent / row["path"], row["identity"], row.get("camera", ONE), *more)
            for _, row in rows
            for more in [[row.get(name) or None for name in OPTIONAL]]
            for split in (("query", "gallery") if row["split"] == TEST else (row["split"],))
        ]

"""Stanford Cars in the layout of its official archives."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from dcal.data.base import find_root
from dcal.data.fgvc.base import Labelled, corners_to_box, whole_splits
from dcal.data.records import Record
from dcal.errors import DCALError

FILES = ("devkit/cars_meta.mat", "devkit/cars_train_annos.mat", "cars_train", "cars_test")
# What scipy raises, besides its own, on files that are cut off or something else.
BROKEN = (OSError, ValueError, TypeError, IndexError, KeyError, EOFError, NotImplementedError, zlib.error)
TEST_LABELS = "cars_test_annos_withlabels.mat"  # beside devkit/ or in it: it was published apart from the devkit


class Cars(Labelled):
    """One split of Stanford Cars, its records in the order of the annotation file.

    `root` is the folder that holds devkit/, cars_train/ and cars_test/, or its parent when it is called stanford_cars.
    The images may lie in cars_train/cars_train/, as a well-known copy has them. Every record has the car's box. The
    devkit's own cars_test_annos.mat has no classes; the test split needs `cars_test_annos_withlabels.mat`.
    """

    title = "Stanford Cars"
    terms = (
        "Stanford Cars (Krause, Stark, Deng and Fei-Fei, 2013): images from the web, for non-commercial research; "
        "none of them is in this repository."
    )
    archive = "stanford_cars"
    official = whole_splits(classes=196, train=8144, test=8041)

    def read(self) -> tuple[Record, ...]:
        self.root = find_root(self.title, (self.root, self.root / self.archive), FILES)
        names = read_mat(self.root / FILES[0], "class_names")
        self.classes = tuple(str(name) for name in names)
        path = self.root / FILES[1] if self.split == "train" else self._test_labels()
        rows = read_mat(path, "annotations")
        wanted = {"fname", "class", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"}
        if lacking := wanted - set(rows.dtype.names or ()):
            raise DCALError(f"{path}: its annotations lack {', '.join(sorted(lacking))}. Is it {TEST_LABELS}?")
        folder = f"cars_{self.split}"
        nested = self.root / folder / folder
        folder_path = nested if nested.is_dir() else self.root / folder
        return tuple(self._record(row, folder_path, path) for row in rows)

    def _test_labels(self) -> Path:
        tried = (self.root / "devkit" / TEST_LABELS, self.root / TEST_LABELS)
        for path in tried:
            if path.is_file():
                return path
        raise DCALError(
            f"the test split needs {tried[0]} or {tried[1]}: the devkit's cars_test_annos.mat has no classes"
        )

    def _record(self, row: np.void, folder: Path, path: Path) -> Record:
        number = int(row["class"])  # from 1
        if not 1 <= number <= len(self.classes):
            raise DCALError(f"{path}: {row['fname']} is of class {number}; cars_meta.mat has 1 to {len(self.classes)}")
        x1, y1, x2, y2 = (float(row[f"bbox_{name}"]) for name in ("x1", "y1", "x2", "y2"))  # stored as few bits as fit
        return Record(folder / str(row["fname"]), number - 1, corners_to_box((x1, y1, x2, y2)))


def read_mat(path: Path, name: str) -> np.ndarray:
    """One variable of a MATLAB file as a list: all axes of length one dropped but the last."""
    from scipy.io import loadmat  # half a second, which no other data set needs
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, squeeze_me=True)
    except (*BROKEN, MatReadError) as error:
        raise DCALError(f"{path} is not a MATLAB file that can be read: {error}") from error
    if name not in content:
        held = ", ".join(key for key in content if not key.startswith("__"))
        raise DCALError(f"{path} should hold {name!r}; it holds {held or 'nothing'}")
    return np.atleast_1d(content[name])

"""CUB-200-2011 in its official layout, or any subset of it that keeps the layout."""

from __future__ import annotations

from pathlib import Path

from dcal.data.base import find_root, read_lines, table
from dcal.data.fgvc.base import Labelled, whole_splits
from dcal.data.records import Part, Record
from dcal.errors import DCALError

FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt", "bounding_boxes.txt")
PART_FILES = ("parts/parts.txt", "parts/part_locs.txt")  # not needed for training
HALVES = {"train": "1", "test": "0"}  # the second column of train_test_split.txt


class CUB(Labelled):
    """One split of CUB-200-2011, its records in the order of images.txt.

    `root` is the folder that holds images.txt, or its parent. Labels count the lines of classes.txt from 0, so a
    subset with gaps in its class numbers has none in its labels. Every record has the bird's box and, where the
    folder parts/ is there, its 15 annotated points, visible or not; without it `.parts` is None.
    """

    title = "CUB-200-2011"
    terms = (
        "CUB-200-2011 (Wah, Branson, Welinder, Perona and Belongie, 2011): images from Flickr, for non-commercial "
        "research, not to be redistributed; none of them is in this repository."
    )
    archive = "CUB_200_2011"
    official = whole_splits(classes=200, train=5994, test=5794)

    def read(self) -> tuple[Record, ...]:
        self.root = find_root(self.title, (self.root, self.root / self.archive), FILES)
        class_names = table(self.root / "classes.txt")
        labels = {number: label for label, number in enumerate(class_names)}
        self.classes = tuple(human(name) for name in class_names.values())
        images, numbers, halves, boxes = (table(self.root / FILES[i]) for i in (0, 1, 2, 4))
        for name, rows in (("image_class_labels.txt", numbers), ("train_test_split.txt", halves), (FILES[4], boxes)):
            self._agrees(name, images.keys() - rows.keys(), len(images))
        chosen = [number for number in images if halves[number] == HALVES[self.split]]
        if unknown := {numbers[number] for number in chosen} - labels.keys():
            raise DCALError(
                f"image_class_labels.txt uses {len(unknown)} class numbers that are not among the {len(labels)} of "
                f"{self.root / 'classes.txt'}: {', '.join(sorted(unknown)[:5])}."
            )
        points = read_parts(self.root)
        if points is not None:
            self._agrees(PART_FILES[1], set(chosen) - points.keys(), len(chosen))
        return tuple(
            Record(
                self.root / "images" / images[number],
                labels[numbers[number]],
                parse_box(boxes[number], self.root / FILES[4]),
                None if points is None else points[number],
            )
            for number in chosen
        )

    def _agrees(self, name: str, absent: set[str], images: int) -> None:
        if absent:
            raise DCALError(
                f"{self.root / name} lacks {len(absent)} of the {images} images in images.txt "
                f"(the first by number: {min(absent, key=lambda number: (len(number), number))})."
            )


def human(name: str) -> str:
    """'001.Black_footed_Albatross' → 'Black footed Albatross'."""
    return name.split(".", 1)[-1].replace("_", " ")


def parse_box(text: str, path: Path) -> tuple[float, float, float, float]:
    """'60.0 27.0 325.0 304.0', a line of the file at `path` → (left, top, width, height)."""
    try:
        left, top, width, height = (float(number) for number in text.split())
    except ValueError as error:
        raise DCALError(f"{path}: a box is four numbers: left top width height, got {text[:80]!r}") from error
    return left, top, width, height


def read_parts(root: Path) -> dict[str, tuple[Part, ...]] | None:
    """{image's number: its points in the order of parts.txt}; None where there is no folder parts/."""
    if not (root / "parts").is_dir():
        return None
    if lacking := [name for name in PART_FILES if not (root / name).is_file()]:
        raise DCALError(f"{root} has a folder parts/ but lacks {', '.join(lacking)}. Unpack it again, or take it away")
    names = table(root / PART_FILES[0])
    found: dict[str, tuple[Part, ...]] = {}
    for line, row in enumerate(read_lines(root / PART_FILES[1]), 1):
        try:
            number, part, x, y, visible = row.split()
            point = Part(names[part], float(x), float(y), visible == "1")
        except (KeyError, ValueError) as error:
            raise DCALError(
                f"{root / PART_FILES[1]}, line {line}: expected 'image part x y visible' with a part of parts.txt, "
                f"got {row[:80]!r}"
            ) from error
        found[number] = (*found.get(number, ()), point)
    return found

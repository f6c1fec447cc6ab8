"""CUB-200-2011 in its official layout, or any subset of it that keeps the layout."""

from __future__ import annotations

from pathlib import Path

from dcal.data.record import Part, Record
from dcal.errors import DCALError, known

FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt", "bounding_boxes.txt")
PART_FILES = ("parts/parts.txt", "parts/part_locs.txt")  # not needed for training
SPLITS = {"train": "1", "test": "0"}  # the second column of train_test_split.txt


class CUB:
    """One split of CUB-200-2011: `.records` in the order of images.txt, and `.classes`, the human names by label.

    `root` is the folder that holds images.txt, or its parent. Labels count the lines of classes.txt from 0, so a
    subset with gaps in its class numbers has none in its labels. Every record has the bird's box and, where the
    folder parts/ is there, its 15 annotated points, visible or not; without it `.parts` is None. Raises DCALError
    when the layout's files are not there, when they contradict each other, and when photos that they list are missing.
    """

    terms = (
        "CUB-200-2011 (Wah, Branson, Welinder, Perona and Belongie, 2011): photos from Flickr, for non-commercial "
        "research, not to be redistributed; none of them is in this repository."
    )

    def __init__(self, root: str | Path, split: str = "train") -> None:
        self.root, self.split = find_root(root), known("split", split, SPLITS)
        class_names = table(self.root / "classes.txt")
        self.classes = tuple(human(name) for name in class_names.values())
        self.records = self._read({number: label for label, number in enumerate(class_names)})
        missing = [record.path for record in self.records if not record.path.is_file()]
        if missing:
            shown = ", ".join(str(path.relative_to(self.root)) for path in missing[:3])
            more = " and others" if len(missing) > 3 else ""
            raise DCALError(
                f"{len(missing)} of the {len(self.records)} {split} photos listed in {self.root / 'images.txt'} are "
                f"missing: {shown}{more}. Unpack the archive again"
            )

    def _read(self, labels: dict[str, int]) -> tuple[Record, ...]:
        images, numbers, halves, boxes = (table(self.root / FILES[i]) for i in (0, 1, 2, 4))
        for name, rows in (("image_class_labels.txt", numbers), ("train_test_split.txt", halves), (FILES[4], boxes)):
            if absent := images.keys() - rows.keys():
                raise DCALError(
                    f"{self.root / name} says nothing of {len(absent)} of the {len(images)} photos in images.txt "
                    f"(the first by number: {min(absent, key=int)})."
                )
        chosen = [number for number in images if halves[number] == SPLITS[self.split]]
        if unknown := {numbers[number] for number in chosen} - labels.keys():
            raise DCALError(
                f"image_class_labels.txt uses {len(unknown)} class numbers that are not among the {len(labels)} of "
                f"{self.root / 'classes.txt'}: {', '.join(sorted(unknown, key=int)[:5])}."
            )
        if not chosen:
            raise DCALError(f"{self.root}: none of the {len(images)} photos belongs to the {self.split} split.")
        points = read_parts(self.root)
        if points is not None and (absent := set(chosen) - points.keys()):
            raise DCALError(
                f"{self.root / PART_FILES[1]} says nothing of {len(absent)} of the {len(chosen)} {self.split} photos "
                f"(the first by number: {min(absent, key=int)}). Unpack parts/ again, or take it away"
            )
        return tuple(
            Record(
                self.root / "images" / images[number],
                labels[numbers[number]],
                parse_box(boxes[number]),
                None if points is None else points[number],
            )
            for number in chosen
        )

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        classes = (
            f"{len(self.classes)} classes" if len(self.classes) == 200 else f"{len(self.classes)} of the 200 classes"
        )
        return f"CUB-200-2011, {self.split} split: {len(self.records)} photos of {classes}"


def find_root(root: str | Path) -> Path:
    """The folder that holds the layout's files: `root` itself or `root`/CUB_200_2011."""
    tried = (Path(root), Path(root) / "CUB_200_2011")
    for folder in tried:
        if all((folder / name).is_file() for name in FILES):
            return folder
    lacks = [f"{folder} lacks {', '.join(name for name in FILES if not (folder / name).is_file())}" for folder in tried]
    raise DCALError(
        f"no CUB-200-2011 at {root}: {'; '.join(lacks)}. Give the folder that the archive unpacks to, or its parent"
    )


def table(path: Path) -> dict[str, str]:
    """A file of lines 'number rest' as {number: rest}, in the file's order."""
    rows = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    try:
        return {number: rest.strip() for number, rest in rows}
    except ValueError as error:
        raise DCALError(f"{path}: every line must be a number and a value, one has a single word.") from error


def human(name: str) -> str:
    """'001.Black_footed_Albatross' → 'Black footed Albatross'."""
    return name.split(".", 1)[-1].replace("_", " ")


def parse_box(text: str) -> tuple[float, float, float, float]:
    """'60.0 27.0 325.0 304.0' → (left, top, width, height)."""
    left, top, width, height = (float(number) for number in text.split())
    return left, top, width, height


def read_parts(root: Path) -> dict[str, tuple[Part, ...]] | None:
    """{photo's number: its points in the order of parts.txt}; None where there is no folder parts/."""
    if not (root / "parts").is_dir():
        return None
    if lacking := [name for name in PART_FILES if not (root / name).is_file()]:
        raise DCALError(f"{root} has a folder parts/ but lacks {', '.join(lacking)}. Unpack it again, or take it away")
    names = table(root / PART_FILES[0])
    found: dict[str, tuple[Part, ...]] = {}
    for line, row in enumerate((root / PART_FILES[1]).read_text(encoding="utf-8").splitlines(), 1):
        try:
            number, part, x, y, visible = row.split()
            point = Part(names[part], float(x), float(y), visible == "1")
        except (KeyError, ValueError) as error:
            raise DCALError(
                f"{root / PART_FILES[1]}, line {line}: expected 'photo part x y visible' with a part of parts.txt, "
                f"got {row[:80]!r}"
            ) from error
        found[number] = (*found.get(number, ()), point)
    return found

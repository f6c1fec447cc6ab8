"""FGVC-Aircraft in the layout of its official archive."""

from __future__ import annotations

from dcal.data.base import find_root, read_lines, table
from dcal.data.fgvc.base import Labelled, corners_to_box, whole_splits
from dcal.data.records import Record
from dcal.errors import DCALError

LISTS = {"train": "images_variant_trainval.txt", "test": "images_variant_test.txt"}
FILES = ("variants.txt", *LISTS.values(), "images_box.txt", "images")
BANNER = 20  # rows, to be removed in training and evaluation by the archive's README


class Aircraft(Labelled):
    """One split of FGVC-Aircraft at the level of variants, its records in the order of the official list.

    The training split is the official training and validation halves together, as in the paper's and most others'
    results. `root` is the folder fgvc-aircraft-2013b, its parent, or its folder data. Every record has the aircraft's
    box, and `banner = 20`: the copyright line at the lower edge is cut off whenever the image is opened as a record.
    """

    title = "FGVC-Aircraft"
    terms = (
        "FGVC-Aircraft 2013b (Maji, Kannala, Rahtu, Blaschko and Vedaldi, 2013): images of aircraft spotters, "
        "exclusively for non-commercial research; none of them is in this repository."
    )
    archive = "fgvc-aircraft-2013b"
    official = whole_splits(classes=100, train=6667, test=3333)

    def read(self) -> tuple[Record, ...]:
        folders = (self.root, self.root / "data", self.root / self.archive / "data")
        self.root = find_root(self.title, folders, FILES)
        self.notes = [f"the {BANNER} rows of the banner at each image's lower edge are cut off"]
        self.classes = tuple(name.strip() for name in read_lines(self.root / "variants.txt"))
        labels = {name: label for label, name in enumerate(self.classes)}
        variants, boxes = table(self.root / LISTS[self.split]), table(self.root / "images_box.txt")
        if unknown := set(variants.values()) - labels.keys():
            raise DCALError(
                f"{self.root / LISTS[self.split]} uses {len(unknown)} variants that are not among the {len(labels)} of "
                f"variants.txt: {', '.join(sorted(unknown)[:3])}"
            )
        if absent := variants.keys() - boxes.keys():
            raise DCALError(
                f"{self.root / 'images_box.txt'} lacks {len(absent)} of the {len(variants)} images in "
                f"{LISTS[self.split]} (for one: {min(absent)})"
            )
        return tuple(
            Record(self.root / "images" / f"{image}.jpg", labels[variant], self._box(boxes[image]), banner=BANNER)
            for image, variant in variants.items()
        )

    def _box(self, text: str) -> tuple[float, float, float, float]:
        try:
            x1, y1, x2, y2 = (float(number) for number in text.split())
        except ValueError as error:
            path = self.root / "images_box.txt"
            raise DCALError(f"{path}: a box is four numbers: xmin ymin xmax ymax, got {text[:80]!r}") from error
        return corners_to_box((x1, y1, x2, y2))

"""Re-ID data sets whose file names give identity, camera and split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from dcal.data.base import find_root, first, read_lines
from dcal.data.fgvc.folder import files, is_image
from dcal.data.reid.base import OPTIONAL, SPLITS, ReID, Row
from dcal.errors import DCALError

PATTERN_FILE = "pattern.txt"
TEST = "test"  # a split that is queries and gallery both
NAMED = (*SPLITS, TEST)
ONE = "1"  # the camera of images whose files name none


def matched(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    """(image, match) of every image below a folder, by path; the pattern must match from the start of its path there.

    Raises DCALError, naming them, if it does not match some.
    """
    images = sorted(path for path in files(folder) if is_image(path))
    found = [(path, pattern.match(path.relative_to(folder).as_posix())) for path in images]
    if unmatched := [path.relative_to(folder).as_posix() for path, match in found if match is None]:
        raise DCALError(
            f"{len(unmatched)} of the {len(images)} images in {folder} do not match the pattern {pattern.pattern!r}: "
            f"{first(unmatched)}"
        )
    yield from ((path, match) for path, match in found if match is not None)


class FolderPerSplit(ReID):
    """A folder of images for each split, whose file names give identity and camera.

    `root` is the folder that holds them, or its parent where it has the archive's own name.
    """

    archive: ClassVar[str]  # never None here
    folders: ClassVar[tuple[str, str, str]] = ("bounding_box_train", "query", "bounding_box_test")
    pattern: ClassVar[str]  # of a file name: identity, camera, maybe track

    def rows(self) -> Sequence[Row]:
        self.root = find_root(self.title, (self.root, self.root / self.archive), self.folders)
        pattern = re.compile(self.pattern)
        return [
            Row(split, path, match["identity"], match["camera"], self.track(path))
            for split, folder in zip(self.splits, self.folders, strict=True)
            for path, match in matched(self.root / folder, pattern)
        ]

    def track(self, path: Path) -> str | None:
        """The image's track, where the data set has tracks."""
        return None


class PatternFolder(ReID):
    r"""Any folder, by a regular expression with named groups that is matched to each image's path below it.

    The groups: `identity`, maybe `camera` (without it, all images count as one camera's), `track`, `date` (ISO 8601)
    and `viewpoint`; and the split, either as a group `split` that reads train, query, gallery or test, or as groups of
    these names, the first of which that matched decides. Images of `test` are queries and gallery both: each is
    searched among all the others.
    Paths have forward slashes and are matched from their start. For vehicle2cam it would be

        images/(?:(?P<train>train)|test)/(?P<identity>[a-z]+_\d+)_cam(?P<camera>(?P<query>1)|(?P<gallery>2))

    Without `pattern`, it is the first line of pattern.txt in the folder. Every image must match.
    """

    title = "images by pattern"
    terms = "A folder of the user's own: who may use the images, and for what, is not known here."

    def __init__(self, root: str | Path, split: str = "train", strict: bool = True, pattern: str | None = None) -> None:
        self.pattern = pattern
        super().__init__(root, split, strict)

    def rows(self) -> Sequence[Row]:
        if not self.root.is_dir():
            raise DCALError(f"{self.root} is not a folder")
        self.title = f"images by pattern of {self.root.resolve().name}"
        pattern = self._compiled()
        self.cameras_known = "camera" in pattern.groupindex
        return [
            Row(split, path, match["identity"], match.groupdict().get("camera") or ONE, *more)
            for path, match in matched(self.root, pattern)
            for more in [[match.groupdict().get(name) for name in OPTIONAL]]
            for split in splits_of(path, match)
        ]

    def _compiled(self) -> re.Pattern[str]:
        path = self.root / PATTERN_FILE
        if self.pattern is None and not path.is_file():
            raise DCALError(
                f"{self.root} lacks {PATTERN_FILE}, whose first line is the regular expression of the images' paths "
                "with groups (?P<identity>…), (?P<split>…) and, where there are several, (?P<camera>…). For folders "
                r"train/NAME/ and test/NAME/ it is (?P<split>train|test)/(?P<identity>[^/]+)/"
            )
        text = next(iter(read_lines(path)), "").strip() if self.pattern is None else self.pattern
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise DCALError(f"{text!r} is not a regular expression: {error}") from error
        groups = pattern.groupindex.keys()
        if "identity" not in groups or groups.isdisjoint({"split", *NAMED}):
            raise DCALError(
                f"{text!r} needs groups identity and split (or train, query, gallery, test), and maybe camera; it has "
                f"{', '.join(groups) or 'none'}"
            )
        return pattern


def splits_of(path: Path, match: re.Match[str]) -> tuple[str, ...]:
    """The splits that a pattern's groups give: one, or query and gallery for `test`."""
    groups = match.groupdict()
    split = groups["split"] if "split" in groups else next((name for name in NAMED if groups.get(name)), None)
    if split not in NAMED:
        found = f"gives the split {split!r}" if "split" in groups else f"matched none of the groups {', '.join(NAMED)}"
        raise DCALError(f"{path}: the pattern {found}; the splits are train, query and gallery, or train and test")
    return ("query", "gallery") if split == TEST else (split,)

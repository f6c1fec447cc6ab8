"""Re-ID data sets whose file names say who, by which camera and in which split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from dcal.data.base import find_root, first, read_lines
from dcal.data.fgvc.folder import files, is_photo
from dcal.data.reid.base import SPLITS, ReID, Row
from dcal.errors import DCALError

PATTERN_FILE = "pattern.txt"


def matched(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    """(photo, match) of every photo below a folder, by path; the pattern must match from the start of its path there.

    Raises DCALError, naming them, if it does not match some.
    """
    photos = sorted(path for path in files(folder) if is_photo(path))
    found = [(path, pattern.match(path.relative_to(folder).as_posix())) for path in photos]
    if strange := [path.relative_to(folder).as_posix() for path, match in found if match is None]:
        raise DCALError(
            f"{len(strange)} of the {len(photos)} photos in {folder} are not named as {pattern.pattern!r} says: "
            f"{first(strange)}"
        )
    yield from ((path, match) for path, match in found if match is not None)


class FolderPerSplit(ReID):
    """A folder of photos for each split, whose file names say the rest.

    `root` is the folder that holds them, or its parent where it has the archive's own name.
    """

    archive: ClassVar[str]
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
        """The photo's track, where the data set says one."""
        return None


class PatternFolder(ReID):
    r"""Any folder, by a regular expression with named groups that is matched to each photo's path below it.

    The groups: `identity`, `camera`, maybe `track`; and the split, either as a group `split` that reads train, query
    or gallery, or as groups of these names, the first of which that matched decides. Paths have forward slashes and
    are matched from their start. For vehicle2cam it would be

        images/(?:(?P<train>train)|test)/(?P<identity>[a-z]+_\d+)_cam(?P<camera>(?P<query>1)|(?P<gallery>2))

    Without `pattern`, it is the first line of pattern.txt in the folder. Every photo must match.
    """

    title = "photos by pattern"
    terms = "A folder of the user's own: who may use the photos, and for what, is not known here."

    def __init__(self, root: str | Path, split: str = "train", strict: bool = True, pattern: str | None = None) -> None:
        self.pattern = pattern
        super().__init__(root, split, strict)

    def rows(self) -> Sequence[Row]:
        if not self.root.is_dir():
            raise DCALError(f"{self.root} is not a folder")
        self.title = f"photos by pattern of {self.root.resolve().name}"
        pattern = self._compiled()
        return [
            Row(split_of(path, match), path, match["identity"], match["camera"], match.groupdict().get("track"))
            for path, match in matched(self.root, pattern)
        ]

    def _compiled(self) -> re.Pattern[str]:
        path = self.root / PATTERN_FILE
        if self.pattern is None and not path.is_file():
            raise DCALError(
                f"{self.root} lacks {PATTERN_FILE}, whose first line is the regular expression of the photos' paths "
                "with groups (?P<identity>…), (?P<camera>…) and (?P<split>…)"
            )
        text = next(iter(read_lines(path)), "").strip() if self.pattern is None else self.pattern
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise DCALError(f"{text!r} is not a regular expression: {error}") from error
        groups = pattern.groupindex.keys()
        if not groups >= {"identity", "camera"} or groups.isdisjoint({"split", *SPLITS}):
            raise DCALError(
                f"{text!r} needs groups identity, camera, and split (or train, query, gallery); it has "
                f"{', '.join(groups) or 'none'}"
            )
        return pattern


def split_of(path: Path, match: re.Match[str]) -> str:
    """The split that a pattern's groups say."""
    groups = match.groupdict()
    split = groups["split"] if "split" in groups else next((name for name in SPLITS if groups.get(name)), None)
    if split not in SPLITS:
        said = f"says split {split!r}" if "split" in groups else "matched none of the groups train, query, gallery"
        raise DCALError(f"{path}: the pattern {said}; a photo is of the train, query or gallery split")
    return split

"""What every data set is: one split's images, what was found of it, and what should be there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from dcal.data.records import ImageRecord
from dcal.errors import DCALError, check_choice

SKIP_FILE = "skip.txt"  # in a data set's folder: images that are left out, a path below it a line

RecordT = TypeVar("RecordT", bound=ImageRecord)


class DataSet(ABC, Generic[RecordT]):
    """One split of a data set in some layout: `.records`, and `str()`, a summary of what was found.

    `official` holds the counts of each whole split, the one that decides first: a split that has all the classes (or
    identities) is taken to be whole and must have the other counts too, one that has fewer is reported as a subset.
    Images that `SKIP_FILE` names are left out, as a note says.
    Raises DCALError for a wrong root, naming the missing files, for files that contradict each other,
    for a whole split with wrong counts, and for images that are listed but not there. `strict=False` leaves the last
    two to the caller: they are `.problems()`.
    """

    title: str
    terms: ClassVar[str]  # whose the images are, and what may be done with them
    splits: ClassVar[tuple[str, ...]]
    official: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    archive: ClassVar[str | None] = None  # the folder that the official archive unpacks to
    home: ClassVar[Path | None] = None  # where it lies if it comes with this package

    root: Path  # the folder that the layout starts from; `read` may set a more exact one
    records: tuple[RecordT, ...]

    def __init__(self, root: str | Path, split: str = "train", strict: bool = True) -> None:
        self.root, self.split = Path(root), check_choice("split", split, self.splits)
        self.notes: list[str] = []  # what a reader of the figures should know
        self.records = self.without_skipped(self.read())
        if not self.records:
            raise DCALError(f"{self.title} at {self.root}: no image belongs to the {split} split")
        self.missing = tuple(record.path for record in self.records if not record.path.is_file())
        if strict and (problems := self.problems()):
            raise DCALError("; ".join(problems))

    @abstractmethod
    def read(self) -> tuple[RecordT, ...]:
        """The records of `self.split`, whether or not their files exist."""

    def without_skipped(self, records: tuple[RecordT, ...]) -> tuple[RecordT, ...]:
        """The records that `SKIP_FILE` does not name."""
        names = skipped_names(self.root)
        kept = tuple(record for record in records if self.shown(record.path) not in names)
        if count := len(records) - len(kept):
            self.notes.append(left_out(count))
        return kept

    @abstractmethod
    def found(self) -> dict[str, int]:
        """What was counted, under the names that `official` uses; what is not official may be there too."""

    @property
    def expected(self) -> Mapping[str, int]:
        """The whole split's counts; empty where unknown."""
        return self.official.get(self.split, {})

    @property
    def whole(self) -> bool:
        """Whether all the classes or identities are there."""
        return any(self.found()[name] >= count for name, count in list(self.expected.items())[:1])

    def problems(self) -> list[str]:
        """What is wrong with the split as a whole, a sentence each; empty when nothing is."""
        problems, found = [], self.found()
        if self.whole and any(found[name] != count for name, count in self.expected.items()):
            have, official = (counts({name: table[name] for name in self.expected}) for table in (found, self.expected))
            problems.append(
                f"{self.title} at {self.root} has {have} in its {self.split} split, the official one has {official}: "
                "unpack the archive again, or take away whole classes or identities to make it a subset"
            )
        if self.missing:
            problems.append(
                f"{len(self.missing)} of the {len(self.records)} {self.split} images listed in {self.root} are "
                f"missing: {first(self.shown(path) for path in self.missing)}. Unpack the archive again"
            )
        return problems

    def shown(self, path: Path) -> str:
        """An image's path as messages show it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        found, expected = self.found(), self.expected
        if not expected or self.whole:
            text = counts(found)
        else:
            key = next(iter(expected))
            rest = counts({name: count for name, count in found.items() if name != key})
            text = (
                f"{found[key]:,} of the {expected[key]:,} {key}, {rest} "
                f"(a subset; the whole split has {expected['images']:,})"
            )
        return "; ".join((f"{self.title}, {self.split} split: {text}", *self.notes))


def skipped_names(folder: Path) -> frozenset[str]:
    """The images that the folder's `SKIP_FILE` names, if there is one."""
    path = folder / SKIP_FILE
    return frozenset(read_lines(path) if path.is_file() else ())


def left_out(count: int) -> str:
    """That so many images are left out."""
    return f"{count:,} {'images are' if count > 1 else 'image is'} left out, as {SKIP_FILE} says"


def counts(table: Mapping[str, int]) -> str:
    """{"classes": 200, "images": 5994} → '200 classes, 5,994 images'."""
    return ", ".join(f"{count:,} {name}" for name, count in table.items())


def first(names: Iterable[str], most: int = 3) -> str:
    """The first few of the names, and that there are others."""
    listed = list(names)
    return ", ".join(listed[:most]) + (" and others" if len(listed) > most else "")


def find_root(title: str, tried: Sequence[Path], files: Sequence[str]) -> Path:
    """The first of the folders that holds all the files (or folders); a DCALError names what each of them lacks."""
    lacking = {folder: [name for name in files if not (folder / name).exists()] for folder in tried}
    for folder, names in lacking.items():
        if not names:
            return folder
    lacks = "; ".join(f"{folder} lacks {', '.join(names)}" for folder, names in lacking.items())
    raise DCALError(f"no {title} at {tried[0]}: {lacks}. Give the folder that the archive unpacks to, or its parent")


def read_lines(path: Path) -> list[str]:
    """A text file's lines without their ends, empty ones left out. Raises DCALError, naming it, if it is no text."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DCALError(f"cannot read {path}: {error}") from error


def table(path: Path) -> dict[str, str]:
    """A file of lines 'key rest' as {key: rest}, in the file's order."""
    rows = (line.split(maxsplit=1) for line in read_lines(path))
    try:
        return {key: rest.strip() for key, rest in rows}
    except ValueError as error:
        raise DCALError(f"{path}: every line must be a number and a value, one has a single word.") from error

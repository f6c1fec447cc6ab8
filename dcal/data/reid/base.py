"""Data sets for re-identification: images of persons or vehicles, each with an identity and a camera."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, NamedTuple

from dcal.data.base import DataSet, first
from dcal.data.records import ImageRecord
from dcal.errors import DCALError

SPLITS = ("train", "query", "gallery")
OPTIONAL = ("track", "date", "viewpoint")  # what files may say of an image beyond identity and camera


@dataclass(frozen=True)
class ReIDRecord(ImageRecord):
    """One image, with the data set's own numbers of identity, camera and, if there are any, track.

    A track is one passage through one camera's view. `training_labels` numbers identities for a classifier. `date`
    (in UTC if the files give a time zone) and `viewpoint` ("left", "rear", …) are None where the files have none.
    """

    identity: int
    camera: int
    track: int | None = None
    date: datetime | None = None
    viewpoint: str | None = None


class Row(NamedTuple):
    """An image as a data set's files name it."""

    split: str
    path: Path
    identity: str
    camera: str
    track: str | None = None
    date: str | None = None  # ISO 8601: 2026-11-26, or 2026-11-26T08:30
    viewpoint: str | None = None


class ReID(DataSet[ReIDRecord]):
    """One split of a Re-ID data set: train, query or gallery; identities of the first are in none of the others.

    Identities, cameras and tracks keep their numbers where the data set's are all whole numbers, and no two of them
    the same one ("01" and "1"). Elsewhere they are numbered from 0 in order of name, the same in every split; `.names`
    maps an identity to what the files call it, `.camera_names` a camera.
    `junk` identities are left out of the gallery, since the standard protocol counts them neither as right nor as
    wrong; `distractors` stay in it, and no query is one of them. `.notes` counts both. A data set
    with such numbers raises DCALError for two names of one number.
    """

    splits = SPLITS
    image_size: ClassVar[tuple[int, int]] = (256, 128)  # (height, width) that the paper trains with: persons
    junk: ClassVar[int | None] = None
    distractor: ClassVar[int | None] = None
    cameras_known: bool = True  # False: the files name no camera, and all images count as one camera's
    one_numbering: ClassVar[bool] = True  # whether a number means the same identity in training and test
    names: dict[int, str]
    camera_names: dict[int, str]

    def read(self) -> tuple[ReIDRecord, ...]:
        rows = self.rows()
        identities, cameras = numbers(row.identity for row in rows), numbers(row.camera for row in rows)
        self._check_marks(identities)
        tracks: dict[str | None, int | None] = {None: None}
        tracks.update(numbers(row.track for row in rows if row.track is not None))
        self.names = {number: name for name, number in identities.items()}
        self.camera_names = {number: name for name, number in cameras.items()}
        own = [
            ReIDRecord(
                row.path, identities[row.identity], cameras[row.camera], tracks[row.track], instant(row), row.viewpoint
            )
            for row in rows
            if row.split == self.split
        ]
        kept = tuple(record for record in own if record.identity != self.junk)
        self._note(len(own) - len(kept), sum(record.identity == self.distractor for record in kept))
        if self.split == "query":
            self._compare(rows)
        return kept

    def _check_marks(self, identities: dict[str, int]) -> None:
        """`junk` and `distractor` are numbers that the files write, not places in the order of names."""
        if (self.junk, self.distractor) == (None, None):
            return
        written = Counter(map(int, identities))
        if twice := [name for name in identities if written[int(name)] > 1]:
            raise DCALError(f"{self.title} at {self.root}: {first(twice)} are one number: write each identity one way")

    def _note(self, junk: int, distractors: int) -> None:
        if distractors:
            self.notes.append(f"{distractors:,} of the images are distractors (identity {self.distractor})")
        if junk:
            self.notes.append(f"{junk:,} junk images (identity {self.junk}) left out")

    def _compare(self, rows: Sequence[Row]) -> None:
        train, query, gallery = ({row.identity for row in rows if row.split == split} for split in SPLITS)
        if unmatched := sorted(query - gallery):
            self.notes.append(f"{len(unmatched)} identities are not in the gallery: {first(unmatched)}")
        if self.one_numbering and (shared := sorted(query & train)):
            self.notes.append(f"{len(shared)} identities are in the training split too: {first(shared)}")
        cameras = {row.camera for row in rows if row.split != "train"}
        if not self.cameras_known:
            self.notes.append("no cameras are named: all images count as one camera's (as with --one-camera)")
        elif len(cameras) == 1:
            self.notes.append("all queries and gallery images are of one camera: train and evaluate with --one-camera")
        else:
            self._compare_queries(rows)

    def _compare_queries(self, rows: Sequence[Row]) -> None:
        """Notes on queries that cannot be answered, or only by later images."""
        matches: dict[str, list[Row]] = {}
        for row in rows:
            if row.split == "gallery":
                matches.setdefault(row.identity, []).append(row)
        queries = [row for row in rows if row.split == "query"]
        found = [[own for own in matches.get(row.identity, ()) if own.camera != row.camera] for row in queries]
        if without := sum(not own for own in found):
            self.notes.append(f"{without:,} of the {len(queries):,} queries have no match by another camera")
        dated = [
            (instant(row), [instant(match) for match in own])
            for row, own in zip(queries, found, strict=True)
            if own and row.date and all(match.date for match in own)
        ]
        if early := sum(
            date is not None and all(other is not None and date < other for other in others) for date, others in dated
        ):
            self.notes.append(f"{early:,} of the {len(dated):,} dated queries are older than all of their matches")

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """The images of every split, whether or not their files exist."""

    def found(self) -> dict[str, int]:
        identities = {record.identity for record in self.records} - {self.distractor}
        cameras = {record.camera for record in self.records}
        return {"identities": len(identities), "images": len(self.records), "cameras": len(cameras)}


def instant(row: Row) -> datetime | None:
    """The row's date, None without one. Raises DCALError, naming the image, for what is no ISO date."""
    if row.date is None:
        return None
    try:
        found = datetime.fromisoformat(row.date)
    except ValueError as error:
        raise DCALError(
            f"{row.path}: the date is written as 2026-11-26 or 2026-11-26T08:30 (ISO 8601), got {row.date!r}"
        ) from error
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def numbers(names: Iterable[str]) -> dict[str, int]:
    """{name: its number}, another for each: the whole number that it is, or its place in the order of all, from 0,
    where one is none or two are the same ("01" and "1")."""
    distinct = sorted(set(names))
    if all(re.fullmatch(r"-?\d+", name) for name in distinct):
        whole = {name: int(name) for name in distinct}
        if len(set(whole.values())) == len(whole):
            return whole
    return {name: place for place, name in enumerate(distinct)}


def training_labels(records: Iterable[ReIDRecord]) -> tuple[int, ...]:
    """Each record's label from 0, its identity's place in the order of those that are there: for a classifier."""
    identities = [record.identity for record in records]
    labels = {identity: label for label, identity in enumerate(sorted(set(identities)))}
    return tuple(labels[identity] for identity in identities)


def whole_splits(**splits: tuple[int, int]) -> dict[str, dict[str, int]]:
    """{split: (identities, images)} in the form of `DataSet.official`."""
    return {name: {"identities": identities, "images": images} for name, (identities, images) in splits.items()}

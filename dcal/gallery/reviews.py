"""What people say of hits: the same identity, another, cannot tell, or one that is new; kept beside the gallery.

The file is `NAME.reviews.jsonl` beside the gallery's folder NAME, so that building the gallery again keeps it. A line
is appended for every answer, under the system's lock, and never changed: several pages and processes can write at once,
and former answers can still be read. What a killed process left half written is dropped by the next that writes.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dcal.errors import DCALError, check_choice
from dcal.gallery.hits import Hit
from dcal.model.checkpoint import REVIEWS

ANSWERS = ("same", "different", "cannot tell", "new identity")
WITHDRAWN = ""  # an answer that was taken back
LONGEST = 8192  # bytes of a line


@dataclass(frozen=True)
class Review:
    """One answer about a query and an image of the gallery. `query`: `query_name`'s; `time` in UTC, ISO 8601."""

    query: str
    image: str
    answer: str
    query_identity: str | None = None
    image_identity: str | None = None
    similarity: float | None = None
    checkpoint: str | None = None
    time: str = ""


def query_name(path: str | None, pixels: bytes = b"") -> str:
    """How reviews name a query: the gallery image's path, or, of an upload, "upload-" and a hash of its pixels."""
    return path if path is not None else f"upload-{hashlib.sha256(pixels).hexdigest()[:16]}"


def review_of(query: str, identity: str | None, hit: Hit, answer: str, checkpoint: str) -> Review:
    """A review of a hit now. Raises DCALError for an answer that is none of `ANSWERS`; `WITHDRAWN` takes it back."""
    if answer != WITHDRAWN:
        check_choice("answer", answer, ANSWERS)
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Review(query, hit.item.path, answer, identity, hit.item.identity, round(hit.similarity, 6), checkpoint, time)


class Reviews:
    """The reviews beside a gallery's folder. Nothing is read or written before it is asked for."""

    def __init__(self, gallery: str | Path) -> None:
        folder = Path(gallery)
        self.path = folder.with_name(folder.name + REVIEWS)

    def add(self, review: Review) -> None:
        """Append a review. Raises DCALError where the file cannot be written."""
        line = json.dumps(asdict(review), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        if len(line) > LONGEST:
            raise DCALError(f"a review takes {LONGEST:,} bytes at most, this one {len(line):,}: its names are too long")
        try:
            with locked(self.path) as file:
                whole = end_of_lines(file)
                os.ftruncate(file, whole)
                os.pwrite(file, line, whole)
                os.fsync(file)
        except OSError as error:
            raise DCALError(
                f"{self.path.name} cannot be written ({error.strerror}): reviews are kept beside the gallery's folder"
            ) from error

    def all(self) -> tuple[Review, ...]:
        """Every review, oldest first, those that others replaced too; none where there is no file.

        Raises DCALError, naming the line, for what is no review.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise DCALError(f"{self.path.name} cannot be read ({error.strerror})") from error
        lines = text[: text.rfind(b"\n") + 1].splitlines()
        return tuple(self._read(number, line) for number, line in enumerate(lines, 1))

    def _read(self, number: int, line: bytes) -> Review:
        try:
            values: dict[str, Any] = json.loads(line)
            return Review(**{field.name: values[field.name] for field in fields(Review)})
        except (ValueError, KeyError, TypeError) as error:
            raise DCALError(f"{self.path.name}, line {number} is no review: restore the file, or move it") from error

    def latest(self) -> tuple[Review, ...]:
        """The last review of each query and image that was not withdrawn, in order of their time."""
        found: dict[tuple[str, str], Review] = {}
        for review in self.all():
            found.pop((review.query, review.image), None)
            if review.answer != WITHDRAWN:
                found[review.query, review.image] = review
        return tuple(found.values())

    def of(self, query: str) -> dict[str, str]:
        """{image: answer} for one query."""
        return {review.image: review.answer for review in self.latest() if review.query == query}

    def csv(self) -> str:
        """The latest reviews as a CSV file."""
        file = io.StringIO(newline="")
        names = [field.name for field in fields(Review)]
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        values = (asdict(review) for review in self.latest())
        writer.writerows(["" if own[name] is None else own[name] for name in names] for own in values)
        return file.getvalue()


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The file, made if it is not there, open for this caller alone: others wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)  # and with it the lock


def end_of_lines(file: int) -> int:
    """How many bytes of a file are whole lines."""
    size = os.fstat(file).st_size
    start = max(0, size - LONGEST)
    return start + os.pread(file, size - start, start).rfind(b"\n") + 1

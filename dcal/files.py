"""Writing to disk: one sentence for a full or read-only one, with how much room is needed."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from dcal.errors import DCALError
from dcal.modes import give_usual_mode

# What the system says when a place cannot be written to, whatever was written.
NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
STALE = 3600.0  # seconds; nothing of ours takes so long to write


def remove_stale(place: Path) -> None:
    """Remove what killed processes that wrote to `place` left half-written: `tempfile`'s names, older than `STALE`.

    Or so far in the future: then the clock went back since.
    """
    for path in place.parent.glob(f".{glob.escape(place.name)}-????????"):
        try:
            age = abs(time.time() - path.lstat().st_mtime)
        except FileNotFoundError:
            continue
        if age > STALE and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif age > STALE:
            path.unlink(missing_ok=True)


def write_whole(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all."""
    remove_stale(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        give_usual_mode(temporary)  # mkstemp's are for the owner alone
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def writing(place: Path, needed: int = 0, what_now: str = "What was there before is whole.") -> Iterator[None]:
    """Turns errors of writing to `place` into a DCALError that says why, what is `needed` (bytes), and `what_now`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if (why := not_written(error, place)) is None:
            raise
        raise DCALError(f"{place} cannot be written to: {why}.{room(place, needed)} {what_now}") from error


def not_written(error: BaseException, place: Path) -> str | None:
    """Why something could not be written to `place`; None for an error that is about something else.

    PyTorch raises a RuntimeError of its own upon the system's error, safetensors puts it into its message.
    """
    if isinstance(error, SafetensorError):
        return str(error) if "I/O error" in str(error) or "IoError" in str(error) else None
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or not about_writing(cause, place):
        return None
    return cause.strerror


def about_writing(error: OSError, place: Path) -> bool:
    """Whether the system's error is of writing to `place`, and not of another place, of reading or of a connection."""
    if error.filename is None:
        return error.errno in NOT_WRITABLE
    path = Path(os.fsdecode(error.filename)).resolve()
    if not path.is_relative_to(place.resolve()):
        return False
    if error.errno == errno.ENOENT:  # writing makes the file, but not its folder
        return not path.parent.exists()
    return error.errno != errno.EACCES or not path.is_file() or os.access(path, os.R_OK)


def room(place: Path, needed: int) -> str:
    """A sentence on the room that is needed and that is free; "" where it is not known."""
    if not needed:
        return ""
    existing = next((path for path in (place, *place.absolute().parents) if path.exists()), None)
    free = "" if existing is None else f", and {megabytes(shutil.disk_usage(existing).free)} are free"
    return f" It takes {megabytes(needed)}{free}."


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"

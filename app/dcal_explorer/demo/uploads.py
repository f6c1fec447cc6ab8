"""The folder of the visitors' files: removed when the program ends, limited in all and for each visitor."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse

PREFIX = "dcal-demo-"
MOST = 2 * 2**30  # bytes in the folder: uploads, and images that were drawn
EACH = 2**28  # bytes that one address uploads in a `WINDOW`
WINDOW = 600.0  # seconds
FULL = 0.8  # share of `MOST` at which the oldest files begin to leave
TIDY = 30.0  # seconds between two looks
YOUNG = 60.0  # seconds; a folder or a file so new is left alone, as somebody may be about to use it


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder for as long as the program runs; those of programs that were killed are removed first."""
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # the system's: it ends with the process, however that ends
            yield Path(folder)
        finally:
            os.close(descriptor)


def remove_abandoned(parent: Path) -> None:
    """Remove this user's upload folders that no running program holds, whatever the clock was when they were made."""
    for place in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone
            continue
        try:
            found = os.fstat(descriptor)
            if found.st_uid == os.getuid() and abs(time.time() - found.st_mtime) > YOUNG:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
        except BlockingIOError:
            pass  # its program runs
        finally:
            os.close(descriptor)


class UploadLimits:
    """How much is in the folder, and how much each address has uploaded of late."""

    def __init__(self, folder: Path, most: int = MOST, each: int = EACH) -> None:
        self.folder, self.most, self.each = folder, most, each
        self.size = 0
        self._born: dict[tuple[str, float], float] = {}  # (path, time of change) → when, by the clock that only goes on
        self._recent: dict[str, deque[tuple[float, int]]] = {}
        self._guard = threading.Lock()

    def refusal(self, address: str, length: int) -> str:
        """Why an upload of `length` bytes is not taken; "" if it is, and it is then counted (see `give_back`)."""
        now = time.monotonic()
        with self._guard:
            recent = self._recent.setdefault(address, deque())
            while recent and now - recent[0][0] > WINDOW:
                recent.popleft()
            sent = sum(size for _, size in recent)
            if sent + length > self.each:
                wait = WINDOW - (now - recent[0][0]) if recent else 0
                return (
                    f"You have uploaded {sent / 1e6:.0f} MB in the last {WINDOW / 60:.0f} minutes; the limit is "
                    f"{self.each / 1e6:.0f} MB. Try again in {max(1, wait / 60):.0f} minutes."
                )
            if self.size + length > self.most:
                return f"The server's room for images, {self.most / 1e9:.1f} GB, is full. Try again in a minute."
            recent.append((now, length))
            self.size += length
            for other in [name for name, sizes in self._recent.items() if not sizes]:
                del self._recent[other]
            return ""

    def give_back(self, address: str, length: int, came: int) -> None:
        """Count only the bytes that came of an upload that was taken, where it ended before its stated `length`."""
        with self._guard:
            recent = self._recent.get(address, deque())
            place = next((place for place, (_, size) in enumerate(recent) if size == length), None)
            if place is not None and came < length:
                recent[place] = recent[place][0], came
                self.size = max(0, self.size - (length - came))

    def tidy(self) -> None:
        """Measure the folder, and remove its oldest files where it is nearly full."""
        found = list(_files(self.folder))
        now, sizes = time.monotonic(), {(path, changed): length for changed, length, path in found}
        self._born = {key: self._born.get(key, now - max(0.0, time.time() - key[1])) for key in sizes}
        size, limit = sum(sizes.values()), FULL * self.most
        for (path, changed), born in sorted(self._born.items(), key=lambda item: (item[1], item[0])):
            if size <= limit or now - born < YOUNG:
                break
            Path(path).unlink(missing_ok=True)
            size -= sizes[path, changed]
        with self._guard:
            self.size = size

    def tidy_always(self) -> threading.Thread:
        """Tidy again and again, in a thread that ends with the program."""

        def work() -> None:
            while True:
                self.tidy()
                time.sleep(TIDY)

        thread = threading.Thread(target=work, name="uploads", daemon=True)
        thread.start()
        return thread


def _files(folder: Path) -> Iterator[tuple[float, int, str]]:
    """(time of change, bytes, path) of every file below `folder`; those that go meanwhile are left out."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            yield found.st_mtime, found.st_size, path


class LimitedUploads:
    """ASGI middleware: uploads beyond the limits, or of unstated length, are answered with a sentence."""

    def __init__(self, app: Callable[..., Awaitable[None]], limits: UploadLimits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].rstrip("/").endswith("/upload"):
            return await self.app(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"")
        if not length.isdigit():
            return await PlainTextResponse("An upload states its length.", 411)(scope, receive, send)
        address = scope["client"][0] if scope.get("client") else ""
        if why := self.limits.refusal(address, int(length)):
            return await PlainTextResponse(why, 429)(scope, receive, send)
        came = 0

        async def counted() -> Any:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            return message

        try:
            await self.app(scope, counted, send)
        finally:
            self.limits.give_back(address, int(length), came)

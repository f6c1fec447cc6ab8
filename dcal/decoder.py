"""Reading untrusted image files in processes of their own, which are ended when a file takes too long or too much.

A decoder that hangs, crashes or fills its memory then costs one answer, not the program. `python -m dcal.decoder FD` is
such a process: it is sent files, and answers with pixels.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import resource
import subprocess
import sys
import threading
from functools import cache
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from PIL import Image

from dcal.errors import ImageError
from dcal.image import DecodedImage, Source, decoded, read_file, read_image

SECONDS = 10.0  # for one file; 80 million pixels of PNG take about two on one core
MEMORY = 3 * 2**30  # bytes of address space of a process; the largest images that are opened take half of it
PROCESSES = 2  # a file that takes long leaves one for the others


class Decoder:
    """Up to `processes` decoding processes, started when they are needed. A context manager; threads may share one."""

    def __init__(self, seconds: float = SECONDS, processes: int = PROCESSES) -> None:
        self.seconds = seconds
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(processes):
            self._idle.put(None)  # a place, not yet taken
        self._all: set[_Process] = set()
        self._guard = threading.Lock()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, source: Source) -> DecodedImage:
        """`read_image`, whose errors are the same, for a file in another process.

        Raises ImageError, too, for a file that takes longer than `seconds`, and for one that ends its decoder.
        """
        if not isinstance(source, str | Path):
            return read_image(source)
        try:
            return self.decoded(read_file(Path(source)))
        except ImageError as error:
            raise ImageError(f"{Path(source).name}: {error}") from error

    def decoded(self, data: bytes) -> DecodedImage:
        """`dcal.image.decoded` in another process."""
        process = self._idle.get() or self._started()
        try:
            found = process.ask(data, self.seconds)
        except BaseException:
            self._ended(process)
            self._idle.put(None)
            raise
        self._idle.put(process)
        if isinstance(found, str):
            raise ImageError(found)
        return found

    def close(self) -> None:
        """End all processes; those that work are ended in the middle."""
        with self._guard:
            for process in self._all:
                process.end()
            self._all.clear()

    def _started(self) -> _Process:
        process = _Process()
        with self._guard:
            self._all.add(process)
        return process

    def _ended(self, process: _Process) -> None:
        process.end()
        with self._guard:
            self._all.discard(process)


@cache
def shared_decoder() -> Decoder:
    """The program's one, closed when the program ends."""
    decoder = Decoder()
    atexit.register(decoder.close)
    return decoder


class _Process:
    def __init__(self) -> None:
        self.pipe, far = Pipe()
        with far:
            command = [sys.executable, "-m", "dcal.decoder", str(far.fileno())]
            package = str(Path(__file__).resolve().parents[1])
            path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
            self.process = subprocess.Popen(
                command, pass_fds=[far.fileno()], env={**os.environ, "PYTHONPATH": path}, start_new_session=True
            )

    def ask(self, data: bytes, seconds: float) -> DecodedImage | str:
        """The image in a file's bytes, or why there is none. Raises ImageError if the process did not answer."""
        try:
            self.pipe.send_bytes(data)
            if not self.pipe.poll(seconds):
                raise ImageError(
                    f"The image takes longer than {seconds:g} s to decode. Save it again, or make it smaller first."
                )
            answer = json.loads(self.pipe.recv_bytes())
            if "error" in answer:
                return str(answer["error"])
            image = Image.frombytes("RGB", tuple(answer["size"]), self.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise ImageError("The image's decoder ended without an answer: the file is damaged, or hostile.") from error
        return DecodedImage(image, tuple(answer["notes"]))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()


def main(descriptor: int) -> None:
    """Answer on a pipe until the other end is closed."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(descriptor) as pipe:
        while True:
            try:
                data = pipe.recv_bytes()
            except EOFError:
                return
            _answer(pipe, data)


def _answer(pipe: Connection, data: bytes) -> None:
    try:
        found = decoded(data)
    except ImageError as error:
        pipe.send_bytes(json.dumps({"error": str(error)}).encode())
        return
    pipe.send_bytes(json.dumps({"size": found.image.size, "notes": found.notes}).encode())
    pipe.send_bytes(found.image.tobytes())


if __name__ == "__main__":
    main(int(sys.argv[1]))

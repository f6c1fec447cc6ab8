"""The unfinished half of a build: its plan, and the embeddings of so many images at a time, each written whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dcal.errors import DCALError
from dcal.locks import exclusive

PLAN = "plan.json"
# What reading a part that is none, or was damaged, can raise.
DAMAGE = (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError)


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """Keeps other builds out of a build's folder, which is made. Raises DCALError if one is there."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        with exclusive(descriptor) as held:
            if not held:
                raise DCALError(f"another build writes to {folder}: wait for it, or choose another --out")
            if _is_at(folder, descriptor):  # else that build ended, and removed it, before this one held it
                try:
                    yield
                finally:
                    with suppress(OSError):
                        folder.rmdir()  # where nothing was begun
                return


def _is_at(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Plan:
    """What decides a build's numbers; a resumed one must have the same."""

    weights: str  # the checkpoint's fingerprint
    images: str  # hash of every image's path, identity, camera and size in bytes
    count: int  # of images
    batch_size: int
    batches: int  # in a part
    device: str  # its type: a GPU rounds otherwise than a CPU

    @property
    def size(self) -> int:
        """Images in a part."""
        return self.batch_size * self.batches

    @property
    def parts(self) -> int:
        return -(-self.count // self.size)


@dataclass(frozen=True, eq=False)
class Part:
    """The embeddings of the images that could be read, `kept` their numbers; of the others, number → why not."""

    embeddings: Float32[np.ndarray, "m d"]
    kept: Int64[np.ndarray, " m"]
    failed: dict[int, str] = field(default_factory=dict)


class Parts:
    """The parts of a build in a folder of their own, which is made, or taken up where it was left.

    Raises DCALError if what is there belongs to another plan.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        folder.mkdir(parents=True, exist_ok=True)
        path, wanted = folder / PLAN, asdict(plan)
        if not path.is_file():
            beside = path.with_suffix(".tmp")
            beside.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
            os.replace(beside, path)
            return
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise DCALError(f"{path} is no plan of a build ({error}): remove {folder} to begin anew") from error
        if differing := [name for name, value in wanted.items() if found.get(name) != value]:
            differences = "; ".join(f"{name} was {found.get(name)}, is {wanted[name]}" for name in differing)
            raise DCALError(
                f"an unfinished build in {folder} cannot go on, as it was begun otherwise ({differences}): repeat its "
                "command, or remove that folder to begin anew"
            )

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"

    def missing(self) -> list[int]:
        """The parts that are still to be made, those included whose file is damaged."""
        return [number for number in range(self.plan.parts) if not self.whole(number)]

    def whole(self, number: int) -> bool:
        """Whether a part is there as it was written; every byte is read."""
        try:
            self.read(number)
        except DAMAGE:
            return False
        return True

    def images(self, number: int) -> range:
        """The numbers of a part's images."""
        return range(number * self.plan.size, min((number + 1) * self.plan.size, self.plan.count))

    def write(self, number: int, part: Part) -> None:
        beside = self.path(number).with_suffix(".tmp")
        arrays = {"embeddings": np.ascontiguousarray(part.embeddings), "kept": part.kept}
        failed = json.dumps(part.failed)
        try:
            save_file(arrays, beside, metadata={"failed": failed, "digest": self._digest(number, part, failed)})
        except BaseException:
            beside.unlink(missing_ok=True)  # it may be what fills the disk
            raise
        os.replace(beside, self.path(number))

    def read(self, number: int) -> Part:
        """A part. Raises one of `DAMAGE` if it is not as it was written, or another build's."""
        with safe_open(self.path(number), framework="numpy") as file:
            about = file.metadata()
            failed = {int(index): why for index, why in json.loads(about["failed"]).items()}
            part = Part(file.get_tensor("embeddings"), file.get_tensor("kept"), failed)
        if about["digest"] != self._digest(number, part, about["failed"]):
            raise ValueError(f"{self.path(number)} was changed after it was written")
        return part

    def _digest(self, number: int, part: Part, failed: str) -> str:
        """SHA-256 of a part's content, its place and the build's plan."""
        found = hashlib.sha256(json.dumps([asdict(self.plan), number, failed]).encode())
        for array in (part.embeddings, part.kept):
            found.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def all(self) -> Iterator[Part]:
        """Every part, in order; none may be missing. Raises DCALError for one that was damaged after it was made."""
        for number in range(self.plan.parts):
            try:
                yield self.read(number)
            except DAMAGE as error:
                raise DCALError(
                    f"{self.path(number)} is damaged ({error}): repeat the command, which makes it again"
                ) from error

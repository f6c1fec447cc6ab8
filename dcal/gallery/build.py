"""Building a gallery: every image embedded once, resumable from a kill at any moment, in place when it is whole.

What is embedded so far lies beside the gallery's folder, in `.NAME-building`. Batches are cut alike whatever was done
before, so a resumed build's bytes are those of one that was never stopped, on the same machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcal.data.base import first
from dcal.data.workers import worker_errors
from dcal.errors import DCALError, check_choice
from dcal.files import writing
from dcal.gallery.embed import begun, embed_missing, origin_of
from dcal.gallery.exact import unit_rows
from dcal.gallery.milvus_collection import Collection, DatabaseError
from dcal.gallery.shards import Parts, building
from dcal.gallery.sources import Images
from dcal.gallery.storage import DTYPES, EMBEDDINGS, FAILED, ITEMS, Stored, relative, write_failed, write_folder
from dcal.model.checkpoint import swap
from dcal.model.exported import Model
from dcal.progress import OnProgress, silent

GOES_ON = "The same command goes on where this one stopped."
RESUMABLE = f"Make room or give write permission. {GOES_ON}"


@dataclass(frozen=True)
class Built:
    """What a build made: how many images are in the gallery, and path → why of those that could not be read."""

    count: int
    failed: dict[str, str]


def build_folder(
    model: Model,
    images: Images,
    out: str | Path,
    checkpoint: str,
    *,
    batch_size: int = 32,
    workers: int = 2,
    dtype: str = "float32",
    on_progress: OnProgress = silent,
) -> Built:
    """Embed images into the gallery `out`, a folder, in place of one that is there; `checkpoint` is a name for display.

    With `dtype` "float16" the embeddings take half the bytes, and cosines change by some 1e-4. Raises DCALError if
    none of the images can be read, for a folder that holds something else, for an unfinished build of other weights or
    images, and while another build writes there.
    """
    folder = Path(out).resolve()
    check_choice("dtype", dtype, DTYPES)
    with alone(folder):
        parts = embedded(model, images, folder, batch_size, workers, on_progress)
        whole, made = parts.folder / "whole", list(parts.all())
        origin, root = origin_of(model, checkpoint), relative(images.root, folder)
        rows = unit_rows("embeddings", np.concatenate([part.embeddings for part in made]), origin.width)
        items = tuple(images.items[number] for part in made for number in part.kept)
        with writing(folder.parent, rows.nbytes, RESUMABLE):
            shutil.rmtree(whole, ignore_errors=True)
            whole.mkdir()
            write_folder(whole, Stored(items, rows, origin, root), dtype)
            write_failed(whole, failed := failures(images, parts))
        check_place(folder)  # again: a build may take hours
        swap(whole, folder)
        shutil.rmtree(parts.folder)
        return Built(len(items), failed)


def build_collection(
    model: Model,
    images: Images,
    out: str | Path,
    checkpoint: str,
    collection: Collection,
    *,
    batch_size: int = 32,
    workers: int = 2,
    on_progress: OnProgress = silent,
) -> Built:
    """`build_folder`, but the embeddings go into a Milvus database, and `out` gets failed.csv alone, if there are any.

    They go there a part at a time, once all are made; what was in the collection before is replaced.
    """
    folder = Path(out).resolve()
    with alone(folder):
        parts = embedded(model, images, folder, batch_size, workers, on_progress)
        origin, root, count = origin_of(model, checkpoint), images.root.resolve(), 0
        try:
            collection.begin(origin, root, sum(len(part.kept) for part in parts.all()))
            for part in parts.all():
                rows = unit_rows("embeddings", part.embeddings, origin.width)
                collection.add(count, [images.items[number] for number in part.kept], rows)
                count += len(part.kept)
            collection.finish(origin, root, count)
        except DatabaseError as error:
            raise DCALError(f"{error}. The embeddings are kept. {GOES_ON}") from error
        failed = failures(images, parts)
        folder.mkdir(parents=True, exist_ok=True)
        write_failed(folder, failed)
        shutil.rmtree(parts.folder)
        return Built(count, failed)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other builds of the gallery `folder` out. Raises DCALError if one runs, or if nothing can be written."""
    check_place(folder)
    with ExitStack() as stack:
        with writing(folder.parent, what_now=RESUMABLE):
            stack.enter_context(building(parts_folder(folder)))
        yield


def parts_folder(folder: Path) -> Path:
    """Where a build keeps what is embedded so far."""
    return folder.with_name(f".{folder.name}-building")


def embedded(
    model: Model, images: Images, folder: Path, batch_size: int, workers: int, on_progress: OnProgress
) -> Parts:
    """All parts of a build whose gallery will be `folder`. Raises DCALError if no image at all can be read."""
    needed = 2 * len(images.items) * origin_of(model, "").width * np.dtype(np.float32).itemsize
    with writing(folder.parent, needed, RESUMABLE), worker_errors(GOES_ON):
        parts = begun(model, images, parts_folder(folder), batch_size)
        embed_missing(model, images, parts, workers, on_progress)
    if not any(len(part.kept) for part in parts.all()):
        why = next(iter(failures(images, parts).items()))
        shutil.rmtree(parts.folder)
        raise DCALError(f"none of the {len(images.items)} files in {images.root} is an image; {': '.join(why)}")
    return parts


def failures(images: Images, parts: Parts) -> dict[str, str]:
    """{path: why it could not be read}"""
    return {images.items[number].path: why for part in parts.all() for number, why in part.failed.items()}


def check_place(folder: Path) -> None:
    """Raises DCALError if building a gallery in `folder` would lose something else."""
    if folder.exists() and not folder.is_dir():
        raise DCALError(f"{folder} is a file: a gallery is a folder, give the name of a new one")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ours = {ITEMS, EMBEDDINGS, FAILED} if EMBEDDINGS in names else {FAILED}  # a gallery's in Milvus leaves no other
    if foreign := sorted(names - ours):
        raise DCALError(
            f"{folder} is no gallery's own folder, and building there would remove what it holds ({first(foreign)}): "
            "give another one"
        )

"""A gallery on disk: a folder of items.csv, embeddings.safetensors and, if images could not be read, failed.csv.

Embeddings have length 1; kept in half precision they have it again after loading, as `EmbeddedGallery` sees to.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dcal.errors import DCALError, check_choice
from dcal.gallery.item import Item, Origin
from dcal.model.checkpoint import files_version
from dcal.model.config import from_plain
from dcal.modes import give_usual_mode

ITEMS, EMBEDDINGS, FAILED = "items.csv", "embeddings.safetensors", "failed.csv"
COLUMNS = ("path", "identity", "camera")
OPTIONAL = ("date", "viewpoint")  # columns that are there if any image has one
FORMAT = 1
DTYPES = {"float32": np.float32, "float16": np.float16}  # half loses some 1e-4 of a cosine, and half the bytes


@dataclass(frozen=True, eq=False)
class Stored:
    """What a gallery's folder holds. `images` is the image folder as written: absolute or relative
    to the gallery's folder."""

    items: tuple[Item, ...]
    embeddings: Float[np.ndarray, "n d"]
    origin: Origin
    images: Path


@dataclass(frozen=True)
class About:
    """What a gallery's embeddings file says of itself, beside them. `paths`: `hash_of` the images' paths."""

    format: int
    fingerprint: str
    checkpoint: str
    images: str
    layout: dict[str, int]
    dtype: str
    paths: str


def write_folder(folder: Path, stored: Stored, dtype: str = "float32") -> None:
    """Write a gallery's two files into an existing folder. Embeddings, of length 1, are kept as `dtype`.

    Equal arguments give equal bytes. The caller puts the folder in its place when it is whole.
    """
    columns = (*COLUMNS, *(name for name in OPTIONAL if any(getattr(item, name) for item in stored.items)))
    write_rows(folder / ITEMS, columns, ([getattr(item, name) or "" for name in columns] for item in stored.items))
    origin = stored.origin
    about = About(
        format=FORMAT,
        fingerprint=origin.fingerprint,
        checkpoint=origin.checkpoint,
        images=stored.images.as_posix(),
        layout=dict(origin.layout),
        dtype=check_choice("dtype", dtype, DTYPES),
        paths=hash_of(item.path for item in stored.items),
    )
    # one key, as several would come in an order of their own each time
    save_file(
        {"embeddings": np.ascontiguousarray(stored.embeddings, dtype=DTYPES[dtype])},
        folder / EMBEDDINGS,
        metadata={"gallery": json.dumps(asdict(about))},
    )
    give_usual_mode(folder / EMBEDDINGS)  # safetensors writes for the owner alone


def write_failed(folder: Path, failed: Mapping[str, str]) -> None:
    """Write failed.csv (path, why) if any image failed; else remove it."""
    (folder / FAILED).unlink(missing_ok=True)
    if failed:
        write_rows(folder / FAILED, ("path", "why"), failed.items())


def read_folder(folder: Path) -> Stored:
    """What `write_folder` wrote. Raises DCALError, naming the file, for what is missing or does not fit together."""
    lacking = [name for name in (ITEMS, EMBEDDINGS) if not (folder / name).is_file()]
    if lacking:
        raise DCALError(f"{folder} is no gallery: it lacks {' and '.join(lacking)}. Make one with dcal index build")
    items, path = read_items(folder / ITEMS), folder / EMBEDDINGS
    try:
        with safe_open(path, framework="numpy") as file:
            about, embeddings = read_about(file.metadata(), path), file.get_tensor("embeddings")
    except (SafetensorError, OSError) as error:
        raise DCALError(f"{path} is not a gallery's: {error!r}") from error
    origin, images = Origin(about.fingerprint, about.checkpoint, about.layout), Path(about.images)
    if about.paths != hash_of(item.path for item in items):
        raise DCALError(
            f"{folder / ITEMS} does not list the images of {EMBEDDINGS} in their order: identities and cameras may be "
            "edited, paths and the order of the lines may not. Restore it, or build the gallery again"
        )
    if embeddings.shape != (len(items), origin.width):
        raise DCALError(f"{path} holds {embeddings.shape}, its metadata gives {(len(items), origin.width)}")
    return Stored(items, embeddings, origin, images)


def read_about(metadata: Mapping[str, str] | None, path: Path) -> About:
    """What an embeddings file says of itself. Raises DCALError, naming the file and the field that is wrong."""
    try:
        values = json.loads((metadata or {}).get("gallery", "null"))
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            raise DCALError(f"it has format {values['format']!r}; this release reads format {FORMAT}")
        about: About = from_plain(About, values)
        if not about.layout or min(about.layout.values()) < 1:
            raise DCALError(f"About.layout gives each branch a width of at least 1, got {about.layout}")
    except (ValueError, RecursionError) as error:  # DCALError is a ValueError
        raise DCALError(f"{path} is not a gallery's: {error}. Build the gallery again") from error
    return about


def gallery_version(folder: Path) -> str:
    """Changes whenever one of a gallery's files is written or replaced (`files_version`)."""
    return files_version(folder, (ITEMS, EMBEDDINGS))


def read_origin(folder: Path) -> Origin:
    """Which weights made a gallery's embeddings; these are not read. Raises DCALError for what is no gallery."""
    path = folder / EMBEDDINGS
    try:
        with safe_open(path, framework="numpy") as file:
            about = read_about(file.metadata(), path)
        return Origin(about.fingerprint, about.checkpoint, about.layout)
    except (SafetensorError, OSError) as error:
        raise DCALError(f"{path} is not a gallery's: {error!r}") from error


def galleries_in(place: Path) -> list[Path]:
    """The gallery that a folder is, or those directly below it, in order of their names."""
    if (place / EMBEDDINGS).is_file():
        return [place]
    return sorted(path.parent for path in place.glob(f"*/{EMBEDDINGS}"))


def hash_of(paths: Iterable[str]) -> str:
    """SHA-256 of paths in their order."""
    return hashlib.sha256("\0".join(paths).encode()).hexdigest()


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def read_items(path: Path) -> tuple[Item, ...]:
    """The items of a CSV file with the columns path, identity, camera, maybe date and viewpoint; empty cells are
    unknown."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise DCALError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DCALError(f"cannot read {path} as a CSV file in UTF-8: {error}") from error
    if short := [number for number, row in enumerate(rows, 1) if None in row or None in row.values()]:
        raise DCALError(f"{path}, row {short[0]} has more or fewer cells than columns")
    names = ("identity", "camera", *OPTIONAL)
    return tuple(Item(row["path"], **{name: row.get(name) or None for name in names}) for row in rows)


def relative(images: Path, folder: Path) -> Path:
    """The image folder as a path from the gallery's folder, so that both can move together."""
    return Path(os.path.relpath(images.resolve(), folder.resolve()))

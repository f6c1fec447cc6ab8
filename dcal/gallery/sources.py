"""The images of a gallery and their identities: from a folder, or from a data set."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dcal.data import REID_DATASETS
from dcal.data.base import SKIP_FILE, left_out, skipped_names
from dcal.data.fgvc.folder import files
from dcal.data.reid.base import ReID
from dcal.data.reid.folder import matched
from dcal.errors import DCALError, check_choice
from dcal.gallery.item import Item

LABELS = ("identity", "camera", "date", "viewpoint")


@dataclass(frozen=True)
class Images:
    """The images to be embedded, in order, and the folder that their paths start from; notes on what was left out."""

    root: Path
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def folder_images(root: str | Path, pattern: str | None = None) -> Images:
    """Every file below a folder whose name, and its folders', does not begin with a dot, in order of path.

    `pattern` is a regular expression that is matched from the start of each path below `root`, with groups `identity`
    and `camera`, or one of them, and maybe `date` and `viewpoint`; then only files that end like an image are taken
    (.jpg, .png, .webp, …), and all of them must match. What the folder's `skip.txt` names, and that file itself, is
    left out, as a note says.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DCALError(f"{folder} is not a folder")
    if pattern is None:
        items = [Item(path.relative_to(folder).as_posix()) for path in files(folder)]
    else:
        items = [
            Item(path.relative_to(folder).as_posix(), *(group(match, name) for name in LABELS))
            for path, match in matched(folder, compiled(pattern))
        ]
    names = skipped_names(folder)
    kept = [item for item in items if item.path not in names and item.path != SKIP_FILE]
    if not kept:
        raise DCALError(f"{folder} holds no {'file' if pattern is None else 'image'} that could be read")
    count = sum(item.path in names for item in items)
    return Images(folder, tuple(sorted(kept, key=lambda item: item.path)), (left_out(count),) if count else ())


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression for paths. Raises DCALError if it is none, or lacks both of the groups."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DCALError(f"{pattern!r} is not a regular expression: {error}") from error
    if expression.groupindex.keys().isdisjoint({"identity", "camera"}):
        has = ", ".join(expression.groupindex) or "none"
        raise DCALError(f"{pattern!r} needs a group (?P<identity>…), or (?P<camera>…), or both; it has {has}")
    return expression


def group(match: re.Match[str], name: str) -> str | None:
    return match.groupdict().get(name) or None


def dataset_images(name: str, root: Path | None, split: str = "gallery") -> Images:
    """A split of a Re-ID data set; the yard needs no `root`. Identities and cameras are named as its files do."""
    kind = REID_DATASETS[check_choice("dataset", name, REID_DATASETS)]
    place = kind.home if root is None else root
    if place is None:
        raise DCALError(f"which images? Give the folder that holds {name!r}")
    return images_of(kind(place, split))


def images_of(data: ReID) -> Images:
    """The images of a split that is open already."""
    items = []
    for record in data.records:
        path = Path(os.path.relpath(record.path, data.root))
        if ".." in path.parts:
            raise DCALError(f"{record.path} is not below {data.root}, from which the gallery's paths start")
        date = None if record.date is None else record.date.isoformat()
        names = data.names[record.identity], data.camera_names[record.camera]
        items.append(Item(path.as_posix(), *names, date, record.viewpoint or None))
    return Images(Path(data.root), tuple(items), tuple(data.notes))

"""One image of a gallery, and where a gallery's embeddings are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from dcal.errors import DCALError


@dataclass(frozen=True)
class Item:
    """An image: its path below the gallery's image folder, with forward slashes, its identity and its camera.

    None where unknown, and so the date (ISO 8601) and the viewpoint ("left", "rear", …). Names are text, also where
    they are numbers.
    """

    path: str
    identity: str | None = None
    camera: str | None = None
    date: str | None = None
    viewpoint: str | None = None

    def __post_init__(self) -> None:
        pure = PurePosixPath(self.path)
        if not self.path or pure.is_absolute() or ".." in pure.parts:
            raise DCALError(f"an image's path is relative to the gallery's image folder, got {self.path!r}")
        try:
            self.path.encode()
        except UnicodeEncodeError as error:
            raise DCALError(f"the name of {self.path!r} is not UTF-8: rename the file") from error
        if "" in (self.identity, self.camera, self.date, self.viewpoint):
            raise DCALError(f"{self.path}: an unknown identity, camera, date or viewpoint is None, not empty")


@dataclass(frozen=True)
class Origin:
    """Which weights made a gallery's embeddings, and how these are laid out."""

    fingerprint: str  # SHA-256 of the checkpoint's weights, dcal.fingerprint(model)
    checkpoint: str  # its name, for display
    layout: Mapping[str, int]  # branch → width of its part, in order: {"sa": 192, "glca": 192}

    @property
    def width(self) -> int:
        """d, of an embedding."""
        return sum(self.layout.values())

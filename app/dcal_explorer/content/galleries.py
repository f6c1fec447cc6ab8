"""The galleries of re-identification checkpoints, opened when they are first asked for, and whom they show."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dcal import DCALError
from dcal.data.reid.yard import Yard, YardRecord
from dcal.data.yard_table import TABLE
from dcal.gallery import Gallery, Item, QueryInfo, open_gallery
from dcal.gallery.storage import folder_version
from dcal_explorer.content.checkpoints import LOADED, CheckpointLibrary

FOLDER = "gallery"  # inside a checkpoint's
ALL = ""  # no filter


@dataclass(frozen=True, eq=False)
class GalleryWithMetadata:
    """A gallery and, where its pictures are the yard's, what the yard knows of them.

    `noun` is what an identity is called.
    """

    gallery: Gallery
    yard: Mapping[Path, YardRecord] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        return "vehicle" if self.yard else "identity"

    def known(self, item: Item) -> YardRecord | None:
        """What the yard knows of a picture."""
        return self.yard.get(self.gallery.image_path(item))

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The vehicles' models and trims by alphabet; empty where nobody knows them."""
        return tuple(sorted({record.label for record in self.yard.values()}))

    def identities(self, models: Sequence[str]) -> list[str] | None:
        """The identities of some models, to search among; None for all. Raises DCALError for an unknown model."""
        if not models:
            return None
        if unknown := sorted(set(models) - set(self.models)):
            raise DCALError(f"there is no model {unknown[0]!r}; there are {', '.join(self.models) or 'none'}")
        there = {str(record.identity) for record in self.yard.values() if record.label in models}
        return [name for name in self.gallery.identities if name in there]

    def cameras(self, chosen: Sequence[str], known: QueryInfo, across: bool) -> list[str | None] | None:
        """The cameras to search among: the chosen ones, or all; `across` leaves out the query's own. None for all.

        None among them stands for pictures whose camera nobody knows: they are left out only where some are chosen.
        """
        if across and known.camera is not None:
            among: Sequence[str | None] = chosen or [*self.gallery.cameras, None]
            return [camera for camera in among if camera != known.camera]
        return list(chosen) or None

    def pictures(self, camera: str = ALL, model: str = ALL) -> list[Item]:
        """The gallery's pictures of a camera and a model, or of all, in the gallery's order."""
        chosen = self.identities([model] if model else [])
        return [
            item
            for item in self.gallery.items
            if (not camera or item.camera == camera) and (chosen is None or item.identity in chosen)
        ]

    def photo(self, path: str) -> Path:
        """The file of the picture with this path below the gallery's image folder."""
        return self.gallery.images / path

    def file(self, item: Item) -> bytes:
        """A picture's file. Raises DCALError if it is no longer where it was when the gallery was built."""
        try:
            return self.gallery.image_path(item).read_bytes()
        except OSError as error:
            raise DCALError(
                f"{item.path} cannot be read ({error.strerror}): put it back, or build the gallery again without it"
            ) from error

    def item(self, path: str) -> Item:
        """The picture with this path below the gallery's image folder. Raises DCALError if there is none."""
        index = self.gallery.index_of(path)
        if index is None:
            raise DCALError(f"the gallery has no picture {path!r}")
        return self.gallery.items[index]

    def own(self, other: GalleryWithMetadata, path: str) -> Item | None:
        """The picture here that is `other`'s at this path: the same path and the same file. None if there is none."""
        index = self.gallery.index_of(path)
        same = self.photo(path).resolve() == other.photo(path).resolve()
        return None if index is None or not same else self.gallery.items[index]


class Galleries:
    """Each re-identification checkpoint's gallery: the folder `gallery` in its own. The ones last used stay open."""

    def __init__(self, shelf: CheckpointLibrary) -> None:
        self.shelf = shelf
        self._open: dict[str, GalleryWithMetadata] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The re-identification checkpoints."""
        return self.shelf.names("reid")

    def catalogue(self, checkpoint: str) -> GalleryWithMetadata:
        """The checkpoint's gallery, read again if its files changed.

        Raises DCALError, saying how to make one, where there is none, and where it was made with other weights.
        """
        folder = self.shelf.folder / checkpoint / FOLDER
        version = f"{self.shelf.version(checkpoint)}, {folder_version(folder)}"
        with self._lock:
            if version not in self._open:
                self._open[version] = self._opened(checkpoint, folder)
                for old in list(self._open)[:-LOADED]:
                    del self._open[old]
            return self._open[version]

    def _opened(self, checkpoint: str, folder: Path) -> GalleryWithMetadata:
        model = self.shelf.model(checkpoint)
        if model.config.task != "reid":
            raise DCALError(f"{checkpoint} was not trained for re-identification; {', '.join(self.names())} were")
        if not folder.is_dir():
            raise DCALError(
                f"{checkpoint} has no gallery to search: make one with "
                f"`dcal index build IMAGES --checkpoint {checkpoint} --out {FOLDER}` in its folder"
            )
        gallery = open_gallery(folder)
        gallery.check_model(model)
        return GalleryWithMetadata(gallery, yard_records(gallery.images))


def yard_records(images: Path) -> dict[Path, YardRecord]:
    """What the yard's table says of each picture, where `images` is the yard; else nothing."""
    if not (images / TABLE).is_file():
        return {}
    return {record.path: record for record in Yard(images, "gallery", strict=False).records}

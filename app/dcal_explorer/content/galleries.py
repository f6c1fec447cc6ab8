"""The galleries of re-identification checkpoints, opened when first needed, and what is known of their images."""

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
from dcal.gallery.reviews import Reviews
from dcal.gallery.storage import galleries_in, gallery_version, read_origin
from dcal_explorer.content.checkpoints import LOADED, CheckpointLibrary, relative_paths

FOLDER = "gallery"  # inside a checkpoint's
OWN = ""  # the checkpoint's own gallery, where another could be named
ALL = ""  # no filter
UNKNOWN = "unknown"  # what the images without an identity are listed under


@dataclass(frozen=True, eq=False)
class GalleryWithMetadata:
    """A gallery of embedded images and, where they are the yard's, the yard's records of them.

    `noun` is what an identity is called. `version` changes whenever the files do that it was read from.
    """

    embedded: Gallery
    yard: Mapping[Path, YardRecord] = field(default_factory=dict)
    folder: Path | None = None
    version: str = ""

    @property
    def reviews(self) -> Reviews:
        """What people said of its hits. Raises DCALError for a gallery without a folder."""
        if self.folder is None:
            raise DCALError("this gallery lies in no folder, beside which reviews could be kept")
        return Reviews(self.folder)

    @property
    def lost(self) -> bool:
        """Whether the folder of its images is not where it was."""
        return not self.embedded.images.is_dir()

    @property
    def noun(self) -> str:
        return "vehicle" if self.yard else "identity"

    def known(self, item: Item) -> YardRecord | None:
        """The yard's record of an image; None where it has none."""
        return self.yard.get(self.embedded.image_path(item))

    @cached_property
    def real_folder(self) -> Path:
        """The folder of its images, wherever links lead."""
        return self.embedded.images.resolve()

    @cached_property
    def by_identity(self) -> Mapping[str, Sequence[Item]]:
        """{identity, or UNKNOWN: its images}, in the gallery's order."""
        found: dict[str, list[Item]] = {}
        for item in self.embedded.items:
            found.setdefault(item.identity or UNKNOWN, []).append(item)
        return found

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The vehicles' models and trims in alphabetical order; empty where they are unknown."""
        return tuple(sorted({record.label for record in self.yard.values()}))

    def identities(self, models: Sequence[str]) -> list[str] | None:
        """The identities of some models, to rank; None for all. Raises DCALError for an unknown model."""
        if not models:
            return None
        if unknown := sorted(set(models) - set(self.models)):
            raise DCALError(f"there is no model {unknown[0]!r}; there are {', '.join(self.models) or 'none'}")
        there = {str(record.identity) for record in self.yard.values() if record.label in models}
        return [name for name in self.embedded.identities if name in there]

    def cameras(self, chosen: Sequence[str], known: QueryInfo, across: bool) -> list[str | None] | None:
        """The cameras to rank: the chosen ones, or all; `across` excludes the query's own. None for all.

        None among them stands for images whose camera is unknown: they are excluded only where some are chosen.
        """
        if across and known.camera is not None:
            among: Sequence[str | None] = chosen or [*self.embedded.cameras, None]
            return [camera for camera in among if camera != known.camera]
        return list(chosen) or None

    def viewpoints(self, known: QueryInfo, same: bool) -> list[str | None] | None:
        """The viewpoints to rank: the query's alone if it is to be the `same`. None for all.

        Raises DCALError if the query's is not known.
        """
        if not same:
            return None
        if known.viewpoint is None:
            raise DCALError("the query's viewpoint is not known: it cannot be ranked by the same one alone")
        return [known.viewpoint]

    def images_of(self, camera: str = ALL, model: str = ALL) -> list[Item]:
        """The gallery's images of a camera and a model, or of all, in the gallery's order."""
        chosen = self.identities([model] if model else [])
        return [
            item
            for item in self.embedded.items
            if (not camera or item.camera == camera) and (chosen is None or item.identity in chosen)
        ]

    def file_path(self, path: str) -> Path:
        """The file of the image with this path below the gallery's image folder."""
        return self.embedded.images / path

    def file_bytes(self, item: Item) -> bytes:
        """The bytes of an image file. Raises DCALError if it cannot be read any more."""
        try:
            return self.embedded.image_path(item).read_bytes()
        except OSError as error:
            raise DCALError(
                f"{item.path} cannot be read ({error.strerror}): put it back, or build the gallery again without it"
            ) from error

    def item(self, path: str) -> Item:
        """The image with this path below the gallery's image folder. Raises DCALError if there is none."""
        index = self.embedded.index_of(path)
        if index is None:
            raise DCALError(f"the gallery has no image {path!r}")
        return self.embedded.items[index]

    def query_info(self, item: Item) -> QueryInfo:
        """What is known of one of the gallery's images, as a query."""
        return QueryInfo(item.identity, item.camera, item.path, item.viewpoint)

    def own(self, other: GalleryWithMetadata, path: str) -> Item | None:
        """The image here that is `other`'s at this path: the same path and the same file. None if there is none."""
        index = self.embedded.index_of(path)
        if index is None:
            return None
        same = self.real_folder == other.real_folder
        same = same or self.file_path(path).resolve() == other.file_path(path).resolve()
        return self.embedded.items[index] if same else None


class Galleries:
    """The galleries of re-identification checkpoints: each one's own, in its folder `gallery`, and those of `places`.

    A place is a gallery's folder, or one that holds several. The galleries last used stay open. Raises DCALError for a
    place without a gallery.
    """

    def __init__(self, library: CheckpointLibrary, places: Sequence[Path] = ()) -> None:
        self.library, self.places = library, tuple(places)
        self._open: dict[str, GalleryWithMetadata] = {}
        self._lock = threading.Lock()
        if empty := [place for place in self.places if not galleries_in(place)]:
            raise DCALError(f"{empty[0]} is no gallery, and holds none: make one with dcal index build")

    def names(self) -> list[str]:
        """The re-identification checkpoints."""
        return self.library.names("reid")

    def choices(self, checkpoint: str) -> dict[str, Path]:
        """{name: folder} of the galleries that this checkpoint embedded; its own is called `OWN` and comes first."""
        weights, found = self.library.fingerprint(checkpoint), {OWN: self.library.folder / checkpoint / FOLDER}
        for folder in (folder for place in self.places for folder in galleries_in(place)):
            if read_origin(folder).fingerprint == weights:
                name = folder.name if folder.name not in found else f"{folder.parent.name}/{folder.name}"
                found.setdefault(name, folder)
        if len(found) > 1 and not found[OWN].is_dir():
            del found[OWN]
        return found

    def open(self, checkpoint: str, gallery: str = OWN) -> GalleryWithMetadata:
        """A gallery of the checkpoint by its name in `choices`, read again if its files changed; `OWN` is the first.

        Raises DCALError, saying how to make one, where there is none, where it was made with other weights, and for a
        name that it does not have.
        """
        version, folder = self.version(checkpoint, gallery), self._folder(checkpoint, gallery)
        with self._lock, relative_paths(folder.parent), relative_paths(self.library.folder):  # the last is tried first
            if version not in self._open:
                self._open[version] = self._opened(checkpoint, folder, version)
                for old in list(self._open)[: -2 * LOADED]:
                    del self._open[old]
            return self._open[version]

    def version(self, checkpoint: str, gallery: str = OWN) -> str:
        """Changes whenever the checkpoint's files do, or the gallery's. Raises what `open` raises for names."""
        return f"{self.library.version(checkpoint)}, {gallery_version(self._folder(checkpoint, gallery))}"

    def _folder(self, checkpoint: str, gallery: str) -> Path:
        found = self.choices(checkpoint)
        folder = next(iter(found.values())) if gallery == OWN else found.get(gallery)
        if folder is None:
            names = ", ".join(name or FOLDER for name in found)
            raise DCALError(f"there is no gallery {gallery!r} that {checkpoint} embedded; there are {names}")
        return folder

    def _opened(self, checkpoint: str, folder: Path, version: str) -> GalleryWithMetadata:
        model = self.library.model(checkpoint)
        if model.config.task != "reid":
            raise DCALError(f"{checkpoint} was not trained for re-identification; {', '.join(self.names())} were")
        if not folder.is_dir():
            raise DCALError(
                f"{checkpoint} has no gallery to search: make one with "
                f"`dcal index build IMAGES --checkpoint {checkpoint} --out {FOLDER}` in its folder"
            )
        gallery = open_gallery(folder, checkpoint=self.library.folder / checkpoint)
        gallery.check_model(model)
        return GalleryWithMetadata(gallery, yard_records(gallery.images), folder, version)


def yard_records(images: Path) -> dict[Path, YardRecord]:
    """The yard's record of each image file, where `images` is the yard; else nothing."""
    if not (images / TABLE).is_file():
        return {}
    return {record.path: record for record in Yard(images, "gallery", strict=False).records}

"""Where a gallery is: a folder, or a vector database."""

from __future__ import annotations

from pathlib import Path

from dcal.gallery.embedded import EmbeddedGallery
from dcal.gallery.folder import read_folder
from dcal.gallery.gallery import Gallery


def open_gallery(source: str | Path, *, images: str | Path | None = None) -> Gallery:
    """The gallery in a folder that `dcal index build` made.

    `images` is the folder that its images are in now, where they are not where they were when it was built (beside the
    gallery's folder as then, if both moved together). Raises DCALError for what is no gallery.
    """
    folder = Path(source)
    stored = read_folder(folder)
    root = folder / stored.images if images is None else Path(images)
    return EmbeddedGallery(stored.items, stored.embeddings, stored.origin, root)

"""Where a gallery is: a folder, or a vector database."""

from __future__ import annotations

from pathlib import Path

from dcal.gallery.base import Gallery
from dcal.gallery.faiss_gallery import EmbeddedGallery
from dcal.gallery.milvus_gallery import MilvusGallery
from dcal.gallery.storage import read_folder


def open_gallery(source: str | Path, *, collection: str = "dcal", images: str | Path | None = None) -> Gallery:
    """The gallery in a folder that `dcal index build` made, or in a Milvus database.

    A database is `http://host:19530`, a distributed engine in production, or a file `*.db` (milvus-lite, for trying
    out); its gallery is the one in `collection`. `images` is the folder that the images are in now, where they are not
    where they were when it was built (beside the gallery's folder as then, if both moved together). Raises DCALError
    for what is no gallery.
    """
    if is_database(source):
        return MilvusGallery(str(source), collection, images)
    folder = Path(source)
    stored = read_folder(folder)
    root = folder / stored.images if images is None else Path(images)
    return EmbeddedGallery(stored.items, stored.embeddings, stored.origin, root)


def is_database(source: str | Path) -> bool:
    """Whether a source means a Milvus database, by its name."""
    return str(source).startswith(("http://", "https://")) or str(source).endswith(".db")

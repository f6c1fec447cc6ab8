"""Where a gallery is: a folder, or a vector database."""

from __future__ import annotations

from pathlib import Path

from dcal.data.yard_table import HOME
from dcal.gallery.base import Gallery
from dcal.gallery.faiss_gallery import EmbeddedGallery
from dcal.gallery.milvus_gallery import MilvusGallery
from dcal.gallery.storage import read_folder
from dcal.retrieval.calibration import read_calibration

BUNDLED = HOME.parts[-3:]  # dcal/data/yard


def open_gallery(
    source: str | Path,
    *,
    collection: str = "dcal",
    images: str | Path | None = None,
    checkpoint: str | Path | None = None,
) -> Gallery:
    """The gallery in a folder that `dcal index build` made, or in a Milvus database.

    A database is `http://host:19530`, a distributed engine in production, or a file `*.db` (milvus-lite, for trying
    out); its gallery is the one in `collection`. `images` is the folder that the images are in now, where they are not
    where they were when it was built (beside the gallery's folder as then, if both moved together; the yard's are found
    in this package wherever the gallery was copied to). `checkpoint` is the folder whose calibration.json gives the
    hits their probabilities; by itself, the folder around the gallery's, as the bundled checkpoints have it. Raises
    DCALError for what is no gallery, and for a calibration of other weights.
    """
    gallery: Gallery
    if is_database(source):
        gallery = MilvusGallery(str(source), collection, images)
    else:
        folder = Path(source)
        stored = read_folder(folder)
        root = image_folder(folder, stored.images) if images is None else Path(images)
        gallery = EmbeddedGallery(stored.items, stored.embeddings, stored.origin, root)
        checkpoint = folder.resolve().parent if checkpoint is None else checkpoint
    if checkpoint is not None:
        gallery.calibration = read_calibration(Path(checkpoint), gallery.fingerprint)
    return gallery


def image_folder(gallery: Path, written: Path) -> Path:
    """Where a gallery's images are, by what its folder says; a copied one's that are the yard's are in this package."""
    place = gallery / written
    bundled = written.parts[-len(BUNDLED) :] == BUNDLED
    return HOME if bundled and not place.is_dir() else place


def is_database(source: str | Path) -> bool:
    """Whether a source means a Milvus database, by its name."""
    return str(source).startswith(("http://", "https://")) or str(source).endswith(".db")

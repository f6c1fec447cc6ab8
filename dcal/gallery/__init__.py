"""Galleries: many images embedded once, searched exactly, in this process or on a server."""

from dcal.gallery.embedded import EmbeddedGallery
from dcal.gallery.gallery import Gallery, Hits
from dcal.gallery.item import Item, Origin
from dcal.gallery.labels import Exclusion
from dcal.gallery.milvus import MilvusGallery
from dcal.gallery.ranking import Hit, Ranking, rank
from dcal.gallery.source import open_gallery
from dcal.gallery.verdicts import Known

__all__ = [
    "EmbeddedGallery",
    "Exclusion",
    "Gallery",
    "Hit",
    "Hits",
    "Item",
    "Known",
    "MilvusGallery",
    "Origin",
    "Ranking",
    "open_gallery",
    "rank",
]

"""Galleries: many images embedded once, searched exactly, in this process or on a server."""

from dcal.gallery.base import Gallery, Hits
from dcal.gallery.faiss_gallery import EmbeddedGallery
from dcal.gallery.filters import Exclusion
from dcal.gallery.hits import Hit
from dcal.gallery.item import Item, Origin
from dcal.gallery.milvus_gallery import MilvusGallery
from dcal.gallery.open import open_gallery
from dcal.gallery.ranking import Ranking, rank
from dcal.gallery.verdicts import QueryInfo

__all__ = [
    "EmbeddedGallery",
    "Exclusion",
    "Gallery",
    "Hit",
    "Hits",
    "Item",
    "MilvusGallery",
    "Origin",
    "QueryInfo",
    "Ranking",
    "open_gallery",
    "rank",
]

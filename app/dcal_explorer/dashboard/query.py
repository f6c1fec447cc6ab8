"""The query of a re-identification page: an upload, or an image of a gallery; and what is ranked for it."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

import dcal
from dcal import draw
from dcal.gallery import Item, QueryInfo
from dcal_explorer.content import cards, places, reid_captions
from dcal_explorer.content.galleries import OWN, Galleries, GalleryWithMetadata
from dcal_explorer.dashboard.drawn import drawn
from dcal_explorer.dashboard.folders import folder
from dcal_explorer.dashboard.image_bar import KINDS
from dcal_explorer.dashboard.markup import Html
from dcal_explorer.dashboard.sidebar import library

SHOWN = 8  # images of every ranking, at first
SIDE = 384  # pixels of the query's side


@dataclass(frozen=True)
class Query:
    """An image of `gallery`, or an upload: its file's bytes, and what is known of it."""

    image: bytes
    known: QueryInfo
    gallery: GalleryWithMetadata

    def among(self, gallery: GalleryWithMetadata) -> Item | None:
        """The query as an image of some gallery; None if it is an upload or not in that gallery."""
        return None if self.known.path is None else gallery.own(self.gallery, self.known.path)


@dataclass(frozen=True)
class Filters:
    """What is ranked (no cameras, no models: all), and how many images are shown."""

    across: bool  # whether the query's own camera is excluded
    cameras: list[str]
    models: list[str]
    most: int
    same_view: bool = False  # only images of the query's viewpoint
    rerank: bool = False
    per_identity: bool = False  # one image of each identity

    def what(self) -> tuple[Hashable, ...]:
        """What is ranked, whatever number is shown."""
        return self.across, *self.cameras, None, *self.models, self.same_view, self.rerank, self.per_identity


@st.cache_resource(show_spinner=False)
def opened_galleries(folder: str, beside: tuple[str, ...]) -> Galleries:
    """The galleries of a folder's checkpoints and those `beside` them, opened once for all visitors."""
    return Galleries(library(), [Path(place) for place in beside])


def galleries() -> Galleries:
    beside = folder(places.GALLERY_VARIABLE).split(os.pathsep)
    return opened_galleries(str(library().folder), tuple(place for place in beside if place))


def choose_gallery(checkpoints: Sequence[str]) -> str:
    """The name of one of the checkpoints' galleries; each one's own, and no question, where there are no others."""
    names = dict.fromkeys(name for checkpoint in checkpoints for name in galleries().choices(checkpoint))
    if len(names) < 2:
        return OWN
    titles = {name: name or "each checkpoint's own" for name in names}
    return st.selectbox("Gallery", list(names), format_func=titles.__getitem__, key="gallery", bind="query-params")


def choose_query(gallery: GalleryWithMetadata) -> Query:
    """The query: an upload, or an image of the gallery by identity and camera."""
    with st.sidebar:
        upload = st.file_uploader("A crop of your own", type=KINDS, key="crop")
    if upload is not None:
        image = upload.getvalue()
        left, right = st.columns([1, 3])
        shown = drawn((image, SIDE), lambda: draw.tile(np.asarray(dcal.read_image(image).image), SIDE))
        left.image(shown, width="stretch", alt="The query")
        right.markdown(reid_captions.query(gallery, QueryInfo()))
        return Query(image, QueryInfo(), gallery)
    item = chosen_item(gallery)
    return Query(gallery.file_bytes(item), gallery.query_info(item), gallery)


def chosen_item(gallery: GalleryWithMetadata) -> Item:
    """An image of the gallery, chosen by identity and camera."""
    who, which = st.columns([1, 2], vertical_alignment="bottom")
    identity = who.selectbox(gallery.noun.capitalize(), list(gallery.by_identity), key="identity", bind="query-params")
    own = gallery.by_identity[identity]
    number = which.segmented_control(
        "Camera",
        range(len(own)),
        format_func=lambda i: own[i].camera or own[i].path,
        default=0,
        key=f"image_of_{identity}",
        bind="query-params",
    )
    item = own[number or 0]
    st.html(Html(cards.views(gallery, own, item)))
    st.markdown(reid_captions.query(gallery, gallery.query_info(item)))
    return item


def choose_filters(gallery: GalleryWithMetadata) -> Filters:
    """What is ranked, and how much of it is shown."""
    with st.container(horizontal=True, gap="large"):  # as many beside each other as fit
        across = st.toggle(reid_captions.ACROSS, True, key="across", bind="query-params")
        rerank = st.toggle(reid_captions.RERANK, False, key="rerank", bind="query-params")
        title = reid_captions.PER_IDENTITY.format(gallery.noun)
        per_identity = st.toggle(title, False, key="per_identity", bind="query-params")
        same_view = bool(gallery.embedded.viewpoints) and st.toggle(
            reid_captions.SAME_VIEW, False, key="same_view", bind="query-params"
        )
    left, middle, right = st.columns(3)
    cameras = left.multiselect(
        "Rank only these cameras", gallery.embedded.cameras, key="find_cameras", bind="query-params"
    )
    models = []
    if gallery.models:
        models = middle.multiselect("Rank only these models", gallery.models, key="find_models", bind="query-params")
    most = right.slider("Images shown", 1, 50, SHOWN, key="find_most", bind="query-params")
    return Filters(across, cameras, models, most, same_view, rerank, per_identity)

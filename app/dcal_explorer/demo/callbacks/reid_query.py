"""The query of the tab "Re-identify": an upload or one of the gallery's images, or several of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dcal
from dcal import DCALError, draw
from dcal.gallery import QueryInfo
from dcal_explorer.content import reid_captions
from dcal_explorer.content.galleries import OWN, Galleries, GalleryWithMetadata
from dcal_explorer.content.places import gallery_places
from dcal_explorer.demo.callbacks.inspect import RGB, InspectCallbacks
from dcal_explorer.demo.inputs import checked_flag, checked_text, checked_upload, kept_between, shows_errors
from dcal_explorer.demo.query_session import QueryImage, QuerySession
from dcal_explorer.demo.sessions import FEW_BYTES, SessionStore

TOGETHER = 8  # images of one query


class QueryCallbacks:
    """What makes a query. `record` is always the key of a query session, which is kept on the server."""

    def __init__(self, inspect: InspectCallbacks, places: Sequence[Path] | None = None) -> None:
        self.library, self.folder, self.models = inspect.library, inspect.folder, inspect.models
        self.galleries = Galleries(inspect.library, gallery_places() if places is None else places)
        self.records = SessionStore[QuerySession](most_bytes=FEW_BYTES, renew=lambda source: self._session(*source))

    @shows_errors
    def search(
        self,
        image: dict[str, Any] | None,
        checkpoint: str,
        record: str | None = None,
        gallery: str | None = OWN,
        add: bool = False,
    ) -> tuple[Any, Any]:
        """Take an uploaded crop as the query, or `add` it to the present one; /ranking then ranks the gallery.

        `gallery` is one of the checkpoint's by name (see /gallery), by itself its own.
        """
        if image is None:
            return kept_between(record, None, reid_captions.EMPTY)
        path = checked_upload(self.folder, image)
        place = checked_text("checkpoint", checkpoint), checked_text("gallery", gallery or OWN)
        self.galleries.open(*place)
        return self._kept(*place, self._image(place[0], QueryInfo(), path), record, checked_flag("add", add))

    @shows_errors
    def choose(
        self, image: str, checkpoint: str, record: str | None = None, gallery: str | None = OWN, add: bool = False
    ) -> tuple[str, str]:
        """Take one of the gallery's own images (its name there) as the query, or `add` it to the present one.

        Adding an image that the query has already takes it out. /ranking then ranks the gallery for the query.
        """
        place = checked_text("checkpoint", checkpoint), checked_text("gallery", gallery or OWN)
        opened = self.galleries.open(*place)
        item = opened.item(checked_text("image", image))
        return self._kept(*place, QueryImage(opened.query_info(item)), record, checked_flag("add", add))

    @shows_errors
    def change(self, checkpoint: str, record: str, gallery: str = OWN) -> tuple[str, str]:
        """The same query for another checkpoint or gallery. To a gallery that lacks an image it is an upload.

        The old session stays: the page drops it when it shows the new one.
        """
        session = self.records.get(record)
        old, new = self.opened(session), self.galleries.open(checkpoint, gallery)
        images = [self._moved(checkpoint, old, new, image) for image in session.images]
        moved = QuerySession(checkpoint, images, gallery)
        return self.records.keep(moved), self.caption(moved)

    def opened(self, session: QuerySession) -> GalleryWithMetadata:
        """The session's gallery."""
        return self.galleries.open(session.checkpoint, session.gallery)

    def caption(self, session: QuerySession) -> str:
        """The query in words, with what to know about its images."""
        gallery, known = self.opened(session), [image.known for image in session.images]
        line = reid_captions.query(gallery, known[0]) if len(known) == 1 else reid_captions.several(gallery, known)
        uploads = [image.seen for image in session.images if image.seen is not None and image.known.path is None]
        lost = [reid_captions.LOST_IMAGES] if gallery.lost else []
        return "\n\n".join((line, *(note for seen in uploads for note in seen.notes), *lost))

    def query_image(self, record: str) -> RGB:
        """The query as the page shows it, enlarged if it is small; several images side by side."""
        session = self.records.get(record)
        images = [self.pixels(session, image) for image in session.images]
        if len(images) == 1:
            return draw.tile(images[0], draw.PAIR_SIDE)
        return draw.ranked_list([draw.Entry(image, ()) for image in images], (), "", len(images))

    def pixels(self, session: QuerySession, image: QueryImage) -> RGB:
        """One of the query's images."""
        if image.seen is not None:
            return image.seen.image
        return np.asarray(dcal.read_image(self.opened(session).file_path(str(image.known.path))).image)

    def _kept(self, checkpoint: str, gallery: str, image: QueryImage, record: str | None, add: bool) -> tuple[str, str]:
        """A session for an image, alone or with those that the query has already, instead of the old one."""
        images = [image]
        if add and record:
            session = self.records.get(record)
            if (session.checkpoint, session.gallery) != (checkpoint, gallery):
                raise DCALError("The query is for another checkpoint or gallery: choose it for this one first.")
            others = [own for own in session.images if own.known.path is None or own.known != image.known]
            images = others if len(others) < len(session.images) and others else [*others, image]
        if len(images) > TOGETHER:
            raise DCALError(f"A query takes {TOGETHER} images at most.")
        made = QuerySession(checkpoint, images, gallery)
        caption = self.caption(made)
        return self.records.keep(made, instead_of=record), caption

    def _moved(
        self, checkpoint: str, old: GalleryWithMetadata, new: GalleryWithMetadata, image: QueryImage
    ) -> QueryImage:
        """One of the query's images for another checkpoint and gallery."""
        if (path := image.known.path) is None:
            assert image.seen is not None  # an upload was inspected
            return self._image(checkpoint, QueryInfo(), image.path or image.seen.image)
        if (item := new.own(old, path)) is None:
            return self._image(checkpoint, QueryInfo(), old.file_path(path))
        return QueryImage(new.query_info(item))

    def _session(self, checkpoint: str, gallery: str, parts: tuple[tuple[QueryInfo, Path | None], ...]) -> QuerySession:
        return QuerySession(checkpoint, [self._image(checkpoint, *part) for part in parts], gallery)

    def _image(self, checkpoint: str, known: QueryInfo, image: Path | np.ndarray | None) -> QueryImage:
        """A gallery's image, or another one, which is inspected."""
        if known.path is not None or image is None:
            return QueryImage(known)
        seen = self.models.inspect(checkpoint, image)
        return QueryImage(known, seen, image if isinstance(image, Path) else None)

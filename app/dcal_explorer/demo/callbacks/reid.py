"""What the tab "Re-identify" does on an upload, a click or a moved control: calls of the core, drawn and worded.

Places in a ranking, rows and columns count from 1 here, as on the page; the core counts from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import dcal
from dcal import DCALError, Inspection, draw
from dcal.gallery import QueryInfo, Ranking, rank
from dcal_explorer.content import reid_captions
from dcal_explorer.content.galleries import Galleries
from dcal_explorer.content.match_explanation import Explanation, yard_pair
from dcal_explorer.demo.callbacks.inspect import RGB, InspectCallbacks
from dcal_explorer.demo.inputs import (
    checked_flag,
    checked_look,
    checked_text,
    checked_texts,
    checked_upload,
    from_one,
    shows_errors,
)
from dcal_explorer.demo.sessions import SessionStore, arrays, total_bytes

MOST = 100  # images of a ranking that are shown at once
BRANCH_SIDE = 320  # pixels of an image's side where the branches stand beside each other


@dataclass
class QuerySession:
    """A visitor's query, and what the page has requested for it.

    `seen` is the query's record: of an upload from the start, of a gallery's image once a match was explained. `path`
    is an upload's file.
    """

    checkpoint: str
    known: QueryInfo
    seen: Inspection | None = None
    path: Path | None = None
    ranking: Ranking | None = None
    explained: Explanation | None = None  # the hit explained last

    @property
    def nbytes(self) -> int:
        records = [self.seen] + ([self.explained.match.query, self.explained.match.match] if self.explained else [])
        return total_bytes([array for record in records if record is not None for array in arrays(record)])

    @property
    def source(self) -> tuple[str, QueryInfo, Path | None]:
        return self.checkpoint, self.known, self.path

    def close(self) -> None:
        self.explained = None


class ReIDCallbacks:
    """The tab's callbacks. `record` is always the key of a query session, which is kept on the server."""

    def __init__(self, inspect: InspectCallbacks) -> None:
        self.library, self.folder, self.running = inspect.library, inspect.folder, inspect.running
        self.galleries = Galleries(inspect.library)
        self.records = SessionStore[QuerySession](renew=lambda source: self._session(*source))

    @shows_errors
    def search(
        self, image: dict[str, Any] | None, checkpoint: str, record: str | None = None
    ) -> tuple[str | None, str]:
        """Take an uploaded crop as the query; /ranking then ranks the checkpoint's gallery for it."""
        if image is None:
            return None, reid_captions.EMPTY
        return self._new_query(checked_upload(self.folder, image), checked_text("checkpoint", checkpoint), record)

    @shows_errors
    def choose(self, picture: str, checkpoint: str, record: str | None = None) -> tuple[str, str]:
        """Take one of the gallery's own images (its path) as the query; /ranking then ranks the gallery for it."""
        gallery = self.galleries.open(checked_text("checkpoint", checkpoint))
        item = gallery.item(checked_text("picture", picture))
        known = QueryInfo(item.identity, item.camera, item.path)
        return self.records.keep(QuerySession(checkpoint, known), instead_of=record), reid_captions.query(
            gallery, known
        )

    @shows_errors
    def change(self, checkpoint: str, record: str) -> tuple[str, str]:
        """The same query for another checkpoint. For a gallery that lacks the image it is an upload.

        The old session stays: the page drops it when it shows the new one.
        """
        session = self.records.get(record)
        if (path := session.known.path) is None:
            assert session.seen is not None  # an upload was inspected
            return self._new_query(session.path or session.seen.image, checkpoint)
        old, new = self.galleries.open(session.checkpoint), self.galleries.open(checkpoint)
        if new.own(old, path) is None:
            return self._new_query(old.file_path(path), checkpoint)
        return self.choose(path, checkpoint)

    @shows_errors
    def ranking(
        self,
        record: str,
        across: bool = True,
        cameras: Sequence[str] = (),
        models: Sequence[str] = (),
        most: int = 12,
    ) -> tuple[dict[str, Any], str]:
        """The `most` images of the gallery nearest to the query, and how good the whole ranking is.

        `across` excludes all images of the query's own camera, where it is known. `cameras` and `models` restrict the
        ranking to images of these cameras and of these vehicles; none restrict nothing.
        """
        session = self.records.get(record)
        gallery, count = self.galleries.open(session.checkpoint), from_one("number", most, MOST) + 1
        query = session.seen if session.known.path is None else gallery.item(session.known.path)
        assert query is not None  # an upload was inspected
        across = checked_flag("across", across)
        session.ranking = rank(
            gallery.embedded,
            query,
            k=count,
            cameras=gallery.cameras(checked_texts("cameras", cameras), session.known, across),
            identities=gallery.identities(checked_texts("models", models)),
        )
        session.explained = None
        return session.ranking.to_dict(), reid_captions.worth(gallery, session.ranking, across)

    @shows_errors
    def match(
        self,
        record: str,
        hit: int,
        branch: str = "fused",
        row: int = 0,
        column: int = 0,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> tuple[RGB, str, str]:
        """Why an image of the ranking (its place there, from 1) matched: the evidence on both images.

        `branch` is fused, sa or glca. With `row` and `column` (from 1; 0: all), what that patch of the query matched.
        The last sentence is about the part in which twins differ.
        """
        why, look = self.explained(record, hit), checked_look(colormap, opacity, smooth)
        branch, patch = checked_text("branch", branch), None
        if row and column:
            rows, columns = why.shape
            patch = from_one("row", row, rows) * columns + from_one("column", column, columns)
        image = why.picture(branch, patch, **look)
        return image, f"{why.sentence(branch, patch)} {reid_captions.CLICK}", why.difference(branch)

    @shows_errors
    def branches(
        self, record: str, hit: int, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[RGB, RGB | None, str, str]:
        """The evidence for an image of the ranking by SA alone, and by GLCA alone where it exists; on one scale."""
        why, look = self.explained(record, hit), checked_look(colormap, opacity, smooth)
        maps = [m for name in why.match.branches for m in (why.evidence(name).query_map, why.evidence(name).match_map)]
        look |= {"side": BRANCH_SIDE, "scale": draw.shared_scale(*maps)}
        sa = why.picture("sa", **look), reid_captions.by_branch("sa", why.evidence("sa"), why.worth("sa"))
        if "glca" not in why.branches:
            return sa[0], None, sa[1], reid_captions.ONE_BRANCH
        glca = why.picture("glca", **look), reid_captions.by_branch("glca", why.evidence("glca"), why.worth("glca"))
        return sa[0], glca[0], sa[1], glca[1]

    def explained(self, record: str, hit: int) -> Explanation:
        """Why a hit of the session's ranking matched. Each pair of images is inspected once."""
        session = self.records.get(record)
        if session.ranking is None:
            raise DCALError("Nothing has been ranked yet.")
        found = session.ranking.hits[from_one("image in the ranking", hit, len(session.ranking.hits))]
        if session.explained is None or session.explained.hit.index != found.index:
            model, gallery = self.library.model(session.checkpoint), self.galleries.open(session.checkpoint)
            with self.running:
                if session.seen is None:
                    session.seen = dcal.inspect(model, gallery.file_path(str(session.known.path)))
                match = dcal.explain_match(model, session.seen, gallery.embedded.image_path(found.item))
            session.explained = Explanation(
                found, match, yard_pair(gallery, session.known, found), self.library.evidence(session.checkpoint)
            )
            self.records.grown()
        return session.explained

    def query_picture(self, record: str) -> RGB:
        """The query as the page shows it, enlarged if it is small."""
        session = self.records.get(record)
        if session.seen is not None:
            return draw.tile(session.seen.image, draw.PAIR_SIDE)
        gallery = self.galleries.open(session.checkpoint)
        image = dcal.read_image(gallery.file_path(str(session.known.path))).image
        return draw.tile(np.asarray(image), draw.PAIR_SIDE)

    def _new_query(self, image: Path | np.ndarray, checkpoint: str, record: str | None = None) -> tuple[str, str]:
        """A session for an image that is not the gallery's."""
        gallery = self.galleries.open(checkpoint)
        session = self._session(checkpoint, QueryInfo(), image)
        assert session.seen is not None
        caption = "\n\n".join((reid_captions.query(gallery, QueryInfo()), *session.seen.notes))
        return self.records.keep(session, instead_of=record), caption

    def _session(self, checkpoint: str, known: QueryInfo, image: Path | np.ndarray | None) -> QuerySession:
        """A session for a gallery's image, or for another one, which is inspected."""
        if known.path is not None or image is None:
            return QuerySession(checkpoint, known)
        model = self.library.model(checkpoint)
        with self.running:
            seen = dcal.inspect(model, image)
        return QuerySession(checkpoint, known, seen, image if isinstance(image, Path) else None)

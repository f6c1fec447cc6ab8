"""What the tab "Re-identify" does on an upload, a click or a moved control: calls of the core, drawn and worded.

Places in a ranking, rows and columns count from 1 here, as on the page; the core counts from 0.
"""

from __future__ import annotations

import dcal
from dcal import DCALError, draw
from dcal.gallery import Hit
from dcal.gallery.query import most_similar
from dcal_explorer.content import match_captions
from dcal_explorer.content.match_explanation import Explanation, yard_pair
from dcal_explorer.demo.callbacks.inspect import RGB
from dcal_explorer.demo.callbacks.reid_ranking import RankingCallbacks
from dcal_explorer.demo.inputs import checked_look, checked_text, from_one, shows_errors
from dcal_explorer.demo.query_session import QueryImage, QuerySession

BRANCH_SIDE = 320  # pixels of an image's side where the branches stand beside each other


class ReIDCallbacks(RankingCallbacks):
    """The tab's callbacks. `record` is always the key of a query session, which is kept on the server."""

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
        against: int = 0,
    ) -> tuple[RGB, str, str]:
        """Why an image of the ranking (its place there, from 1) matched: the evidence on both images.

        `branch` is fused, sa or glca. With `row` and `column` (from 1; 0: all), what that patch of the query matched.
        With `against` (another place; 0: none), why this image rather than that one: signed evidence for the margin.
        The last sentence is about the part in which twins differ.
        """
        why, look = self.explained(record, hit, against), checked_look(colormap, opacity, smooth)
        branch, patch = checked_text("branch", branch), None
        if row and column:
            rows, columns = why.shape
            patch = from_one("row", row, rows) * columns + from_one("column", column, columns)
        image = why.drawing(branch, patch, **look)
        return image, f"{why.sentence(branch, patch)} {match_captions.CLICK}", why.difference(branch)

    @shows_errors
    def branches(
        self,
        record: str,
        hit: int,
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
        against: int = 0,
    ) -> tuple[RGB, RGB | None, str, str]:
        """The evidence for an image of the ranking by SA alone, and by GLCA alone where it exists; on one scale.

        `against`: as in /match.
        """
        why, look = self.explained(record, hit, against), checked_look(colormap, opacity, smooth)
        scale = draw.evidence_scale(*(why.evidence(name) for name in why.match.branches))
        look |= {"side": BRANCH_SIDE, "scale": scale}
        sa = why.drawing("sa", **look), match_captions.by_branch("sa", why.evidence("sa"), why.worth("sa"))
        if "glca" not in why.branches:
            return sa[0], None, sa[1], match_captions.ONE_BRANCH
        glca = why.drawing("glca", **look), match_captions.by_branch("glca", why.evidence("glca"), why.worth("glca"))
        return sa[0], glca[0], sa[1], glca[1]

    def explained(self, record: str, hit: int, against: int = 0) -> Explanation:
        """Why a hit of the session's ranking matched, or matched better than another. Each is computed once.

        Of several query images, the one most similar to the hit is explained.
        """
        session, found = self.found(record, hit)
        other = self.found(record, against)[1] if against else None
        if other is not None and other.index == found.index:
            raise DCALError("An image cannot be held against itself: choose another one of the ranking.")
        known = session.explained
        if known is None or (known.hit.index, place(known.other)) != (found.index, place(other)):
            session.explained = self._explain(session, found, other)
            self.records.grown()
        assert session.explained is not None
        return session.explained

    def _explain(self, session: QuerySession, found: Hit, other: Hit | None) -> Explanation:
        model, gallery = self.library.model(session.checkpoint), self.opened(session)
        image = self.nearest(session, found)
        paths = [gallery.embedded.image_path(hit.item) for hit in (found, other) if hit is not None]
        if image.seen is None:
            image.seen = self.models.inspect(session.checkpoint, gallery.file_path(str(image.known.path)))
        with self.models.queue.running:
            match = dcal.explain_match(model, image.seen, *paths)
        pair = yard_pair(gallery, image.known, found)
        return Explanation(found, match, pair, self.library.evidence(session.checkpoint), other)

    def nearest(self, session: QuerySession, hit: Hit) -> QueryImage:
        """The query's image that is most similar to a hit."""
        if len(session.images) == 1:
            return session.images[0]
        gallery = self.opened(session)
        queries = [self.embedded(gallery, image.seen, image.known.path) for image in session.images]
        return session.images[most_similar(gallery.embedded, queries, hit.index)]


def place(hit: Hit | None) -> int | None:
    return None if hit is None else hit.index

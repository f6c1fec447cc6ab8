"""What happens on the page "Re-identify": plain functions that call the core and return pictures and sentences.

Places in a ranking, rows and columns count from 1 here, as on the page; the core counts from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import dcal
from dcal import DCALError, Inspection, draw
from dcal.gallery import QueryInfo, Ranking, rank
from dcal_explorer.content import reid_captions
from dcal_explorer.content.galleries import Galleries
from dcal_explorer.content.match_explanation import Explanation, yard_pair
from dcal_explorer.demo.counting import from_one
from dcal_explorer.demo.inputs import told, uploaded
from dcal_explorer.demo.inspect_callbacks import InspectCallbacks, Picture
from dcal_explorer.demo.sessions import SessionStore, size

MOST = 100  # pictures of a ranking that are shown at once
BRANCH_SIDE = 320  # pixels of a picture's side where the branches stand beside each other


@dataclass
class QuerySession:
    """Whom a visitor looks for, and what the page has been asked about that.

    `seen` is the query's record: of an upload from the start, of a gallery's picture once a match was explained.
    """

    checkpoint: str
    known: QueryInfo
    seen: Inspection | None = None
    ranking: Ranking | None = None
    explained: Explanation | None = None  # the hit explained last

    @property
    def nbytes(self) -> int:
        records = [self.seen] + ([self.explained.match.match] if self.explained else [])
        return sum(size(record) for record in records if record is not None)


class ReIDCallbacks:
    """The page's callbacks. `record` is always the key of a quest, which is kept on the server."""

    def __init__(self, explorer: InspectCallbacks) -> None:
        self.shelf, self.folder, self.running = explorer.shelf, explorer.folder, explorer.running
        self.galleries, self.records = Galleries(explorer.shelf), SessionStore[QuerySession]()

    @told
    def search(
        self, image: dict[str, Any] | None, checkpoint: str, record: str | None = None
    ) -> tuple[str | None, str]:
        """Take an uploaded crop as the query; /ranking then says what it finds in the checkpoint's gallery."""
        if image is None:
            return None, reid_captions.EMPTY
        return self._look(uploaded(self.folder, image), checkpoint, record)

    @told
    def choose(self, picture: str, checkpoint: str, record: str | None = None) -> tuple[str, str]:
        """Take one of the gallery's own pictures (its path) as the query; /ranking then says what it finds."""
        catalogue = self.galleries.catalogue(checkpoint)
        item = catalogue.item(picture)
        asked = QueryInfo(item.identity, item.camera, item.path)
        said = reid_captions.query(catalogue, asked)
        return self.records.keep(QuerySession(checkpoint, asked), instead_of=record), said

    @told
    def change(self, checkpoint: str, record: str) -> tuple[str, str]:
        """The same query for another checkpoint. A gallery that lacks the picture is asked for it like an upload.

        The old record stays: the page lets it go when it shows the new one.
        """
        quest = self.records.get(record)
        if (path := quest.known.path) is None:
            assert quest.seen is not None  # an upload was inspected
            return self._look(quest.seen.photo, checkpoint)
        old, new = self.galleries.catalogue(quest.checkpoint), self.galleries.catalogue(checkpoint)
        if new.own(old, path) is None:
            return self._look(old.photo(path), checkpoint)
        return self.choose(path, checkpoint)

    @told
    def ranking(
        self,
        record: str,
        across: bool = True,
        cameras: Sequence[str] = (),
        models: Sequence[str] = (),
        most: int = 12,
    ) -> tuple[dict[str, Any], str]:
        """The `most` pictures of the gallery nearest to the query, and what the whole ranking is worth.

        `across` leaves out all pictures by the query's own camera, where it is known. `cameras` and `models` restrict
        the ranking to pictures by these cameras and of these vehicles; none restrict nothing.
        """
        quest = self.records.get(record)
        catalogue, count = self.galleries.catalogue(quest.checkpoint), from_one("number", most, MOST) + 1
        asked = quest.seen if quest.known.path is None else catalogue.item(quest.known.path)
        assert asked is not None  # an upload was inspected
        quest.ranking = rank(
            catalogue.gallery,
            asked,
            k=count,
            cameras=catalogue.cameras(cameras, quest.known, across),
            identities=catalogue.identities(models),
        )
        quest.explained = None
        return quest.ranking.to_dict(), reid_captions.worth(catalogue, quest.ranking, across)

    @told
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
    ) -> tuple[Picture, str, str]:
        """Why a picture of the ranking (its place there, from 1) matched: the evidence on both pictures.

        `branch` is fused, sa or glca. With `row` and `column` (from 1; 0: all), what that patch of the query found.
        The last sentence is about the part in which twins differ.
        """
        why = self.explained(record, hit)
        patch = None
        if row and column:
            rows, columns = why.shape
            patch = from_one("row", row, rows) * columns + from_one("column", column, columns)
        picture = why.picture(branch, patch, colormap=colormap, opacity=opacity, smooth=smooth)
        return picture, f"{why.sentence(branch, patch)} {reid_captions.CLICK}", why.difference(branch)

    @told
    def branches(
        self, record: str, hit: int, colormap: str = "viridis", opacity: float = 0.6, smooth: bool = False
    ) -> tuple[Picture, Picture | None, str, str]:
        """The evidence for a picture of the ranking by SA alone, and by GLCA alone where there is it; on one scale."""
        why = self.explained(record, hit)
        maps = [m for name in why.match.branches for m in (why.evidence(name).query_map, why.evidence(name).match_map)]
        look: dict[str, Any] = {"opacity": opacity, "colormap": colormap, "smooth": smooth}
        look |= {"side": BRANCH_SIDE, "scale": draw.shared_scale(*maps)}
        sa = why.picture("sa", **look), reid_captions.by_branch("sa", why.evidence("sa"))
        if "glca" not in why.branches:
            return sa[0], None, sa[1], reid_captions.ONE_BRANCH
        glca = why.picture("glca", **look), reid_captions.by_branch("glca", why.evidence("glca"))
        return sa[0], glca[0], sa[1], glca[1]

    def explained(self, record: str, hit: int) -> Explanation:
        """Why a hit of the quest's ranking matched. Both pictures are looked at once."""
        quest = self.records.get(record)
        if quest.ranking is None:
            raise DCALError("Nothing has been ranked yet.")
        found = quest.ranking.hits[from_one("picture in the ranking", hit, len(quest.ranking.hits))]
        if quest.explained is None or quest.explained.hit.index != found.index:
            model, catalogue = self.shelf.model(quest.checkpoint), self.galleries.catalogue(quest.checkpoint)
            with self.running:
                if quest.seen is None:
                    quest.seen = dcal.inspect(model, catalogue.photo(str(quest.known.path)))
                match = dcal.explain_match(model, quest.seen, catalogue.gallery.image_path(found.item))
            quest.explained = Explanation(found, match, yard_pair(catalogue, quest.known, found))
        return quest.explained

    def query_picture(self, record: str) -> Picture:
        """The query as the page shows it: large enough."""
        quest = self.records.get(record)
        if quest.seen is not None:
            return draw.tile(quest.seen.photo, draw.PAIR_SIDE)
        catalogue = self.galleries.catalogue(quest.checkpoint)
        photo = dcal.read_image(catalogue.photo(str(quest.known.path))).image
        return draw.tile(np.asarray(photo), draw.PAIR_SIDE)

    def _look(self, image: Any, checkpoint: str, record: str | None = None) -> tuple[str, str]:
        """A quest for a picture that is not the gallery's."""
        catalogue, model = self.galleries.catalogue(checkpoint), self.shelf.model(checkpoint)
        with self.running:
            seen = dcal.inspect(model, image)
        said = "\n\n".join((reid_captions.query(catalogue, QueryInfo()), *seen.notes))
        return self.records.keep(QuerySession(checkpoint, QueryInfo(), seen), instead_of=record), said

"""A visitor's query: one image or several, of a gallery or uploaded, and what the page has requested for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcal import Inspection
from dcal.gallery import QueryInfo, Ranking
from dcal.gallery.reviews import query_name
from dcal_explorer.content.galleries import OWN
from dcal_explorer.content.match_explanation import Explanation
from dcal_explorer.demo.sessions import arrays, total_bytes


@dataclass
class QueryImage:
    """`seen` is the image's record: of an upload from the start, of a gallery's image once a match was explained.
    `path` is an upload's file.
    """

    known: QueryInfo
    seen: Inspection | None = None
    path: Path | None = None

    @property
    def name(self) -> str:
        """How reviews name it."""
        return query_name(self.known.path, b"" if self.seen is None else self.seen.image.tobytes())


@dataclass
class QuerySession:
    """The query for one checkpoint and one of its galleries."""

    checkpoint: str
    images: list[QueryImage]
    gallery: str = OWN
    ranking: Ranking | None = None
    explained: Explanation | None = None  # the hit explained last

    @property
    def known(self) -> QueryInfo:
        """What is known of the first image."""
        return self.images[0].known

    @property
    def seen(self) -> Inspection | None:
        """The first image's record."""
        return self.images[0].seen

    @property
    def name(self) -> str:
        """How reviews name the query."""
        return " + ".join(image.name for image in self.images)

    @property
    def nbytes(self) -> int:
        held: list[Any] = [image.seen for image in self.images]
        if self.explained is not None:
            match = self.explained.match
            held += [match.query, match.match, match.other, *match.all_evidence.values()]
        return total_bytes([array for record in held if record is not None for array in arrays(record)])

    @property
    def source(self) -> tuple[str, str, tuple[tuple[QueryInfo, Path | None], ...]]:
        return self.checkpoint, self.gallery, tuple((image.known, image.path) for image in self.images)

    def close(self) -> None:
        self.explained = None

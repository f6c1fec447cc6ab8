"""The ranking of the tab "Re-identify": filters, re-ranking, what people say of hits, and files to take away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import dcal
from dcal import DCALError, ImageError, draw
from dcal.gallery import Hit, rank
from dcal.gallery.query import in_common
from dcal.gallery.reviews import WITHDRAWN, review_of
from dcal.gallery.table import ranking_csv
from dcal.retrieval import Reranking
from dcal_explorer.content import reid_captions
from dcal_explorer.content.galleries import ALL, FOLDER, OWN, GalleryWithMetadata
from dcal_explorer.demo.callbacks.inspect import RGB
from dcal_explorer.demo.callbacks.reid_query import QueryCallbacks
from dcal_explorer.demo.inputs import checked_flag, checked_text, checked_texts, from_one, shows_errors
from dcal_explorer.demo.query_session import QuerySession

MOST = 100  # images of a ranking that are shown at once
PAGE = 40  # images to choose from at once: the yard's test vehicles by one camera


class RankingCallbacks(QueryCallbacks):
    """Places in a ranking and pages count from 1 here, as on the page; the core counts from 0."""

    @shows_errors
    def gallery(
        self,
        checkpoint: str,
        gallery: str | None = OWN,
        camera: str | None = ALL,
        model: str | None = ALL,
        page: int = 1,
    ) -> dict[str, Any]:
        """A checkpoint's galleries, and a page of the images of one of them, of a camera and a model if named.

        The images' names are what /choose takes.
        """
        opened = self.galleries.open(checked_text("checkpoint", checkpoint), checked_text("gallery", gallery or OWN))
        there = opened.images_of(checked_text("camera", camera or ALL), checked_text("model", model or ALL))
        pages = max(1, -(-len(there) // PAGE))
        number = from_one("page", page, pages)
        return {
            "galleries": [name or FOLDER for name in self.galleries.choices(checkpoint)],
            "cameras": list(opened.embedded.cameras),
            "models": list(opened.models),
            "viewpoints": list(opened.embedded.viewpoints),
            "count": len(there),
            "pages": pages,
            "images": [named(vars(item)) for item in there[number * PAGE : (number + 1) * PAGE]],
        }

    @shows_errors
    def ranking(
        self,
        record: str,
        across: bool = True,
        cameras: Sequence[str] = (),
        models: Sequence[str] = (),
        most: int = 12,
        same_view: bool = False,
        rerank: bool = False,
        per_identity: bool = False,
    ) -> tuple[dict[str, Any], str]:
        """The `most` images of the gallery nearest to the query, and how good the whole ranking is.

        `across` excludes all images of the query's own camera, where it is known. `cameras` and `models` restrict the
        ranking to images of these cameras and of these vehicles, `same_view` to those of the query's viewpoint; none
        restrict nothing. `rerank` orders by k-reciprocal neighbours, `per_identity` keeps one image of each identity.
        """
        session = self.records.get(record)
        gallery, count = self.opened(session), from_one("number", most, MOST) + 1
        across, known = checked_flag("across", across), self.common(session)
        session.ranking = rank(
            gallery.embedded,
            [self.embedded(gallery, image.seen, image.known.path) for image in session.images],
            k=count,
            cameras=gallery.cameras(checked_texts("cameras", cameras), known, across),
            identities=gallery.identities(checked_texts("models", models)),
            viewpoints=gallery.viewpoints(known, checked_flag("same_view", same_view)),
            reranking=Reranking() if checked_flag("rerank", rerank) else None,
            per_identity=checked_flag("per_identity", per_identity),
        )
        session.explained = None
        found = session.ranking.to_dict()
        public = found | {"query": named(found["query"]), "hits": [named(hit) for hit in found["hits"]]}
        measured = self.library.evaluation(session.checkpoint).values.get("similarities", {})
        lines = (
            reid_captions.newness(gallery, session.ranking, measured),
            reid_captions.worth(gallery, session.ranking, across),
        )
        return public, "\n\n".join(line for line in reversed(lines) if line)

    @shows_errors
    def review(self, record: str, hit: int, answer: str) -> str:
        """Say whether a hit (its place, from 1) shows the query's identity: same, different, cannot tell, new identity.

        An empty answer takes it back. Answers are kept in a file beside the gallery.
        """
        session, found = self.found(record, hit)
        answer = checked_text("answer", answer)
        review = review_of(session.name, self.common(session).identity, found, answer, session.checkpoint)
        gallery = self.opened(session)
        gallery.reviews.add(review)
        total = len(gallery.reviews.latest())
        said = "Taken back." if answer == WITHDRAWN else f"Kept: {answer}."
        return f"{said} {total} answer{'' if total == 1 else 's'} in `{gallery.reviews.path.name}`."

    def reviewed(self, session: QuerySession) -> dict[str, str]:
        """{image: answer} of the session's query."""
        return self.opened(session).reviews.of(session.name)

    @shows_errors
    def answer_of(self, record: str, hit: int) -> str:
        """What was said of a hit before."""
        session, found = self.found(record, hit)
        return self.reviewed(session).get(found.item.path, WITHDRAWN)

    @shows_errors
    def download_hits(self, record: str) -> str:
        """The ranking shown as a CSV file, with the reviews."""
        session = self.ranked(record)
        assert session.ranking is not None
        return self.written(record, "hits.csv", ranking_csv(session.ranking, self.reviewed(session)).encode())

    @shows_errors
    def download_reviews(self, record: str) -> str:
        """What people said of this gallery's hits, for all queries, as a CSV file."""
        return self.written(record, "reviews.csv", self.opened(self.records.get(record)).reviews.csv().encode())

    @shows_errors
    def download_ranking(self, record: str) -> str:
        """The query and the ranking shown as one image, a PNG file."""
        return self.written(record, "ranking.png", draw.png(self.ranked_image(record)))

    def ranked_image(self, record: str) -> RGB:
        """The query and the ranking as one image."""
        session = self.ranked(record)
        assert session.ranking is not None
        gallery = self.opened(session)
        queries = [
            draw.Entry(self.pixels(session, image), ("query", *self.lines(gallery, image.known.path)), "query")
            for image in session.images
        ]
        hits = [self.entry(gallery, session, hit) for hit in session.ranking.hits]
        title = f"{session.checkpoint} · {session.ranking.candidates:,} images ranked"
        return draw.ranked_list(queries, hits, title)

    def entry(self, gallery: GalleryWithMetadata, session: QuerySession, hit: Hit) -> draw.Entry:
        """A hit in that image; a grey square where its file is lost."""
        assert session.ranking is not None
        try:
            image = np.asarray(dcal.read_image(gallery.embedded.image_path(hit.item)).image)
        except ImageError:
            image = np.full((8, 8, 3), 200, dtype=np.uint8)
        verdict = reid_captions.verdict(gallery, session.ranking.known, hit)
        head = f"{'–' if hit.rank is None else hit.rank} {verdict.text}".strip()
        facts = ", ".join(reid_captions.facts(gallery, hit.item)) or hit.item.path
        return draw.Entry(image, (head, facts, reid_captions.chance(hit)), hit.verdict or "")

    def lines(self, gallery: GalleryWithMetadata, path: str | None) -> tuple[str, ...]:
        return () if path is None else (", ".join(reid_captions.facts(gallery, gallery.item(path))),)

    def written(self, record: str, name: str, data: bytes) -> str:
        """A file for a download, in the session's own folder."""
        folder = self.folder / record
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"dcal-{name}"
        path.write_bytes(data)
        return str(path)

    def embedded(self, gallery: GalleryWithMetadata, seen: dcal.Inspection | None, path: str | None) -> Any:
        """One image of a query as `rank` takes it."""
        if path is not None:
            return gallery.item(path)
        assert seen is not None  # an upload was inspected
        return seen

    def common(self, session: QuerySession) -> dcal.QueryInfo:
        """What all images of the query have in common."""
        return in_common([image.known for image in session.images])

    def ranked(self, record: str) -> QuerySession:
        """The session. Raises DCALError if nothing has been ranked for it."""
        session = self.records.get(record)
        if session.ranking is None:
            raise DCALError("Nothing has been ranked yet.")
        return session

    def found(self, record: str, hit: int, what: str = "image in the ranking") -> tuple[QuerySession, Hit]:
        """The session, and a hit of its ranking by its place there, from 1."""
        session = self.ranked(record)
        assert session.ranking is not None
        return session, session.ranking.hits[from_one(what, hit, len(session.ranking.hits))]


def named(values: dict[str, Any]) -> dict[str, Any]:
    """What is known of an image, for the API: its `path` is called `image`, as clients take a "path" for a file."""
    return {"image" if name == "path" else name: value for name, value in values.items()}

"""A ranking as a table: what a person sees of it, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from dcal.gallery.ranking import Ranking

COLUMNS = (
    *("place", "rank", "path", "identity", "camera", "date", "viewpoint"),
    *("similarity", "probability", "verdict", "images", "review"),
)


def ranking_csv(ranking: Ranking, reviews: Mapping[str, str] | None = None) -> str:
    """The hits, one a line, in their order. `reviews`: {path: a person's answer}. Unknown cells are empty."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for place, hit in enumerate(ranking.hits, 1):
        values = vars(hit.item) | {name: getattr(hit, name) for name in ("rank", "verdict", "images")}
        probability = None if hit.probability is None else f"{hit.probability:.4f}"
        values |= {"place": place, "similarity": f"{hit.similarity:.6f}", "probability": probability}
        writer.writerow(values | {"review": (reviews or {}).get(hit.item.path)})
    return file.getvalue()

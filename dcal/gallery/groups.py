"""A gallery's images sorted by identity where no identity is known: groups by agglomerative clustering."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from dcal.errors import DCALError
from dcal.gallery.base import Gallery
from dcal.gallery.item import Item
from dcal.retrieval.grouping import cut, grouping_summary, tree


@dataclass(frozen=True, eq=False)
class Groups:
    """`numbers`: each image's group, from 0 in order of its first image. `summary`: how well groups agree with
    identities, of the images whose identity is known (`grouping_summary`); None where fewer than two are."""

    numbers: Int64[np.ndarray, " n"]
    threshold: float  # groups merged while their mean similarity was so high
    summary: dict[str, float | int] | None

    @property
    def count(self) -> int:
        return int(self.numbers.max()) + 1

    def csv(self, items: Sequence[Item]) -> str:
        """A line for each image, group by group: group, path, identity, camera."""
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("group", "path", "identity", "camera"))
        for index in np.argsort(self.numbers, kind="stable").tolist():
            item = items[index]
            writer.writerow((int(self.numbers[index]) + 1, item.path, item.identity or "", item.camera or ""))
        return file.getvalue()


def grouped(gallery: Gallery, above: float | None = None) -> Groups:
    """The images in groups whose mean similarity is `above` or higher; by itself the calibration's threshold.

    Raises DCALError without either, for a threshold outside [-1, 1], and for too few or too many images
    (`retrieval.grouping.MOST`).
    """
    if above is None:
        if gallery.calibration is None:
            raise DCALError(
                "from which similarity on do images show the same identity? Give --above, or fit it on images of known "
                "identities: dcal calibrate CHECKPOINT [DATASET ROOT]"
            )
        above = gallery.calibration.group_above
    if not -1 <= above <= 1:
        raise DCALError(f"a similarity lies in [-1, 1], got {above}")
    rows = gallery.rows(np.arange(len(gallery)))
    known = np.flatnonzero(gallery.labels.identities.numbers >= 0)
    summary = None
    if len(known) > 1:
        summary = grouping_summary(rows[known], gallery.labels.identities.numbers[known], above)
    return Groups(cut(tree(rows), above), above, summary)

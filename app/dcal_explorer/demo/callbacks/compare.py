"""What the tab "Compare" does: one image through two to four checkpoints, for the same class, on the same scales."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcal import DCALError, Inspection, draw
from dcal.analysis.record_agreement import map_of, record_agreement
from dcal.errors import check_choice
from dcal.explain.inspection import class_names
from dcal_explorer.content import captions, compare_captions
from dcal_explorer.demo.callbacks.inspect import COMPARED_SIDE, RGB, InspectCallbacks
from dcal_explorer.demo.inputs import (
    checked_look,
    checked_text,
    checked_texts,
    checked_upload,
    kept_between,
    shows_errors,
)
from dcal_explorer.demo.sessions import FEW_BYTES, SessionStore, arrays, total_bytes

FEWEST, MOST = 2, 4  # checkpoints


@dataclass
class Comparison:
    """The records of one image, by checkpoint in the order chosen; `target` is the class by name, if there is one."""

    seen: dict[str, Inspection]
    path: Path
    target: str | None = None

    @property
    def nbytes(self) -> int:
        return total_bytes([array for record in self.seen.values() for array in arrays(record)])

    @property
    def source(self) -> tuple[list[str], Path, str | None]:
        return list(self.seen), self.path, self.target

    def close(self) -> None:
        """Nothing but records is kept here."""


class CompareCallbacks:
    """The tab's callbacks. `record` is always the key of a comparison, which is kept on the server."""

    def __init__(self, inspect: InspectCallbacks) -> None:
        self.library, self.folder, self.models = inspect.library, inspect.folder, inspect.models
        self.records = SessionStore[Comparison](most_bytes=FEW_BYTES, renew=lambda source: self._compared(*source))

    @shows_errors
    def compare_checkpoints(
        self,
        image: dict[str, Any] | None,
        checkpoints: list[str],
        target: str | None = None,
        record: str | None = None,
    ) -> tuple[Any, Any, Any]:
        """One image through two to four checkpoints: the predictions of each, and whether they agree.

        `target` is the class whose evidence is compared (by name); none: the one that most checkpoints predict.
        """
        if image is None:
            return kept_between(record, None, [], captions.EMPTY)
        names = self._names(checkpoints)
        path = checked_upload(self.folder, image)
        wanted = None if target is None else checked_text("target", target)
        compared = self._compared(names, path, wanted)
        key = self.records.keep(compared, instead_of=record)
        rows = [compare_captions.prediction_row(name, seen) for name, seen in compared.seen.items()]
        return key, rows, captions.verdict(list(compared.seen.values()))

    @shows_errors
    def agreements(self, record: str, reference: str) -> list[dict[str, Any]]:
        """How far each checkpoint agrees with a `reference` among them: correlation of maps, overlap of patches."""
        seen = self.records.get(record).seen
        own = seen[check_choice("reference", checked_text("reference", reference), seen)]
        return [
            compare_captions.agreement_row(name, other, record_agreement(other, own)) for name, other in seen.items()
        ]

    @shows_errors
    def differences(
        self,
        record: str,
        reference: str,
        map: str = "rollout",
        colormap: str = "viridis",
        opacity: float = 0.6,
        smooth: bool = False,
    ) -> list[tuple[RGB, str]]:
        """Each other checkpoint's map minus the reference's, on one scale: (image, caption) of each that has the map.

        `map` is relevance, rollout or glca.
        """
        seen, look = self.records.get(record).seen, checked_look(colormap, opacity, smooth)
        own = seen[check_choice("reference", checked_text("reference", reference), seen)]
        name = check_choice("map", checked_text("map", map), compare_captions.MAPS)
        first = map_of(own, name)
        if first is None:
            return []
        deltas: dict[str, np.ndarray] = {}
        for checkpoint, other in seen.items():
            second = map_of(other, name)
            if other is not own and second is not None and other.layout == own.layout and other.box == own.box:
                deltas[checkpoint], _ = draw.difference(first, second)
        most = max((float(np.abs(delta).max()) for delta in deltas.values()), default=0.0)
        signed = {**look, "colormap": draw.DIVERGING, "low": -most, "high": most, "max_side": COMPARED_SIDE}
        return [
            (draw.figure(seen[checkpoint], delta, **signed), f"{checkpoint} − {reference}")
            for checkpoint, delta in deltas.items()
        ]

    def _names(self, checkpoints: Any) -> list[str]:
        names = list(dict.fromkeys(checked_texts("checkpoints", checkpoints)))
        if not FEWEST <= len(names) <= MOST:
            raise DCALError(f"Choose {FEWEST} to {MOST} checkpoints to compare, not {len(names)}.")
        return names

    def _compared(self, names: list[str], path: Path, target: str | None) -> Comparison:
        """The records of all checkpoints, explained for one class where they predict classes."""
        if not path.is_file():
            raise DCALError("This image is no longer kept on the server. Upload it again.")
        known = (class_names(self.library.model(name).config) for name in names)
        if target is not None and not any(target in classes for classes in known):  # before anything takes time
            raise DCALError(f"There is no class {target!r} in any of these checkpoints.")
        seen = {name: self.models.inspect(name, path) for name in names}
        classes = [record.top(1)[0][0] for record in seen.values() if captions.names_classes(record.config)]
        chosen = target or (Counter(classes).most_common(1)[0][0] if classes else None)
        for name, record in seen.items():
            if chosen is not None and captions.names_classes(record.config) and chosen in record.classes:
                seen[name] = self.models.explain(name, record, chosen)
        return Comparison(seen, path, chosen)

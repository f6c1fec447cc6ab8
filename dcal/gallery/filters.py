"""A gallery's identities and cameras as columns for filtering."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from dcal.data.base import first
from dcal.data.csv_reader import ordered
from dcal.errors import DCALError
from dcal.gallery.item import Item


@dataclass(frozen=True)
class Exclusion:
    """Excluded from one query's results: the image at `path`, and `identity` from `camera` (both, or neither).

    With the query's own path, identity and camera that is the standard protocol's rule.
    """

    path: str | None = None
    identity: str | None = None
    camera: str | None = None

    def __post_init__(self) -> None:
        if (self.identity is None) != (self.camera is None):
            raise DCALError(
                f"an exclusion needs identity and camera, or neither: got {self.identity!r} and {self.camera!r}"
            )


@dataclass(frozen=True, eq=False)
class Column:
    """One label of every image: its number among `names`, −1 where it is unknown."""

    what: str
    names: tuple[str, ...]
    numbers: Int64[np.ndarray, " n"]

    @classmethod
    def of(cls, what: str, labels: Sequence[str | None]) -> Column:
        names = ordered({label for label in labels if label is not None})
        number = {name: place for place, name in enumerate(names)}
        return cls(what, names, np.array([-1 if label is None else number[label] for label in labels], dtype=np.int64))

    def are(self, wanted: Collection[str | None]) -> Bool[np.ndarray, " n"]:
        """Which images have one of these labels; None among them: or an unknown one.

        Raises DCALError, listing the known ones, for a label that none has.
        """
        if isinstance(wanted, str):
            raise DCALError(f"{self.what} are a list of names, got the text {wanted!r}")
        number: dict[str | None, int] = {None: -1} | {name: place for place, name in enumerate(self.names)}
        if unknown := [name for name in wanted if name not in number]:
            there = first(map(repr, self.names), 20) or "none"
            raise DCALError(f"no image has the {self.what} {first(map(repr, unknown))}; the gallery has {there}")
        return np.isin(self.numbers, [number[name] for name in wanted])


class Labels:
    """The labels of a gallery's items."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.identities = Column.of("identities", [item.identity for item in items])
        self.cameras = Column.of("cameras", [item.camera for item in items])
        self.viewpoints = Column.of("viewpoints", [item.viewpoint for item in items])

    @cached_property
    def places(self) -> dict[str, int]:
        """{path: index}"""
        return {item.path: index for index, item in enumerate(self.items)}

    @cached_property
    def _together(self) -> dict[tuple[str | None, str | None], list[int]]:
        found: dict[tuple[str | None, str | None], list[int]] = {}
        for index, item in enumerate(self.items):
            found.setdefault((item.identity, item.camera), []).append(index)
        return found

    def excluded(self, rule: Exclusion) -> Int64[np.ndarray, " m"]:
        """The indices that a rule leaves out, ascending; a name that the gallery lacks leaves nothing out."""
        own = set() if rule.identity is None else set(self._together.get((rule.identity, rule.camera), ()))
        if rule.path in self.places:
            own.add(self.places[rule.path])
        return np.array(sorted(own), dtype=np.int64)

"""Things by name that others may add to, such as branches.

A table names those of this package. Others are registered by a call, or announced by an installed package as an entry
point of the table's group: `[project.entry-points."dcal.branches"]`, `mean = "my_package.mean:MEAN"`. These are
imported when they are first looked up, so that names can be listed and checked at no cost.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from dcal.errors import DCALError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Values by name. `own`: the values, or where they are, as "module:name"."""

    def __init__(self, group: str, own: Mapping[str, T | str]) -> None:
        self.group = group
        self._found: dict[str, Any] = dict(own)
        self._announced: dict[str, EntryPoint] | None = None

    def register(self, name: str, value: T) -> T:
        """Add a value for as long as this process runs, and return it. Raises DCALError for a name that is taken."""
        if name in self:
            raise DCALError(f"{name!r} is taken in {self.group}: choose another name than {', '.join(self)}")
        self._found[name] = value
        return value

    def forget(self, name: str) -> None:
        """Take back what was registered."""
        del self._found[name]

    def __getitem__(self, name: str) -> T:
        value = self._found[name] if name in self._found else self._load(self.announced()[name])
        if isinstance(value, str):
            module, _, attribute = value.partition(":")
            value = getattr(importlib.import_module(module), attribute)
        self._found[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        yield from self._found
        yield from (name for name in self.announced() if name not in self._found)

    def __len__(self) -> int:
        return len(set(self._found) | set(self.announced()))

    def __contains__(self, name: object) -> bool:
        return name in self._found or name in self.announced()

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def announced(self) -> dict[str, EntryPoint]:
        """What installed packages announce, read once."""
        if self._announced is None:
            self._announced = {point.name: point for point in entry_points(group=self.group)}
        return self._announced

    def _load(self, point: EntryPoint) -> T:
        try:
            return point.load()
        except Exception as error:  # somebody else's module may raise anything
            package = point.dist.name if point.dist else "a package"
            raise DCALError(f"{package} announces {point.name!r} ({point.value}), which failed: {error!r}") from error

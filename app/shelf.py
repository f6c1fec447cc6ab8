"""The checkpoints that the apps offer: every folder below one directory that holds a configuration."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import dcal

FAVOURITE = "cub50-full"
LOADED = 3  # models kept in memory


class Shelf:
    """The checkpoints below `folder`, loaded when they are first asked for; the `LOADED` last used stay in memory.

    Raises CheckpointError if there is none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._models: OrderedDict[tuple[str, int], dcal.DCAL] = OrderedDict()
        self._lock = threading.Lock()
        if not self.names():
            raise dcal.CheckpointError(
                f"no checkpoint lies below {self.folder}: train one (dcal train) or name another folder (--checkpoints)"
            )

    def names(self) -> list[str]:
        """Their names, the favourite first, then by alphabet."""
        found = {path.parent.name for path in self.folder.glob("*/config.json") if not path.parent.name.startswith(".")}
        return sorted(found, key=lambda name: (name != FAVOURITE, name))

    def model(self, name: str) -> dcal.DCAL:
        """The model called `name`, loaded anew if its file has changed. Raises CheckpointError for an unknown name."""
        if name not in self.names():
            raise dcal.CheckpointError(f"there is no checkpoint {name!r}; there are {', '.join(self.names())}")
        path = self.folder / name
        key = name, max(file.stat().st_mtime_ns for file in path.iterdir())
        with self._lock:
            if key not in self._models:
                self._models[key] = dcal.load(path)
            self._models.move_to_end(key)
            while len(self._models) > LOADED:
                self._models.popitem(last=False)
            return self._models[key]

    def metrics(self, name: str) -> dict[str, object]:
        """What was measured of the checkpoint."""
        return dcal.read_metrics(self.folder / name)

"""The checkpoints that the apps offer: every folder below one directory that holds a configuration."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import dcal

FIGURES = "evaluation.json"  # what `dcal eval` writes beside a checkpoint
ANALYSIS = "analysis.json"  # the same with --analysis
LOADED = 4  # models kept in memory: as many as there are ablations to compare


class CheckpointLibrary:
    """The checkpoints below `folder`, loaded when they are first asked for; the `LOADED` last used stay in memory.

    Raises CheckpointError if there is none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._models: OrderedDict[str, dcal.DCAL] = OrderedDict()
        self._lock = threading.Lock()
        if not self.names():
            raise dcal.CheckpointError(
                f"no checkpoint lies below {self.folder}: train one (dcal train) or name another folder (--checkpoints)"
            )

    def names(self, task: str | None = None) -> list[str]:
        """Their names by alphabet, but first one that has most to show: a classifier with all branches, if there is.

        With `task` ("fgvc", "reid") only those of that task, as far as their configurations can be read.
        """
        found = sorted(
            path.parent.name for path in self.folder.glob("*/config.json") if not path.parent.name.startswith(".")
        )
        if task is not None:
            found = [name for name in found if (config := self._readable(name)) is not None and config.task == task]
        first = min(found, key=self._little_to_show, default="")
        return sorted(found, key=lambda name: (name != first, name))

    def config(self, name: str) -> dcal.ModelConfig:
        """How the checkpoint was made; its weights are not read. Raises CheckpointError if that cannot be read."""
        return dcal.read_config(self.folder / name)

    def ablations(self, name: str) -> list[str]:
        """`name`, and for each other ablation the first checkpoint of the same backbone, picture size and classes."""
        config = self.config(name)
        chosen = {config.ablation: name}
        for other in self.names():
            found = self._readable(other)
            if found is not None and comparable_configs(found) == comparable_configs(config):
                chosen.setdefault(found.ablation, other)
        return [chosen[ablation] for ablation in dcal.ABLATIONS if ablation in chosen]

    def version(self, name: str) -> str:
        """Changes whenever the checkpoint's files do. Raises CheckpointError for an unknown name."""
        if name not in self.names():
            raise dcal.CheckpointError(f"there is no checkpoint {name!r}; there are {', '.join(self.names())}")
        path = self.folder / name
        return f"{path}@{max(file.stat().st_mtime_ns for file in path.iterdir())}"

    def model(self, name: str) -> dcal.DCAL:
        """The model called `name`, loaded anew if its files changed. Raises CheckpointError for an unknown name."""
        version = self.version(name)
        with self._lock:
            if version not in self._models:
                self._models[version] = dcal.load(self.folder / name)
            self._models.move_to_end(version)
            while len(self._models) > LOADED:
                self._models.popitem(last=False)
            return self._models[version]

    def metrics(self, name: str) -> dict[str, object]:
        """What was measured of the checkpoint."""
        return dcal.read_metrics(self.folder / name)

    def figures(self, name: str) -> dict[str, Any]:
        """What `dcal eval` kept beside the checkpoint, if it measured these weights; else what training measured."""
        path = self.folder / name / FIGURES
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["fingerprint"] == dcal.fingerprint(self.model(name)):
                return found
        return self.metrics(name)

    def evidence(self, name: str) -> dict[str, Any] | None:
        """What `dcal eval --analysis` measured of these weights' match evidence; None if it did not."""
        path = self.folder / name / ANALYSIS
        if not path.is_file():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        return found.get("evidence") if found["fingerprint"] == dcal.fingerprint(self.model(name)) else None

    def _readable(self, name: str) -> dcal.ModelConfig | None:
        """The configuration if it can be read; whoever chooses a checkpoint where it cannot is told why."""
        try:
            return self.config(name)
        except dcal.CheckpointError:
            return None

    def _little_to_show(self, name: str) -> tuple[bool, int]:
        """Least for what is opened first: a classifier before Re-ID, many branches before few."""
        config = self._readable(name)
        return (True, 0) if config is None else (config.task != "fgvc", -len(config.branches))


def comparable_configs(config: dcal.ModelConfig) -> tuple[object, ...]:
    """Equal for checkpoints that see the same and answer the same questions, however they were trained."""
    return config.task, config.backbone, config.preprocess, config.num_classes, config.classes

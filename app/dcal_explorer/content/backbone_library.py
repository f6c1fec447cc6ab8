"""A backbone of timm in the place of checkpoints: what the demo shows of a model that DCAL did not train."""

from __future__ import annotations

from pathlib import Path

import dcal
from dcal.model.bare import bare_model
from dcal_explorer.content.checkpoints import CheckpointLibrary, SideFile


class BackboneLibrary(CheckpointLibrary):
    """One model, made at once and kept: timm's backbone with its own classifier, if its weights have one.

    There is nothing beside it: no figures, no maps' scores, no gallery. Raises DCALError for a backbone or weights that
    do not fit.
    """

    bare = True

    def __init__(self, backbone: str, weights: Path | None = None) -> None:
        self.name, self.folder, self.exported = backbone, Path(backbone), {}
        self._model = bare_model(backbone, weights)

    def names(self, task: str | None = None) -> list[str]:
        return [self.name] if task is None else []

    def config(self, name: str) -> dcal.ModelConfig:
        return self.model(name).config

    def ablations(self, name: str) -> list[str]:
        return [name]

    def version(self, name: str) -> str:
        if name != self.name:
            raise dcal.CheckpointError(f"there is no checkpoint {name!r}; there is the backbone {self.name}")
        return self.name

    def model(self, name: str) -> dcal.DCAL:
        self.version(name)
        return self._model

    def _side_file(self, name: str, file: str) -> SideFile:
        return SideFile()

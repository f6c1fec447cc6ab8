"""The checkpoints that the faces offer: every folder below one directory that holds a configuration."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import dcal
from dcal.model.checkpoint import CONFIG, METRICS, WEIGHTS, file_hash, file_version, files_version
from dcal.model.exported_backbone import Encoder, ExportedBackbone, encoded
from dcal.retrieval.calibration import CALIBRATION

EVALUATION, ANALYSIS = "evaluation.json", "analysis.json"  # what `dcal eval` writes beside a checkpoint
LOADED = 4  # models kept in memory at least: as many as there are ablations to compare
LOADED_BYTES = 256 << 20  # up to which more are kept: two tasks' ablations of a small backbone


@dataclass(frozen=True)
class SideFile:
    """A JSON file beside a checkpoint's weights. `note` says why a file that is there is not used."""

    values: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


class CheckpointLibrary:
    """The checkpoints below `folder`, loaded when they are first needed; the `LOADED` last used stay in memory,
    and more of them up to `LOADED_BYTES` in all.

    Its errors name files from `folder` on: no visitor learns where the server keeps them. `exported`: files of `dcal
    export --inspection` whose checkpoints' inspections ONNX Runtime runs. Raises CheckpointError if there is no
    checkpoint, or none that such a file was exported from.
    """

    bare = False  # whether it offers a backbone without DCAL's branches

    def __init__(self, folder: str | Path, exported: Sequence[Path] = ()) -> None:
        self.folder = Path(folder)
        self.exported: dict[str, ExportedBackbone] = {}
        self._models: OrderedDict[str, dcal.DCAL] = OrderedDict()
        self._lock = threading.Lock()
        if not self.names():
            raise dcal.CheckpointError(
                f"no checkpoint lies below {self.folder}: train one (dcal train) or name another folder (--checkpoints)"
            )
        for path in exported:
            backbone = ExportedBackbone(path)
            self.exported |= dict.fromkeys(self._exported_as(backbone), backbone)

    def _exported_as(self, backbone: ExportedBackbone) -> list[str]:
        """The checkpoints that a file was exported from: those of its weights, copies of one another."""
        weights = {name: self.fingerprint(name) for name in self.names() if (self.folder / name / WEIGHTS).is_file()}
        found = [name for name, fingerprint in weights.items() if fingerprint == backbone.fingerprint]
        if not found:
            known = ", ".join(f"{name} {fingerprint[:12]}" for name, fingerprint in weights.items())
            raise dcal.CheckpointError(
                f"{backbone.path} was exported from a checkpoint that is not offered here: its weights are "
                f"{backbone.fingerprint[:12]}, those below {self.folder} {known}. Export one of them (dcal export "
                "--inspection), or name another folder (--checkpoints)"
            )
        return found

    def encoder(self, name: str) -> Encoder:
        """What runs the backbone in an inspection by the checkpoint `name`: its exported file if one was given, else
        PyTorch."""
        return self.exported.get(name, encoded)

    def names(self, task: str | None = None) -> list[str]:
        """Their names in alphabetical order, except that the one with most to show, a classifier with all branches if
        there is one, comes first.

        With `task` ("fgvc", "reid") only those of that task, as far as their configurations can be read.
        """
        found = sorted(self._found())
        if task is not None:
            found = [name for name in found if (config := self._readable(name)) is not None and config.task == task]
        first = min(found, key=self._little_to_show, default="")
        return sorted(found, key=lambda name: (name != first, name))

    def _found(self) -> list[str]:
        """The names, in no order; no configuration is read."""
        return [path.parent.name for path in self.folder.glob("*/config.json") if not path.parent.name.startswith(".")]

    def config(self, name: str) -> dcal.ModelConfig:
        """The checkpoint's configuration; its weights are not read. Raises CheckpointError if it cannot be read."""
        with relative_paths(self.folder):
            return _config(self.folder / name, files_version(self.folder / name, (CONFIG,)))

    def ablations(self, name: str) -> list[str]:
        """`name`, and for each other ablation the first checkpoint of the same backbone, image size and classes."""
        config = self.config(name)
        chosen = {config.ablation: name}
        for other in self.names():
            found = self._readable(other)
            if found is not None and comparable_configs(found) == comparable_configs(config):
                chosen.setdefault(found.ablation, other)
        return [chosen[ablation] for ablation in dcal.ABLATIONS if ablation in chosen]

    def version(self, name: str) -> str:
        """Changes whenever its configuration, weights or calibration do. Raises CheckpointError for an unknown name."""
        if name not in self._found():
            raise dcal.CheckpointError(f"there is no checkpoint {name!r}; there are {', '.join(self.names())}")
        return files_version(self.folder / name, (CONFIG, WEIGHTS, CALIBRATION))

    def model(self, name: str) -> dcal.DCAL:
        """The model called `name`, loaded anew if its files changed. Raises CheckpointError for an unknown name."""
        version = self.version(name)
        with self._lock, relative_paths(self.folder):
            if version not in self._models:
                self._models[version] = dcal.load(self.folder / name)
                self._let_go()
            self._models.move_to_end(version)
            return self._models[version]

    def _let_go(self) -> None:
        """Keep no more models than there is room for, the last used ones and the one just loaded."""
        sizes = [size_of(model) for model in self._models.values()]
        while len(sizes) > LOADED and sum(sizes) > LOADED_BYTES:
            self._models.popitem(last=False)
            del sizes[0]

    def fingerprint(self, name: str) -> str:
        """That of the checkpoint's weights, `dcal.fingerprint` of the model; this is not loaded."""
        weights = self.folder / name / WEIGHTS
        try:
            version = file_version(weights)
        except OSError as error:
            raise dcal.CheckpointError(f"{name}/{WEIGHTS} cannot be read ({error.strerror})") from error
        return _fingerprint(weights, version)

    def metrics(self, name: str) -> SideFile:
        """What training measured of the checkpoint."""
        return self._side_file(name, METRICS)

    def evaluation(self, name: str) -> SideFile:
        """What `dcal eval` measured of these weights; without it, or with a `note` on it, what training measured."""
        found = self._of_these_weights(name, EVALUATION)
        if found.values:
            return found
        metrics = self.metrics(name)
        return SideFile(metrics.values, found.note or metrics.note)

    def analysis(self, name: str) -> SideFile:
        """What `dcal eval --analysis` measured of these weights' maps."""
        return self._of_these_weights(name, ANALYSIS)

    def _of_these_weights(self, name: str, file: str) -> SideFile:
        found = self._side_file(name, file)
        if not found.values:
            return found
        if found.values.get("fingerprint") != self.fingerprint(name):
            return SideFile(note=f"`{name}/{file}` was measured for other weights: run `dcal eval` again.")
        return found

    def _side_file(self, name: str, file: str) -> SideFile:
        path = self.folder / name / file
        try:
            values = _json(path, file_version(path))
        except FileNotFoundError:
            return SideFile()
        except (OSError, ValueError, RecursionError) as error:  # no JSON, or not in UTF-8
            return SideFile(note=f"`{name}/{file}` cannot be read ({_reason(error)}): restore it, or delete it.")
        if not isinstance(values, dict):
            return SideFile(note=f"`{name}/{file}` holds no JSON object: restore it, or delete it.")
        return SideFile(values)

    def evidence(self, name: str) -> Mapping[str, Any] | None:
        """What `dcal eval --analysis` measured of these weights' match evidence; None if it did not."""
        return self.analysis(name).values.get("evidence")

    def _readable(self, name: str) -> dcal.ModelConfig | None:
        """The configuration if it can be read; the error is raised where the checkpoint is chosen."""
        try:
            return self.config(name)
        except dcal.CheckpointError:
            return None

    def _little_to_show(self, name: str) -> tuple[bool, int]:
        """Least for what is opened first: a classifier before Re-ID, many branches before few."""
        config = self._readable(name)
        return (True, 0) if config is None else (config.task != "fgvc", -len(config.branches))


def comparable_configs(config: dcal.ModelConfig) -> tuple[object, ...]:
    """Equal for checkpoints of the same input and output, whatever they were trained with."""
    return config.task, config.backbone, config.preprocess, config.num_classes, config.classes


@contextmanager
def relative_paths(folder: Path) -> Iterator[None]:
    """DCALErrors about files below `folder` name them from there on."""
    try:
        yield
    except dcal.DCALError as error:
        text = str(error)
        for prefix in (folder, folder.resolve()):
            text = text.replace(f"{prefix}/", "")
        error.args = (text,)
        raise


def size_of(model: dcal.DCAL) -> int:
    """The bytes that a model's parameters and buffers take."""
    return sum(own.nbytes for own in (*model.parameters(), *model.buffers()))


@lru_cache(256)
def _config(folder: Path, version: str) -> dcal.ModelConfig:
    """The configuration of a checkpoint; a page asks for each some ten times. `version`: of its file."""
    return dcal.read_config(folder)


@lru_cache(64)
def _json(path: Path, version: str) -> Any:
    """What a file holds, which is only read; pages ask for each side file several times. `version`: of the file."""
    return json.loads(path.read_text(encoding="utf-8"))


@lru_cache(32)
def _fingerprint(weights: Path, version: str) -> str:
    """The fingerprint of the model in a weights file. `version`: of the file."""
    return file_hash(weights)


def _reason(error: Exception) -> str:
    """Why a file could not be read, without its path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "no valid JSON" if not isinstance(error, UnicodeDecodeError) else "not UTF-8"

"""A checkpoint is a directory that holds all that loading needs: config.json, model.safetensors, README.md (its card).

The directory is a valid Hugging Face model repository. It is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save, save_file

from dcal.backbone import check_safetensors
from dcal.card import model_card
from dcal.config import ModelConfig
from dcal.errors import CheckpointError, DCALError
from dcal.model import DCAL, create_model

WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.json", "metrics.json", "README.md"
FORMAT = 1


def save_checkpoint(
    model: DCAL,
    directory: str | Path,
    metrics: Mapping[str, Any] | None = None,
    card: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write `model` to `directory`, replacing what is there, and return it. Exported as `dcal.save`.

    Floating-point tensors are stored as `dtype`. `metrics` (JSON-ready; fractions) are stored and shown in the card;
    `card` adds sections to it, heading → text (command, hardware, data terms). Atomic: a crash leaves the old
    directory.
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: _stored(tensor, dtype) for name, tensor in model.state_dict().items()}
    config = {"format": FORMAT, "library_name": "dcal", **model.config.to_dict()}
    fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        save_file(tensors, fresh / WEIGHTS, metadata={"format": "pt"})
        (fresh / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        (fresh / METRICS).write_text(json.dumps(dict(metrics or {}), indent=2, ensure_ascii=False) + "\n")
        (fresh / CARD).write_text(model_card(model, directory.name, dict(metrics or {}), dict(card or {})))
        fresh.chmod(0o755)
        _swap(fresh, directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return directory


def _stored(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _swap(fresh: Path, directory: Path) -> None:
    """Put `fresh` in the place of `directory`, whose old content is set aside first and removed last."""
    aside = directory.with_name(f".{directory.name}-replaced-{os.getpid()}")
    if directory.exists():
        directory.rename(aside)
    try:
        fresh.rename(directory)
    except OSError:
        if aside.exists():
            aside.rename(directory)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def load_checkpoint(source: str | Path) -> DCAL:
    """The model in a checkpoint directory, or in a Hugging Face model repository, in float32 and evaluation mode.

    Exported as `dcal.load`. A repository id (`owner/name`) is looked up only if there is no such directory, and needs
    the network. Raises CheckpointError, naming the file, if anything is missing, is not safetensors, or does not fit
    the config.
    """
    directory = Path(source)
    if not directory.is_dir():
        directory = _download(str(source))
    config = read_config(directory)
    model = create_model_from(config)
    tensors = load_file(check_safetensors(directory / WEIGHTS))
    _check_fit(directory, tensors, model.state_dict())
    model.load_state_dict(tensors)
    model.eval()
    _fingerprints[model] = (_versions(model), file_hash(directory / WEIGHTS))
    return model


def create_model_from(config: ModelConfig) -> DCAL:
    """A model of `config`, with fresh weights."""
    names = ("ablation", "img_size", "task", "top_ratio", "readout", "classes", "preprocess")
    return create_model(config.backbone, config.num_classes, **{name: getattr(config, name) for name in names})


def read_config(directory: str | Path) -> ModelConfig:
    """The configuration in a checkpoint directory. Raises CheckpointError if it is missing or malformed."""
    path = Path(directory) / CONFIG
    try:
        values = json.loads(path.read_text())
        version = values.pop("format")
        values.pop("library_name", None)
        if version != FORMAT:
            raise CheckpointError(f"{path} has format {version}; this release reads format {FORMAT}")
        return ModelConfig.from_dict(values)
    except FileNotFoundError:
        raise CheckpointError(f"{directory} is no checkpoint: there is no {CONFIG} in it") from None
    except CheckpointError:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, DCALError) as error:
        raise CheckpointError(f"{path} is not a configuration of ours: {error!r}") from error


def read_metrics(directory: str | Path) -> dict[str, Any]:
    """The metrics stored with a checkpoint (empty if it has none)."""
    path = Path(directory) / METRICS
    return json.loads(path.read_text()) if path.is_file() else {}


def _check_fit(directory: Path, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name}: {tuple(found[name].shape)} in the file, {tuple(tensor.shape)} by the config"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if missing or extra or shapes:
        raise CheckpointError(
            f"{directory / WEIGHTS} does not fit its {CONFIG}: "
            f"{len(missing)} tensors missing {missing[:3]}, {len(extra)} unexpected {extra[:3]}, "
            f"{len(shapes)} of another shape {shapes[:3]}"
        )


def _download(repo: str) -> Path:
    from huggingface_hub import snapshot_download  # slow to import, and seldom needed
    from huggingface_hub.errors import HFValidationError

    if repo.count("/") != 1 or Path(repo).is_absolute() or repo.startswith("."):
        raise CheckpointError(f"no checkpoint directory {repo!r}, and it is no Hugging Face repository id (owner/name)")
    try:
        return Path(snapshot_download(repo, allow_patterns=[WEIGHTS, CONFIG, METRICS, CARD]))
    except (HFValidationError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"no directory {repo!r}, and the Hugging Face hub did not give it ({type(error).__name__}: {error})"
        ) from error


_fingerprints: weakref.WeakKeyDictionary[DCAL, tuple[tuple[tuple[int, int], ...], str]] = weakref.WeakKeyDictionary()


def fingerprint(model: DCAL) -> str:
    """SHA-256 of the model's weights: of its `model.safetensors` as loaded, so that `sha256sum` gives the same.

    A model that was never saved, or was changed since it was loaded, has the hash of the file that float32 saving
    gives.
    """
    versions = _versions(model)
    known = _fingerprints.get(model)
    if known is None or known[0] != versions:
        tensors = {name: _stored(tensor, torch.float32) for name, tensor in model.state_dict().items()}
        known = (versions, hashlib.sha256(save(tensors, metadata={"format": "pt"})).hexdigest())
        _fingerprints[model] = known
    return known[1]


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(model: DCAL) -> tuple[tuple[int, int], ...]:
    """Changes whenever a tensor is written to or replaced."""
    return tuple((tensor.data_ptr(), tensor._version) for tensor in model.state_dict(keep_vars=True).values())

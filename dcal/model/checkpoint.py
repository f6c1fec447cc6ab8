"""A checkpoint is a directory that holds all that loading needs: config.json, model.safetensors, README.md (its card).

The directory is a valid Hugging Face model repository. It is written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save, save_file

from dcal.device import find_device
from dcal.errors import CheckpointError, DCALError
from dcal.files import remove_stale, writing
from dcal.model.backbone import check_finite, stored_shapes
from dcal.model.config import ModelConfig
from dcal.model.dcal import DCAL, create_model
from dcal.model.exported import ExportedModel, Model, is_exported
from dcal.model.kinds import Uninitialised
from dcal.model.model_card import model_card
from dcal.model.weights import check_safetensors
from dcal.modes import give_usual_mode

WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.json", "metrics.json", "README.md"
# What a checkpoint's directory may hold: what is saved, and what was made of it later and goes with it.
MADE_LATER = {"evaluation.json", "analysis.json", "calibration.json", "predictions.npz", "gallery"}
OURS = {WEIGHTS, CONFIG, METRICS, CARD} | MADE_LATER
REVIEWS = ".reviews.jsonl"  # how the files of dcal.gallery.reviews end, which lie beside a gallery
METADATA = {"format": "pt"}  # of the safetensors file; Hugging Face's libraries want it
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
    `card` adds sections to it, heading → text (command, hardware, data terms). Whole or not at all: a failure, an
    interrupt or a kill leaves the old checkpoint (a kill in the instant between two renames leaves it beside its place,
    as `.<name>-…-replaced`). Raises CheckpointError for weights that are not finite (in `dtype`), which could not be
    loaded again, and for a directory that holds something else, as people's reviews of a gallery: it would be lost.
    What was measured of the weights that are replaced goes with them: evaluation, calibration, gallery.
    """
    place = Path(directory).resolve()
    _check_replaceable(place)
    with writing(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: _stored(tensor, dtype) for name, tensor in model.state_dict().items()}
    check_finite(tensors, f"the model, stored as {str(dtype).removeprefix('torch.')},")
    config = {"format": FORMAT, "library_name": "dcal", **model.config.to_dict()}
    needed = sum(tensor.nbytes for tensor in tensors.values())
    with writing(place.parent, needed, f"{place.name} is as it was before."):
        text = model_card(model, Path(directory), dict(metrics or {}), dict(card or {}))
        _write_checkpoint(place, tensors, config, dict(metrics or {}), text)
    return Path(directory)


def _write_checkpoint(
    place: Path, tensors: dict[str, torch.Tensor], config: Mapping[str, Any], metrics: Mapping[str, Any], card: str
) -> None:
    remove_stale(place)
    fresh = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        save_file(tensors, fresh / WEIGHTS, metadata=METADATA)
        give_usual_mode(fresh / WEIGHTS)  # safetensors writes for the owner alone
        _write_json(fresh / CONFIG, config)
        _write_json(fresh / METRICS, metrics)
        (fresh / CARD).write_text(card, encoding="utf-8")
        give_usual_mode(fresh)
        swap(fresh, place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def files_version(folder: Path, names: Iterable[str]) -> str:
    """Changes whenever one of these files of a folder is written or replaced, so that what was read of them is known
    to be old.

    A file that is edited in place changes its own time and size, and not the folder's.
    """
    found = []
    for name in names:
        try:
            found.append(file_version(folder / name))
        except OSError:
            found.append("none")
    return f"{folder}@{','.join(found)}"


def file_version(path: Path) -> str:
    """Changes whenever the file is written or replaced, also by one of the same size that keeps its time of writing (a
    copy, an archive), or while the clock goes back. Raises OSError."""
    own = path.stat()
    return f"{own.st_ino}-{own.st_size}-{own.st_mtime_ns}-{own.st_ctime_ns}"


def _check_replaceable(place: Path) -> None:
    if place.is_dir():
        names = {path.name for path in place.iterdir()}
        foreign = sorted(names - OURS if CONFIG in names else names)
        if reviews := [name for name in foreign if name.endswith(REVIEWS)]:
            raise CheckpointError(
                f"{place} holds what people answered about its gallery ({', '.join(reviews)}), and saving there would "
                "remove it: save to another directory, or move that file away first"
            )
        if foreign:
            raise CheckpointError(
                f"{place} is no checkpoint's own directory, and saving there would remove what it holds "
                f"({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}): give another one"
            )
    elif place.exists():
        raise CheckpointError(f"{place} is a file: a checkpoint is a directory, give the name of a new one")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _stored(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def swap(fresh: Path, place: Path) -> None:
    """Put `fresh` in the place of `place`, whose old content is set aside first and removed last."""
    aside = fresh.with_name(f"{fresh.name}-replaced")  # as unique as `fresh` is
    try:
        if place.exists():
            place.rename(aside)
        fresh.rename(place)
    except BaseException:  # an interrupt, too, must not leave the place empty
        if aside.exists() and not place.exists():
            aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@torch.inference_mode(False)  # else what is loaded in that mode could never be trained, nor its changes be noticed
def load_checkpoint(source: str | Path) -> DCAL:
    """The model in a checkpoint directory, or in a Hugging Face model repository, in float32 and evaluation mode.

    Exported as `dcal.load`. A repository id (`owner/name`) is looked up only if there is no such directory, and needs
    the network. Raises CheckpointError, naming the file, if anything is missing, is not safetensors, is not finite, or
    does not fit the config, whose size costs nothing before that is known.
    """
    directory = checkpoint_folder(source)
    config = read_config(directory)
    weights = check_safetensors(directory / WEIGHTS)
    try:
        # Shapes are compared before memory is allocated for what the config names.
        with torch.device("meta"), Uninitialised():
            plan = create_model_from(config)
    except DCALError as error:
        raise CheckpointError(f"{directory / CONFIG} describes no model of ours: {error}") from error
    _check_fit(directory, stored_shapes(weights), {name: tuple(t.shape) for name, t in plan.state_dict().items()})
    model = create_model_from(config)
    tensors = load_file(weights)
    check_finite(tensors, str(weights))
    model.load_state_dict(tensors)
    model.eval()
    _fingerprints[model] = (_versions(_tensors(model)), file_hash(directory / WEIGHTS))
    return model


def checkpoint_folder(source: str | Path) -> Path:
    """The directory itself if there is one; else that of the Hugging Face repository `owner/name`, downloaded once.

    Raises CheckpointError if there is neither.
    """
    return Path(source) if Path(source).is_dir() else _download(str(source))


def load_model(source: str | Path, device: str = "cpu") -> Model:
    """The model of a checkpoint on a device (see `find_device`), or an exported one (a path that ends in .onnx).

    Raises CheckpointError as `load_checkpoint` and `ExportedModel` do, DCALError for an exported model on a GPU.
    """
    place = find_device(device)
    if not is_exported(source):
        return load_checkpoint(source).to(place)
    if device not in ("auto", "cpu"):
        raise DCALError(f"{source} runs on the CPU: leave the device {device!r} away")
    return ExportedModel(source)


def create_model_from(config: ModelConfig) -> DCAL:
    """A model of `config`, with fresh weights."""
    return create_model(**{field.name: getattr(config, field.name) for field in dataclasses.fields(config)})


def read_config(directory: str | Path) -> ModelConfig:
    """The configuration in a checkpoint directory. Raises CheckpointError if it is missing or malformed."""
    path = Path(directory) / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.pop("format")
        values.pop("library_name", None)
        if version != FORMAT:
            raise CheckpointError(f"{path} has format {version}; this release reads format {FORMAT}")
        return ModelConfig.from_dict(values)
    except FileNotFoundError:
        below = Path(directory) / "checkpoint"  # where a run puts it
        hint = f"; {below} is one" if (below / CONFIG).is_file() else ""
        raise CheckpointError(f"{directory} is no checkpoint: there is no {CONFIG} in it{hint}") from None
    except CheckpointError:
        raise
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:  # DCALError is a ValueError
        raise CheckpointError(f"{path} is not a configuration of ours: {error!r}") from error


def read_metrics(directory: str | Path) -> dict[str, Any]:
    """The metrics stored with a checkpoint (empty if it has none). Raises CheckpointError for a damaged file."""
    path = Path(directory) / METRICS
    return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file beside the weights. Raises CheckpointError, naming the file, if there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): write it anew, or delete it") from error
    if not isinstance(values, dict):
        raise CheckpointError(
            f"{path} must hold a JSON object, not {type(values).__name__}: write it anew, or delete it"
        )
    return values


def _check_fit(directory: Path, found: Mapping[str, Sequence[int]], wanted: Mapping[str, Sequence[int]]) -> None:
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name}: {tuple(found[name])} in the file, {tuple(shape)} by the config"
        for name, shape in wanted.items()
        if name in found and tuple(found[name]) != tuple(shape)
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


def fingerprint(model: Model) -> str:
    """SHA-256 of the model's weights: of its `model.safetensors` as loaded, so that `sha256sum` gives the same.

    Any other model, or one that was changed or moved since, has the hash of the file that stores it without loss: in
    half precision where that loses nothing, else in float32. So a model that was loaded keeps its hash on every device
    until its weights change. An exported model has that of the checkpoint it was made from.
    """
    if isinstance(model, ExportedModel):
        return model.fingerprint
    tensors = list(_tensors(model))
    if any(tensor.is_inference() for tensor in tensors):
        return _hash(model)  # such tensors have no version by which a change could be noticed
    versions = _versions(tensors)
    known = _fingerprints.get(model)
    if known is None or known[0] != versions:
        known = _fingerprints[model] = (versions, _hash(model))
    return known[1]


def _tensors(model: DCAL) -> Iterator[torch.Tensor]:
    """All parameters and buffers, module by module: what `state_dict` walks through, in a third of its time."""
    for module in model.modules():
        yield from (tensor for tensor in module._parameters.values() if tensor is not None)
        yield from (tensor for tensor in module._buffers.values() if tensor is not None)


def _hash(model: DCAL) -> str:
    dtype = _lossless(model.state_dict().values())
    tensors = {name: _stored(tensor, dtype) for name, tensor in model.state_dict().items()}
    return hashlib.sha256(save(tensors, metadata=METADATA)).hexdigest()


def _lossless(tensors: Iterable[torch.Tensor]) -> torch.dtype:
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    for dtype in (torch.float16, torch.bfloat16):
        if all(torch.equal(tensor.to(dtype).to(tensor.dtype), tensor) for tensor in floating):
            return dtype
    return torch.float32


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(tensors: Iterable[torch.Tensor]) -> tuple[tuple[int, int], ...]:
    """Changes whenever a tensor is written to or replaced (but not when written to through `.data`: don't)."""
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)

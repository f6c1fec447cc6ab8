"""What a run needs to continue: written whole or not at all, the last two kept, read with a check of every byte."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from dcal.errors import DCALError
from dcal.files import writing
from dcal.training.config import TrainConfig

# Fields that a resumed run may have otherwise: they change no number, or (accumulate) are judged as shards.
FREE = {
    *("data_root", "also_root", "out", "workers", "device", "accumulate", "resume"),
    *("log_every", "save_every", "eval_every", "wandb", "trackio", "check_images"),
}

# Fields that states of earlier releases lack, and what held then.
ADDED = {
    **{"num_sa_layers": None, "num_glca_layers": 1, "num_pwca_layers": None},
    **{"use_uncertainty_weighting": True, "triplet_margin": None},
}

LAST, PREVIOUS = "last.pt", "previous.pt"
SLACK = 1.05  # a file's size over that of its tensors, at most
SAVED = "What was saved before is whole: make room or give write permission, and continue with --resume"


class DamagedState(DCALError):
    """A file that was cut short or changed after it was written."""


def comparable(config: TrainConfig, shards: int) -> dict[str, Any]:
    """What decides a run's numbers, as plain values; a resumed run must have the same.

    The number of shards counts, not how many processes share them.
    """
    values = {**dataclasses.asdict(config), "pretrained": Path(str(config.pretrained)).name, "shards": shards}
    values |= dict(zip(("img_size", "img_width"), config.size, strict=True))  # however it was given
    return {name: value for name, value in values.items() if name not in FREE}


def save_state(state: dict[str, Any], out: Path) -> None:
    """Make `state` the folder's last.pt and what was last.pt its previous.pt. Killed at any moment, one is whole.

    Where a third state has no room beside these two, previous.pt makes way: twice a state's size is enough.
    """
    needed = state_bytes(state)
    if (out / LAST).exists() and shutil.disk_usage(out).free < SLACK * needed:
        (out / PREVIOUS).unlink(missing_ok=True)
    beside = write(state, out / "last.tmp", needed)
    if (out / LAST).exists():
        (out / LAST).replace(out / PREVIOUS)
    beside.replace(out / LAST)


def save_best(state: dict[str, Any], out: Path) -> None:
    write(state, out / "best.tmp", state_bytes(state)).replace(out / "best.pt")


def write(state: dict[str, Any], path: Path, needed: int) -> Path:
    """Write a file of about `needed` bytes; one that could not be written whole is removed, as it may fill the disk.

    Raises DCALError, saying how much room is needed, where there is too little, or no permission.
    """
    with writing(path.parent, needed, SAVED):
        try:
            with path.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def state_bytes(value: Any) -> int:
    """Bytes of all tensors in nested dictionaries and lists, which are nearly all of a state's file."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(state_bytes, value.values()))
    return sum(map(state_bytes, value)) if isinstance(value, list | tuple) else 0


def load_newest(out: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The newest whole state of a run's folder; None if none was saved yet.

    A damaged last.pt is reported on the standard output and set aside as damaged.pt (it must not become the previous
    one), and previous.pt is taken: the steps between are done again, to the same numbers. Raises DCALError if that is
    damaged too, and if the run had other settings, naming them.
    """
    last, previous = out / LAST, out / PREVIOUS
    if last.exists():
        try:
            return load_state(last, settings)
        except DamagedState as error:
            if not previous.exists():
                raise
            print(f"{error} Trying {PREVIOUS}", flush=True)
            state = load_state(previous, settings)
            last.replace(out / "damaged.pt")
            return state
    return load_state(previous, settings) if previous.exists() else None  # killed between two renames, or new


def load_state(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """A state as it was saved. Raises DamagedState if it is not whole, DCALError if the run there had other settings.

    The latter names those that differ. More epochs are the same run, extended.
    """
    if problem := damage_of(path):
        raise DamagedState(f"{path} is damaged: {problem}. It cannot be continued from.")
    try:
        state = checked_state(torch.load(path, map_location="cpu", weights_only=True), path)
    except (
        RuntimeError,
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        if isinstance(error, DCALError):
            raise
        raise DamagedState(f"{path} is damaged: it is no run's state. It cannot be continued from.") from error
    theirs = state["config"]
    if theirs.get("img_width", 0) is None:  # as it was stored before two numbers could be given
        theirs["img_width"] = theirs["img_size"]
    theirs = {**ADDED, **theirs}
    differing = [
        f"{name} was {theirs.get(name)!r}, now {value!r}"
        for name, value in settings.items()
        if (name not in theirs or theirs[name] != value) and not (name == "epochs" and theirs.get(name, value) < value)
    ]
    if differing:
        raise DCALError(f"{path} belongs to another run: {'; '.join(differing)}. Use its settings, or another --out")
    return state


# What load_state's caller reads of a state, beside what learns.
FIELDS: dict[str, tuple[type, ...]] = {
    **{"step": (int,), "seconds": (int, float), "best": (int, float), "config": (dict,)},
    **{"model": (dict,), "loss": (dict,), "optimizer": (dict,)},
}


def checked_state(state: Any, path: Path) -> dict[str, Any]:
    """`state` itself, if it has what a run's state has. Raises DamagedState, naming the field."""
    if not isinstance(state, dict):
        raise DamagedState(f"{path} is no run's state: it holds {type(state).__name__}, not a dictionary.")
    for name, kinds in FIELDS.items():
        if not isinstance(state.get(name), kinds):
            found = f"it is {type(state[name]).__name__}" if name in state else "it is missing"
            raise DamagedState(f"{path} is no run's state: {name} must be {kinds[-1].__name__}, and {found}.")
    return state


def damage_of(path: Path) -> str | None:
    """What is wrong with a state file, or None. torch.load compares no checksums: it would not see a changed byte."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return None if bad is None else f"the checksum of {bad} is wrong"
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, struct.error) as error:
        return str(error)

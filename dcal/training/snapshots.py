"""What a run needs to continue: written whole or not at all, the last two kept, read with a check of every byte."""

from __future__ import annotations

import dataclasses
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from dcal.errors import DCALError
from dcal.training.config import TrainConfig

# Fields that a resumed run may have otherwise: they change no number, or (accumulate) are judged as shards.
FREE = {
    *("data_root", "also_root", "out", "workers", "device", "accumulate", "resume"),
    *("log_every", "save_every", "eval_every", "wandb", "check_images"),
}

# Fields that states of earlier releases lack, and what held then.
ADDED = {
    **{"num_sa_layers": None, "num_glca_layers": 1, "num_pwca_layers": None},
    **{"use_uncertainty_weighting": True, "triplet_margin": None},
}

LAST, PREVIOUS = "last.pt", "previous.pt"


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
    """Make `state` the folder's last.pt and what was last.pt its previous.pt. Killed at any moment, one is whole."""
    beside = write(state, out / "last.tmp")
    if (out / LAST).exists():
        (out / LAST).replace(out / PREVIOUS)
    beside.replace(out / LAST)


def save_best(state: dict[str, Any], out: Path) -> None:
    write(state, out / "best.tmp").replace(out / "best.pt")


def write(state: dict[str, Any], path: Path) -> Path:
    """Write a file; one that could not be written whole is removed, since it may be what fills the disk."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


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
    state = torch.load(path, map_location="cpu", weights_only=True)
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


def damage_of(path: Path) -> str | None:
    """What is wrong with a state file, or None. torch.load compares no checksums: it would not see a changed byte."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return None if bad is None else f"the checksum of {bad} is wrong"
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, struct.error) as error:
        return str(error)

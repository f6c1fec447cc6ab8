"""A run's folder: who may write to it, what it already holds, and what must not be lost there."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcal.data.workers import worker_errors
from dcal.errors import DCALError
from dcal.evaluation.run import RUN
from dcal.files import writing
from dcal.locks import exclusive
from dcal.model.checkpoint import CONFIG, WEIGHTS, file_hash, read_json, read_metrics
from dcal.training.config import TrainConfig
from dcal.training.snapshots import LAST, PREVIOUS, SAVED

LOCK, METRICS, CHECKPOINT = "run.lock", "metrics.json", "checkpoint"


def prepare_out(config: TrainConfig) -> None:
    """Make the run's folder, or refuse: it must not hold another run unless that run is resumed.

    Raises DCALError then, and where no folder can be made.
    """
    out = config.folder
    if not config.resume and any((out / name).exists() for name in (LAST, PREVIOUS)):
        raise DCALError(f"{out} holds a run already: continue it with --resume, or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DCALError(f"the run cannot be written to {out}: {error.strerror}. Choose another --out") from error


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps other runs out of a folder. Raises DCALError, naming the process, if one is there.

    The lock is the system's and ends with the process, however that ends; its loader processes do not keep it.
    """
    descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    with exclusive(descriptor) as held:
        if not held:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            raise DCALError(f"{out} is used by another run ({holder}): wait for it, or choose another --out")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


@contextmanager
def run_errors(out: Path) -> Iterator[None]:
    """Turns errors of writing to a run's folder, and the death of a loader process, into one sentence.

    What was saved before is whole (see snapshots).
    """
    with writing(out, what_now=SAVED), worker_errors("What was saved before is whole: continue with --resume"):
        yield


def finished(out: Path, state: Mapping[str, Any] | None, epochs: int) -> dict[str, Any] | None:
    """The metrics of a run that has come to its end and exported its checkpoint; None for any other.

    Raises CheckpointError if its metrics.json is damaged.
    """
    written = (out / CHECKPOINT / WEIGHTS).is_file() and (out / METRICS).is_file()
    if state is None or "steps" not in state or not written:
        return None
    metrics = read_json(out / METRICS)
    return metrics if state["step"] == epochs * state["steps"] and metrics.get("epochs") == epochs else None


def write_run(out: Path, config: TrainConfig, command: str) -> None:
    """run.json: what `dcal eval` needs to know of the run, on this machine; it is no part of the checkpoint."""
    root = str(config.root.resolve())
    write_json({"task": config.task, "dataset": config.dataset, "data_root": root, "command": command}, out / RUN)


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def set_aside(checkpoint: Path, fingerprint: str) -> bool:
    """Make way for a checkpoint with these weights, without losing one with others. Whether there is a place to save.

    The same weights are there already: they stay, with what was measured of them. Others, of an earlier end of this
    run, are renamed, with their evaluation and gallery, to checkpoint-epoch<n>.
    """
    if not (checkpoint / CONFIG).is_file() or not (checkpoint / WEIGHTS).is_file():
        return True
    if file_hash(checkpoint / WEIGHTS) == fingerprint:
        return False
    named = checkpoint.with_name(f"{checkpoint.name}-epoch{read_metrics(checkpoint).get('epoch', '')}")
    number, place = 1, named
    while place.exists():
        number, place = number + 1, named.with_name(f"{named.name}-{number}")
    checkpoint.rename(place)
    print(f"the checkpoint of an earlier end of this run is kept as {place}", flush=True)
    return True

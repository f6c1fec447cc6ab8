"""A disk that is full in the middle of a run: a small tmpfs, where one may be mounted."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcal import DCALError
from dcal.training.snapshots import state_bytes
from dcal.training.train import train
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_run import state_in, tiny_run
from tests.stress.figures import Figure, none_of
from tests.stress.kills import weights


def full_disk(short: bool, folder: Path) -> list[Figure]:
    """A run on a disk of several sizes; once there is room, it goes on and ends as one that always had room."""
    write_cub(folder / "cub", train=14, test=3)
    config = tiny_run(folder / "cub", folder / "straight", epochs=1, batch_size=6, save_every=2, ablation="sa_only")
    train(config)
    size, expected, told, wrong = state_bytes(state_in(config.folder)), weights(config), [], 0
    shares = (1.5, 2.2) if short else (0.5, 0.9, 1.2, 1.5, 1.9, 2.2, 2.5)
    for share in shares:
        place = folder / f"disk-{share}"
        place.mkdir()
        try:
            with mounted(place, int(share * size)):
                run = dataclasses.replace(config, out=place / "run")
                try:
                    train(run)
                except DCALError as error:
                    told.append(str(error))
                mount("-o", f"remount,size={20 * size}", str(place))
                train(dataclasses.replace(run, resume=True))
                wrong += weights(run) != expected
        except PermissionError:
            return [Figure("disk full in the middle of a run", "skipped: no tmpfs may be mounted here")]
    silent = sum("cannot be written to" not in said or "MB" not in said for said in told)
    return [
        Figure(f"runs on disks of {', '.join(map(str, shares))} states: stopped", f"{len(told)} of {len(shares)}"),
        none_of("of them: without the room that is needed in the message", silent),
        none_of("of them: other weights once there was room", wrong),
    ]


@contextmanager
def mounted(place: Path, size: int) -> Iterator[None]:
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def mount(*words: str) -> None:
    """Raises PermissionError where nothing may be mounted."""
    if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
        raise PermissionError("mount")

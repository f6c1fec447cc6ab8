"""SIGKILL at random moments and in every write, of training runs and gallery builds: the end is the same to the bit."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pathlib
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dcal.gallery.build import build_folder
from dcal.gallery.sources import folder_images
from dcal.training.config import TrainConfig
from dcal.training.train import train
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_gallery import tiny_model, write_sightings
from tests.fixtures.tiny_run import tiny_run
from tests.stress.figures import Figure, none_of

FORK = multiprocessing.get_context("fork")
MOMENTS = 20
WRITES = ("replace", "fsync", "save")  # what every file of ours goes through


def kills(short: bool, folder: Path) -> list[Figure]:
    """Work in forked processes; each is begun anew with --resume until one comes to its end."""
    count = MOMENTS // 10 if short else MOMENTS
    write_cub(folder / "cub", train=14, test=3)
    config = tiny_run(folder / "cub", folder / "straight", epochs=3, batch_size=6, save_every=2, ablation="sa_only")
    duration = timed(lambda: train(config))
    expected = weights(config)

    def run(out: Path, die: Callable[[], None] = lambda: None) -> int:
        resumed = dataclasses.replace(config, out=out, resume=True)

        def work() -> None:
            die()
            train(resumed)

        return forked(work)

    wrong = 0
    chance, killed, number = random.Random(0), 0, 0
    while killed < count:
        out, number = folder / f"moments-{number}", number + 1
        while (status := run(out, dying_after(chance.uniform(0, duration)))) == -signal.SIGKILL:
            killed += 1
        wrong += status != 0 or weights(dataclasses.replace(config, out=out)) != expected
    moments = killed
    place = 0
    while True:
        place += 1
        out = folder / f"write-{place}"
        if run(out, dying_at_write(place)) != -signal.SIGKILL or (short and place > 3):
            break
        wrong += run(out) != 0 or weights(dataclasses.replace(config, out=out)) != expected
    return [
        Figure("training runs killed at random moments, in writes", f"{moments}, {place - 1}"),
        none_of("of them: ended with other weights than a run that was never killed", wrong),
        *builds(count, folder, chance),
    ]


def builds(count: int, folder: Path, chance: random.Random) -> list[Figure]:
    model, images = tiny_model(), folder_images(write_sightings(folder / "images", 120))

    def build(out: Path) -> None:
        build_folder(model, images, out, "tiny", batch_size=2, workers=0)

    def dying_build(die: Callable[[], None], out: Path) -> None:
        die()
        build(out)

    duration = timed(lambda: build(folder / "gallery"))
    expected, killed, wrong, number = contents(folder / "gallery"), 0, 0, 0
    while killed < count:
        out, number = folder / f"gallery-{number}", number + 1
        while True:
            die = dying_after(chance.uniform(0, duration))
            if forked(partial(dying_build, die, out)) != -signal.SIGKILL:
                break
            killed += 1
        wrong += contents(out) != expected
    return [
        Figure("gallery builds killed at random moments", f"{killed}"),
        none_of("of them: ended with other bytes than a build that was never killed", wrong),
    ]


def forked(work: Callable[[], Any]) -> int:
    """The exit code of a process that does `work`; negative: the signal that ended it."""
    process = FORK.Process(target=quiet, args=(work,))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def quiet(work: Callable[[], Any]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    work()


def dying_after(seconds: float) -> Callable[[], None]:
    """Called in a process, it has that process killed so many seconds later."""

    def arm() -> None:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))

    return arm


def dying_at_write(number: int) -> Callable[[], None]:
    """Called in a process, it has that process killed at so many calls of replace, fsync or torch.save, before it."""

    def arm() -> None:
        left = [number]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*args: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)

            return counting

        os.replace, os.fsync = counted(os.replace), counted(os.fsync)
        pathlib.Path.replace = counted(pathlib.Path.replace)  # type: ignore[method-assign]
        torch.save = counted(torch.save)

    return arm


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def weights(config: TrainConfig) -> bytes:
    path = config.folder / "checkpoint" / "model.safetensors"
    return path.read_bytes() if path.is_file() else b""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}

"""A full disk is one sentence that says how much is needed; what was there before is whole, no half file is left."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dcal
from dcal.evaluation.run import keep
from dcal.files import STALE, not_written, writing
from dcal.gallery.build import build_folder
from dcal.gallery.sources import folder_images
from dcal.training.snapshots import LAST, PREVIOUS, load_state, save_state
from tests.fixtures.full_disk import full_disk
from tests.fixtures.hostile_images import encoded, frame


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    torch.manual_seed(0)
    return dcal.create_model("test_vit", 5, ablation="sa_only", task="reid", img_size=(32, 48)).eval()


def state(step: int) -> dict:
    learning = {name: {"weight": torch.full((10_000,), float(step))} for name in ("model", "loss", "optimizer")}
    return {"step": step, "seconds": 1.0, "best": 0.0, "config": {"seed": 0}, **learning}


@pytest.fixture
def folder(model: dcal.DCAL, tmp_path: Path) -> Path:
    """Images, and one of everything that is written."""
    (tmp_path / "images").mkdir()
    for number in range(40):
        (tmp_path / "images" / f"{number}.png").write_bytes(encoded(frame(number).resize((48, 32)), "PNG"))
    for write in WRITERS.values():
        write(model, tmp_path, 1)
    return tmp_path


def write_checkpoint(model: dcal.DCAL, folder: Path, step: int) -> None:
    dcal.save(model, folder / "checkpoint", metrics={"step": step})


def write_record(model: dcal.DCAL, folder: Path, step: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    dcal.inspect(model, noise).to_npz(folder / "record.npz")


def write_gallery(model: dcal.DCAL, folder: Path, step: int) -> None:
    build_folder(model, folder_images(folder / "images"), folder / "gallery", "name", workers=0, batch_size=8)


def write_state(model: dcal.DCAL, folder: Path, step: int) -> None:
    (folder / "run").mkdir(exist_ok=True)
    save_state(state(step), folder / "run")


WRITERS: dict[str, Callable[[dcal.DCAL, Path, int], None]] = {
    "checkpoint": write_checkpoint,
    "record": write_record,
    "gallery": write_gallery,
    "run": write_state,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_sentence_and_changes_nothing(model: dcal.DCAL, folder: Path, name: str) -> None:
    before = contents(folder)
    with (
        full_disk(),
        pytest.raises(dcal.DCALError, match=r"File too large.*It takes [\d.]+ MB, and [\d,.]+ MB are free"),
    ):
        WRITERS[name](model, folder, 2)
    after = contents(folder)
    building = {path for path in after if path.startswith(".gallery-building/")}
    assert {path: data for path, data in after.items() if path not in building} == before
    assert not any(path.endswith(".tmp") for path in building)


def test_a_build_goes_on_where_the_disk_was_full(model: dcal.DCAL, folder: Path) -> None:
    whole = contents(folder / "gallery")
    with full_disk(), pytest.raises(dcal.DCALError, match="The same command goes on where this one stopped"):
        write_gallery(model, folder, 2)
    write_gallery(model, folder, 2)
    assert contents(folder / "gallery") == whole and not (folder / ".gallery-building").exists()


def test_an_evaluation_that_cannot_be_kept_says_so_and_the_figures_come_back(tmp_path: Path) -> None:
    assert keep({"top1": 0.5}, tmp_path, "evaluation.json").startswith("written:")
    before = contents(tmp_path)
    with full_disk(1000):
        said = keep({"figures": list(range(1000))}, tmp_path, "evaluation.json")
    assert said.startswith(
        f"evaluation.json was not written: {tmp_path} cannot be written to: File too large. It takes"
    )
    assert said.endswith("Choose a folder with --out") and contents(tmp_path) == before


def test_a_read_only_place_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(dcal.DCALError, match=r"cannot be written to: Read-only file system\. It takes 3\.0 MB, and"),
        writing(tmp_path, 3_000_000),
    ):
        raise OSError(30, "Read-only file system")


def test_errors_of_something_else_keep_their_own_words(tmp_path: Path) -> None:
    """Of a place elsewhere, though it is full; of an image that vanished beside a gallery; of a lost connection."""
    (tmp_path / "here").symlink_to(tmp_path)
    others = [
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/image.png"),
        OSError(errno.ENOSPC, "No space left on device", "/elsewhere/image.png"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "image.png")),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        RuntimeError("shapes differ"),
    ]

    def fail(error: Exception) -> None:
        with writing(tmp_path):
            raise error

    for error in others:
        with pytest.raises(type(error)) as raised:
            fail(error)
        assert raised.value is error
    ours = [
        PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x")),
        PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "here" / "x")),
        OSError(errno.ENOSPC, "No space left on device"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "removed" / "last.tmp")),
    ]
    for error in ours:
        assert not_written(error, tmp_path) == error.strerror


def test_a_file_that_may_not_be_read_is_no_place_that_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "image.png"
    image.touch()
    error = PermissionError(errno.EACCES, "Permission denied", str(image))
    assert not_written(error, tmp_path) == "Permission denied"  # it may be read, so it was to be written
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # who runs the tests may be allowed everything
    assert not_written(error, tmp_path) is None


def test_where_there_is_no_room_for_three_states_two_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        save_state(state(step), tmp_path)
    assert load_state(tmp_path / PREVIOUS, {})["step"] == 1
    there: list[set[str]] = []
    save = torch.save

    def looked(*args: Any) -> None:
        there.append({path.name for path in tmp_path.iterdir()})
        save(*args)

    monkeypatch.setattr(torch, "save", looked)
    save_state(state(3), tmp_path)
    assert there.pop() == {LAST, PREVIOUS, "last.tmp"}  # with room, both stay until the third is whole
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**9, 10**9 - 100_000, 100_000))
    save_state(state(4), tmp_path)
    assert there.pop() == {LAST, "last.tmp"}
    assert [load_state(tmp_path / name, {})["step"] for name in (LAST, PREVIOUS)] == [4, 3]
    with (
        full_disk(),
        pytest.raises(dcal.DCALError, match=r"It takes 0\.1 MB, and 0\.1 MB are free\. What was saved before"),
    ):
        save_state(state(5), tmp_path)
    assert load_state(tmp_path / LAST, {})["step"] == 4


def test_what_killed_processes_left_is_removed_by_the_next(model: dcal.DCAL, tmp_path: Path) -> None:
    old, new, future = time.time() - 2 * STALE, time.time(), time.time() + 2 * STALE
    for name, age in ((".checkpoint-abcdefgh", old), (".checkpoint-ijklmnop", new), (".checkpoint-building", new)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (age, age))
    for name, age in ((".record.npz-abcdefgh", old), (".record.npz-ijklmnop", new), (".other.npz-abcdefgh", old)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    (tmp_path / ".record.npz-futureab").touch()  # of before the clock went back
    os.utime(tmp_path / ".record.npz-futureab", (future, future))
    for name in ("checkpoint", "record"):
        WRITERS[name](model, tmp_path, 1)
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert left == {".checkpoint-ijklmnop", ".checkpoint-building", ".record.npz-ijklmnop", ".other.npz-abcdefgh"}

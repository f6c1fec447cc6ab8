"""That a run which was killed ends with the same numbers as one which was not, and what happens to damaged files."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import get_worker_info

from dcal.data.samples import ImageSamples
from dcal.errors import CheckpointError, DCALError, Interrupted
from dcal.training.config import TrainConfig
from dcal.training.contents import check_contents, difference
from dcal.training.folder import locked
from dcal.training.logger import kept_lines
from dcal.training.snapshots import DamagedState, comparable, load_newest, load_state, save_state
from dcal.training.train import train
from tests.fixtures.damage import DAMAGES, damage
from tests.fixtures.forked import forked, fresh
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_run import assert_same, log_of, state_in, tiny_run, words


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of three epochs of seven steps."""
    write_cub(tmp_path, train=14, test=3)
    return lambda name="run", **changes: tiny_run(tmp_path, tmp_path / name, **{"batch_size": 6, **changes})


# A process that sends itself SIGKILL: when it has written the log's line of step 5; or while it saves the state of step
# 18, when last.pt has become previous.pt and nothing is last.pt.
DYING = """
import os, pathlib, signal, sys
import dcal_explorer.cli.main, dcal.training.logger, dcal.training.train
moment, words = sys.argv[1], sys.argv[2:]
write, replace, save = dcal.training.logger.RunLogger.write, pathlib.Path.replace, dcal.training.train.save_state
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def dying_write(journal, line):
    write(journal, line)
    if line["step"] == 5:
        die()
def dying_replace(path, target):
    if target.name == "last.pt":
        die()
    return replace(path, target)
def dying_save(state, out):
    if state["step"] == 18:
        pathlib.Path.replace = dying_replace
    save(state, out)
if moment == "logging":
    dcal.training.logger.RunLogger.write = dying_write
else:
    dcal.training.train.save_state = dying_save
sys.exit(dcal_explorer.cli.main.main(["train", *words]))
"""


CHANGED = ("drop_path", "batch_size", "save_every", "ema", "accumulate")


Start = Callable[..., subprocess.CompletedProcess[str]]


def kill(run: TrainConfig, moment: str, changed: Sequence[str] = CHANGED, start: Start = forked) -> None:
    """Run in a process of its own (with a worker) that dies at that moment."""
    preset = ["--preset", "reid"] if run.task == "reid" else []  # by itself, the number of images would choose
    arguments = [*preset, *words(dataclasses.replace(run, workers=1), *changed)]
    process = start(DYING, moment, *arguments, *(["--resume"] if run.resume else []))
    assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr


def test_resuming_after_two_kills_in_the_middle_of_epochs_is_bit_identical(config: Callable[..., TrainConfig]):
    whole, killed = (config(name, drop_path=0.2, save_every=3, ema=0.9, accumulate=2) for name in ("whole", "killed"))
    again = dataclasses.replace(killed, resume=True)
    kill(killed, "logging", start=fresh)
    assert state_in(killed.out)["step"] == 3 and log_of(killed.out)[-1]["step"] == 5
    kill(again, "saving")
    assert not (killed.out / "last.pt").exists() and state_in(killed.out, "previous.pt")["step"] == 15
    train(again)
    train(whole)
    for name in ("last.pt", "previous.pt"):
        resumed, straight = state_in(killed.out, name), state_in(whole.out, name)
        assert resumed.pop("seconds") > 0 and straight.pop("seconds") > 0
        assert_same(resumed, straight)
    assert (resumed["step"], state_in(whole.out)["step"]) == (18, 21)
    logs = [log_of(run.out) for run in (killed, whole)]
    for line in logs[0] + logs[1]:
        line.pop("images_per_second", None)
        line.pop("memory_mib", None)
    assert logs[0] == logs[1]  # every step once: what the killed processes wrote after their last state is replaced
    assert [line["step"] for line in logs[0]] == [*range(1, 22), 21]
    weights = [(run.out / "checkpoint" / "model.safetensors").read_bytes() for run in (killed, whole)]
    assert weights[0] == weights[1]


def measured(out: Path) -> dict[str, bytes]:
    """What was made of a run's checkpoint later, written here: its files' contents."""
    (out / "checkpoint" / "gallery").mkdir()
    for name in ("evaluation.json", "analysis.json", "gallery/items.csv"):
        (out / "checkpoint" / name).write_text(name)
    return contents(out / "checkpoint")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_does_nothing_when_resumed(
    config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
):
    run = config(epochs=1, ablation="sa_only")
    first = train(run)
    checkpoint, before = measured(run.out), contents(run.out)
    capsys.readouterr()
    assert train(dataclasses.replace(run, resume=True)) == first
    assert "is finished (1 epochs): nothing to do. More --epochs extend it" in capsys.readouterr().out
    assert contents(run.out) == before and contents(run.out / "checkpoint") == checkpoint


def test_a_run_whose_export_was_lost_exports_again_and_keeps_what_was_measured(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    first, again = train(run), dataclasses.replace(run, resume=True)
    checkpoint = measured(run.out)
    (run.out / "metrics.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"metrics.json is damaged \(.*\): write it anew, or delete it"):
        train(again)
    (run.out / "metrics.json").unlink()
    assert {**train(again), "seconds": 0} == {**first, "seconds": 0}
    assert contents(run.out / "checkpoint") == checkpoint


def test_more_epochs_extend_a_finished_run(config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]):
    run = config(epochs=1, ablation="sa_only")
    train(run)
    checkpoint = measured(run.out)
    found = train(dataclasses.replace(run, resume=True, epochs=3))
    assert (found["epoch"], state_in(run.out)["step"]) == (3, 21)
    assert [line["step"] for line in log_of(run.out)] == [*range(1, 22), 21]
    assert contents(run.out / "checkpoint-epoch1") == checkpoint  # the earlier end, and what was measured of it
    assert set(contents(run.out / "checkpoint")) == {"config.json", "model.safetensors", "metrics.json", "README.md"}
    assert "is kept as" in capsys.readouterr().out
    with pytest.raises(DCALError, match="another run: epochs was 3, now 2"):
        train(dataclasses.replace(run, resume=True, epochs=2))


def test_two_runs_do_not_share_a_folder(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    run.out.mkdir()
    with locked(run.out), pytest.raises(DCALError, match=rf"used by another run \(process {os.getpid()} on "):
        train(run)
    train(run)  # the lock's file is still there, the lock is not


# A process that is sent a signal while it writes the log's line of step 5.
SIGNALLED = """
import os, sys
import dcal_explorer.cli.main, dcal.training.logger
number, words = int(sys.argv[1]), sys.argv[2:]
write = dcal.training.logger.RunLogger.write
def signalled_write(journal, line):
    write(journal, line)
    if line["step"] == 5:
        os.kill(os.getpid(), number)
dcal.training.logger.RunLogger.write = signalled_write
sys.exit(dcal_explorer.cli.main.main(["train", *words]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_its_step_with_its_state_saved(config: Callable[..., TrainConfig], number: int):
    whole, ended = (config(name, epochs=1, drop_path=0.2) for name in ("whole", "ended"))
    arguments = words(dataclasses.replace(ended, workers=1), "drop_path")
    process = forked(SIGNALLED, str(int(number)), *arguments)
    assert process.returncode == 128 + number, process.stderr
    told = f"dcal: interrupted at step 6 of 7; the state is saved in {ended.out}: continue with the same command"
    assert told in process.stderr and "Traceback" not in process.stderr
    train(dataclasses.replace(ended, resume=True))
    train(whole)
    ours, straight = state_in(ended.out), state_in(whole.out)
    assert ours.pop("seconds") > 0 and straight.pop("seconds") > 0
    assert_same(ours, straight)


def test_a_run_that_ends_in_an_evaluation_goes_on_with_it(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
):
    run = config(epochs=2, ablation="sa_only", val_fraction=0.2)

    def ended(what: str, done: int, total: int, note: str = "") -> None:
        if "evaluation" in what and done:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match=r"interrupted at evaluation \(val\), batches 1 of 1; the state is saved in"):
        train(run, ended)
    assert state_in(run.out)["pending"] and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    resumed = train(dataclasses.replace(run, resume=True))
    straight = train(dataclasses.replace(run, out=run.out.with_name("straight")))
    same = ("command", "seconds")
    assert {name: value for name, value in resumed.items() if name not in same} == {
        name: value for name, value in straight.items() if name not in same
    }
    assert [line["split"] for line in log_of(run.out) if "split" in line] == ["val", "val", "test"]


def test_a_changed_data_set_is_refused_with_the_difference(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    train(run)
    again = dataclasses.replace(run, resume=True, epochs=2)
    image = min(run.data_root.rglob("*.jpg"))
    kept = image.read_bytes()
    image.write_bytes(kept + b"more")
    with pytest.raises(DCALError, match=r"not the one .* began with: 1 image of another size in bytes \(train: CUB_"):
        train(again)
    image.write_bytes(kept)
    assert train(again)["epoch"] == 2


def test_the_difference_of_two_lists():
    before = [("train", "a.jpg", "10", "0"), ("train", "b.jpg", "10", "0"), ("test", "c.jpg", "10", "1")]
    now = [("train", "a.jpg", "10", "1"), ("test", "c.jpg", "11", "1"), ("test", "d.jpg", "9", "0")]
    assert difference(before, now) == (
        "1 image added (test: d.jpg); 1 image removed (train: b.jpg); 1 image of another size in bytes (test: c.jpg); "
        "1 image with another label (train: a.jpg)"
    )
    assert difference(before, [*before, before[0]]).startswith("3 images listed more or less often")


# A process that may write no file longer than 100 kB from step 5 on, which is less than a state has.
FULL = """
import resource, sys
import dcal_explorer.cli.main, dcal.training.logger
write = dcal.training.logger.RunLogger.write
def last_write(journal, line):
    write(journal, line)
    if line["step"] == 5:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
dcal.training.logger.RunLogger.write = last_write
sys.exit(dcal_explorer.cli.main.main(["train", *sys.argv[1:]]))
"""


def test_a_full_disk_is_one_sentence_and_leaves_the_last_state(config: Callable[..., TrainConfig]):
    run = config(epochs=1, save_every=3)
    process = forked(FULL, *words(run, "batch_size", "save_every"))
    assert process.returncode == 2, process.stderr
    needed = r"It takes \d\.\d MB, and [\d,.]+ MB are free\. What was saved before is whole: make room"
    told = rf"dcal: {run.out} cannot be written to: File too large\. {needed}"
    assert re.search(told, process.stderr), process.stderr
    assert "Traceback" not in process.stderr
    assert state_in(run.out)["step"] == 3 and not (run.out / "last.tmp").exists()
    assert train(dataclasses.replace(run, resume=True))["epoch"] == 1


def test_a_loader_process_that_dies_is_one_sentence_and_the_run_goes_on(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
):
    straight = train(config("straight", epochs=1, ablation="sa_only"))
    run = config(epochs=1, ablation="sa_only", workers=1, save_every=2)
    get, place = ImageSamples.__getitem__, run.out / "last.pt"

    def die_later(samples: ImageSamples, index: int) -> Any:
        if get_worker_info() is not None and place.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return get(samples, index)

    with monkeypatch.context() as patch:
        patch.setattr(ImageSamples, "__getitem__", die_later)
        with pytest.raises(DCALError, match=r"process that loads images ended \(.*\).*fewer --workers.*--resume$"):
            train(run)
    assert state_in(run.out)["step"] >= 2
    found = train(dataclasses.replace(run, resume=True, workers=0))
    same = ("command", "seconds")
    assert {name: value for name, value in found.items() if name not in same} == {
        name: value for name, value in straight.items() if name not in same
    }


def test_resuming_before_the_first_state_starts_anew(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    first = train(dataclasses.replace(run, resume=True))
    assert {**train(config("other", epochs=1, ablation="sa_only")), "command": "", "seconds": 0} == {
        **first,
        "command": "",
        "seconds": 0,
    }


def test_a_damaged_state_is_told_and_the_one_before_it_taken(
    config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
):
    run = config(epochs=2, ablation="sa_only")
    metrics, straight = train(run), state_in(run.out)
    last = run.out / "last.pt"
    whole = last.read_bytes()
    again = dataclasses.replace(run, resume=True)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]  # torch.load would not notice
    for damaged, problem in ((flipped, "the checksum of "), (whole[:-1000], "not a zip file"), (b"", "not a zip file")):
        last.write_bytes(damaged)
        capsys.readouterr()
        found = train(again)
        printed = capsys.readouterr().out
        assert f"{last} is damaged: " in printed and problem in printed and "Trying previous.pt" in printed
        assert {**found, "seconds": 0} == {**metrics, "seconds": 0}
        resumed = state_in(run.out)
        assert resumed.pop("seconds") > 0
        assert_same(resumed, {name: part for name, part in straight.items() if name != "seconds"})
    for name in ("previous.pt", "last.pt"):
        (run.out / name).write_bytes(flipped)
    with pytest.raises(DCALError, match=r"previous.pt is damaged: the checksum of .* cannot be continued from"):
        train(again)
    (run.out / "previous.pt").unlink()
    with pytest.raises(DCALError, match=r"last.pt is damaged: the checksum of"):
        train(again)


def test_a_save_that_fails_anywhere_leaves_a_whole_state(
    config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = config()
    settings = comparable(run, shards=1)
    run.out.mkdir()
    nothing_learned = {"seconds": 0.0, "best": -1.0, "model": {}, "loss": {}, "optimizer": {}}

    def save(step: int) -> None:
        save_state({**nothing_learned, "step": step, "config": settings}, run.out)

    class Died(Exception):
        pass

    def die(*_: Any) -> None:
        raise Died

    save(1)
    save(2)
    for attribute in ("torch.save", "os.fsync", "pathlib.Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(attribute, die)
            with pytest.raises(Died):
                save(3)
        assert load_newest(run.out, settings)["step"] == 2
    save(3)
    assert [state_in(run.out, name)["step"] for name in ("last.pt", "previous.pt")] == [3, 2]
    (run.out / "last.pt").unlink()  # killed between the two renames
    assert load_newest(run.out, settings)["step"] == 2
    save(3)
    assert [state_in(run.out, name)["step"] for name in ("last.pt", "previous.pt")] == [3, 2]


def test_the_log_of_a_killed_process(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    lines = '{"step": 1, "losses": {"sa": 1}}\n{"step": 2, "losses": {"sa": 1}}\n{"step": 3, "losses": {"sa": 1}'
    path.write_text(lines)
    assert [line["step"] for line in kept_lines(path, after_step=3)] == [1, 2]  # the third was cut short
    assert [line["step"] for line in kept_lines(path, after_step=1)] == [1]
    assert list(kept_lines(tmp_path / "none.jsonl", after_step=3)) == []


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"7", b"null", b'{"loss": 1}', b'{"step": "2"}', b"\xff\x00\xfe"])
def test_a_damaged_line_costs_no_other_line(tmp_path: Path, line: bytes):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n{"step": 4}\n')
    assert [line["step"] for line in kept_lines(path, after_step=3)] == [1, 2]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_list_of_the_data_is_named(tmp_path: Path, kind: str):
    rows = [("train", f"{number}.png", "100", "Owl") for number in range(20)]
    check_contents(rows, tmp_path, begun=False)
    check_contents(rows, tmp_path, begun=True)
    damage(tmp_path / "data.csv", kind)
    with pytest.raises(DCALError, match=r"data\.csv is damaged.*Delete it to go on|data set is not the one"):
        check_contents(rows, tmp_path, begun=True)
    (tmp_path / "data.csv").write_bytes(b"")
    with pytest.raises(DCALError, match=r"data\.csv is damaged: its lines must have 4 values"):
        check_contents(rows, tmp_path, begun=True)


def test_an_archive_of_something_else_is_no_state(tmp_path: Path):
    for number, names in enumerate((["thesis.tex"], ["archive/data.pkl", "archive/version"])):
        path = tmp_path / f"{number}.pt"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "nothing")
        with pytest.raises(DamagedState, match=rf"{number}\.pt is damaged: it is no run's state"):
            load_state(path, {})


def test_another_run_is_neither_overwritten_nor_continued(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    train(run)
    with pytest.raises(DCALError, match="holds a run already: continue it with --resume"):
        train(run)
    with pytest.raises(DCALError, match=r"another run: seed was 0, now 5\."):
        train(dataclasses.replace(run, resume=True, seed=5))

"""A run's log as series; a line that is being written does not disturb."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from dcal.errors import DCALError
from dcal.training.run_log import read_run_log, run_folders

LINES = [
    {"epoch": 0, "step": 10, "loss": 2.5, "losses": {"sa": 1.5, "glca": 1.0}, "distractor_shares": [0.25, 0.5]},
    {"epoch": 0, "step": 20, "loss": 2.0, "losses": {"sa": 1.25}, "distractor_shares": [0.125, 0.5]},
    {"epoch": 1, "step": 20, "split": "test", "top1": 0.75},
]


def write(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "log.jsonl").write_text(text)
    return folder


def test_series_and_evaluations(tmp_path: Path) -> None:
    log = read_run_log(write(tmp_path / "run", "".join(json.dumps(line) + "\n" for line in LINES)))
    assert log.names() == ["loss", "losses/sa", "losses/glca", "distractor_shares/00", "distractor_shares/01"]
    assert log.series("losses/sa") == ([10, 20], [1.5, 1.25])
    assert log.series("losses/glca") == ([10], [1.0])
    assert log.series("distractor_shares/00") == ([10, 20], [0.25, 0.125])
    assert [line["top1"] for line in log.evaluations] == [0.75]
    assert log.note == ""


def test_a_line_that_is_being_written_is_left_out_and_damage_is_said(tmp_path: Path) -> None:
    first, second = (json.dumps(line) for line in LINES[:2])
    growing = read_run_log(write(tmp_path / "growing", f"{first}\n{second[:30]}"))
    assert (len(growing.steps), growing.note) == (1, "")
    damaged = read_run_log(write(tmp_path / "damaged", f"{first}\n{second[:30]}\n[1]\n{second}\n"))
    assert len(damaged.steps) == 2
    assert damaged.note == "2 of 4 lines of damaged/log.jsonl cannot be read and are left out."


def test_without_a_log_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DCALError, match=r"^nowhere/log\.jsonl cannot be read \(No such file"):
        read_run_log(tmp_path / "nowhere")


def test_the_run_written_last_comes_first(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old")):
        path = write(tmp_path / name, "") / "log.jsonl"
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "empty").mkdir()
    assert run_folders(tmp_path) == ["new", "old"]


def test_a_run_dated_in_the_future_comes_last(tmp_path: Path) -> None:
    """As after a clock was set back: the run that goes on is the one to be shown first."""
    for name, ahead in (("before", 86_400), ("now", 0)):
        path = write(tmp_path / name, "") / "log.jsonl"
        os.utime(path, (time.time() + ahead, time.time() + ahead))
    assert run_folders(tmp_path) == ["now", "before"]

"""The figures of a run: what TensorBoard shows is what log.jsonl says, and wandb only when asked for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dcal.errors import DCALError
from dcal.training.logger import RunLogger, flat
from tests.fixtures.tiny_run import log_of, tiny_run


def test_the_board_shows_the_log_also_after_a_resumed_run(tmp_path: Path):
    config = tiny_run(tmp_path, tmp_path)
    first = RunLogger(config, after_step=0)
    for step in (1, 2, 3, 4):
        first.write(
            {"epoch": 0, "step": step, "loss": step / 2, "losses": {"sa": 0.1 * step, "glca": 0.2}, "shares": [step, 7]}
        )
    resumed = RunLogger(config, after_step=2)  # the first was killed and never closed
    resumed.write({"epoch": 0, "step": 3, "loss": 9.0, "losses": {"sa": 0.5}})
    resumed.write({"epoch": 0, "step": 3, "split": "val", "top1": 0.75, "n": 4})
    resumed.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    shown = {name: [(event.step, event.value) for event in board.Scalars(name)] for name in board.Tags()["scalars"]}
    assert shown == {
        "loss": [(1, 0.5), (2, 1.0), (3, 9.0)],
        "losses/sa": [(1, pytest.approx(0.1)), (2, pytest.approx(0.2)), (3, 0.5)],
        "losses/glca": [(1, pytest.approx(0.2)), (2, pytest.approx(0.2))],
        "shares/00": [(1, 1.0), (2, 2.0)],
        "shares/01": [(1, 7.0), (2, 7.0)],
        "val/top1": [(3, 0.75)],
        "val/n": [(3, 4.0)],
    }
    assert [line["step"] for line in log_of(tmp_path)] == [1, 2, 3, 3]
    first.close()


def test_names_of_numbers():
    line = {"epoch": 1, "step": 5, "split": "test", "top1": 0.5, "exported": True, "deep": {"er": {"est": 2}}}
    assert dict(flat(line)) == {"epoch": 1, "step": 5, "test/top1": 0.5, "test/deep/er/est": 2}


def test_wandb_that_is_not_installed_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(DCALError, match="wandb is requested but not installed: pip install wandb"):
        RunLogger(tiny_run(tmp_path, tmp_path, wandb="birds"), after_step=0)

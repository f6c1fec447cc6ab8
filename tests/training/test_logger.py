"""The figures of a run: what TensorBoard shows is what log.jsonl says, and wandb only when asked for."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from dcal.errors import DCALError
from dcal.training.epoch_maps import drawings
from dcal.training.logger import RunLogger, flat
from tests.fixtures.tiny_run import log_of, tiny_run


def test_the_board_shows_the_log_also_after_a_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Of one second, the files of one process are numbered, and read by name: its tenth would come before its ninth.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
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


def test_the_board_holds_the_maps_of_every_epoch(tmp_path: Path):
    drawn = np.random.default_rng(5).integers(0, 256, (2, 24, 40, 3), dtype=np.uint8)
    logger = RunLogger(tiny_run(tmp_path, tmp_path), after_step=0)
    epochs = {}
    for step in (3, 6):
        maps = np.random.default_rng(step).random((2, 3, 5)).astype(np.float32)
        epochs[step] = {"rollout": maps, "glca_input": 1 - maps}
        logger.show(drawn, epochs[step], step)
    logger.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert board.Tags()["images"] == [f"maps/{name}/{i}" for name in ("rollout", "glca_input") for i in range(2)]
    for name in ("rollout", "glca_input"):
        for number in range(2):
            for event in board.Images(f"maps/{name}/{number}"):
                kept = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
                assert np.array_equal(kept, drawings(drawn, epochs[event.step], name)[number])
    assert [event.step for event in board.Images("maps/rollout/0")] == [3, 6]


def test_a_tracker_gets_numbers_and_maps_with_their_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As trackio has it: the step beside the values, a run by its name, which a resumed run has again."""
    began, logged, ended = [], [], []
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: ended.append(True))

    def init(**given: object) -> SimpleNamespace:
        began.append(given)
        return run

    module = SimpleNamespace(init=init, Image=lambda pixels: pixels.shape)
    monkeypatch.setitem(sys.modules, "trackio", module)
    config = tiny_run(tmp_path, tmp_path / "run", trackio="birds")
    config.folder.mkdir()
    for after in (0, 1):
        logger = RunLogger(config, after_step=after)
        logger.write({"epoch": 0, "step": 1 + after, "loss": 0.5})
        logger.show(np.zeros((1, 8, 8, 3), np.uint8), {"rollout": np.ones((1, 2, 2), np.float32)}, 1 + after)
        logger.close()
    assert logged == [(s, v) for s in (1, 2) for v in ({"epoch": 0, "loss": 0.5}, {"maps/rollout/0": (8, 8, 3)})]
    assert began[0]["project"] == "birds" and began[0]["name"] == began[1]["name"] and began[1]["resume"] == "allow"
    assert len(ended) == 2


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

"""What a signal does to a run, and what a run prints."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from dcal.progress import reported, silent, time_left
from dcal.training.config import TrainConfig
from dcal.training.interrupts import AGAIN, Interrupts, noted_signals
from dcal.training.report import banner
from dcal_explorer.cli.progress import progress_lines


def test_the_first_signal_is_noted_and_a_later_ctrl_c_ends_at_once(capfd: pytest.CaptureFixture[str]):
    interrupts = Interrupts()
    interrupts.note(signal.SIGINT, None)
    interrupts.note(signal.SIGINT, None)  # the same one, passed on by torchrun
    assert interrupts.noted == signal.SIGINT
    assert capfd.readouterr().err.count("Ctrl-C again ends at once") == 1
    interrupts.since -= AGAIN + 1
    interrupts.note(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        interrupts.note(signal.SIGINT, None)


def test_handlers_are_put_back_and_other_threads_have_none():
    before = signal.getsignal(signal.SIGINT)
    with noted_signals() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.noted == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before
    noted: list[int] = []

    def run() -> None:
        with noted_signals() as own:
            noted.append(own.noted)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert noted == [0]


def test_what_is_reported_is_what_was_worked_on():
    calls: list[tuple[str, int, int, str]] = []

    def on_progress(what: str, done: int, total: int, note: str = "") -> None:
        calls.append((what, done, total, note))

    assert list(reported("ab", 2, "letters", on_progress)) == ["a", "b"]
    assert calls == [("letters", 0, 2, ""), ("letters", 1, 2, ""), ("letters", 2, 2, "")]
    assert list(reported("ab", 2, "letters", silent)) == ["a", "b"]


def test_lines_in_a_file_are_not_too_many(capsys: pytest.CaptureFixture[str]):
    every, seldom = progress_lines(between=0.0), progress_lines(between=60.0)
    for done in range(3):
        every("epoch 1/2", done, 1200, "sa 5.100  3 min 20 s left")
        seldom("epoch 1/2", done, 1200)
    assert capsys.readouterr().err.splitlines() == [
        f"epoch 1/2  {done}/1,200  sa 5.100  3 min 20 s left" for done in (1, 2)
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (200.0, "3 min 20 s"), (7260.0, "2 h 1 min"), (90_000.0, "1 d 1 h")],
)
def test_durations(seconds: float, text: str):
    assert time_left(seconds) == f"{text} left"


def test_the_banner():
    run = TrainConfig(data_root=Path("birds"), img_size=(64, 32), epochs=7, batch_size=9)
    shown = banner(run, 1234, 5, 137, 0, "a processor, float32")
    assert "cub: 1,234 images of 5 classes" in shown and "64 × 32 pixels" in shown
    assert "from the start: 7 epochs × 137 steps of 9 images" in shown and "a processor, float32" in shown
    assert "continues at step 300 of 7 epochs" in banner(run, 1234, 5, 137, 300, "a processor, float32")

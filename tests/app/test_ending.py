"""SIGTERM and Ctrl-C: what the demo leaves, in a process without its server."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, signal, sys, tempfile
from dcal_explorer.demo.program import ending_at_once
from dcal_explorer.demo.uploads import upload_folder

class Slow:
    def __del__(self):
        print("torn down", flush=True)

slow = Slow()  # as torch's and gradio's objects: freed when the interpreter is torn down
tempfile.tempdir = sys.argv[2]
with ending_at_once(), upload_folder() as folder:
    (folder / "image.png").write_bytes(b"x")
    atexit.register(print, "exit functions ran")
    print("ready")
    signal.raise_signal(int(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_removes_the_uploads_and_ends_without_teardown(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(int(number)), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (128 + number, "")
    assert found.stdout == "ready\nexit functions ran\n"
    assert not list(tmp_path.iterdir())

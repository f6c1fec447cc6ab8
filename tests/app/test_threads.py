"""How torch's idle threads wait: decided by the programs before they import torch, never by importing dcal."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tomllib
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from dcal_explorer import threads

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {  # what starts each of them, given its arguments
    "dcal": "import dcal_explorer.cli.program; dcal_explorer.cli.program.main()",
    "demo": "import runpy; runpy.run_module('dcal_explorer.demo', run_name='__main__')",
    # its pages import torch when they are opened
    "dashboard": "import dcal_explorer.dashboard.main as dashboard; dashboard.main(); import torch",
}
INSPECT = ["inspect", "image.jpg", "--checkpoint", "tiny", "--out", "maps"]  # a command that needs torch
# Says what the variable is when torch is looked for, and stops there.
WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("policy:", os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
"""


def policy(program: str, arguments: list[str], **environment: str) -> str:
    """The variable's value when `program`, Python code, imports torch in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run(
        [sys.executable, "-c", WATCH + program, *arguments],
        cwd=ROOT,
        env={**clean, **environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'app'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = [line.removeprefix("policy: ") for line in run.stdout.splitlines() if line.startswith("policy: ")]
    assert len(found) == 1, run.stdout + run.stderr
    return found[0]


@pytest.mark.parametrize(
    ("name", "arguments"), [("dcal", INSPECT), ("demo", ["--no-browser"]), ("dashboard", [])], ids=list(PROGRAMS)
)
def test_programs_let_idle_threads_sleep(name: str, arguments: list[str]) -> None:
    assert policy(PROGRAMS[name], arguments) == "PASSIVE"


def test_a_choice_of_the_user_stands() -> None:
    assert policy(PROGRAMS["dcal"], INSPECT, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_importing_dcal_chooses_nothing() -> None:
    assert policy("import dcal; dcal.DCAL", []) == "None"


def test_the_shell_starts_the_program_that_chooses() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"dcal": "dcal_explorer.cli.program:main"}


KEPT = """
import resource, sys
import numpy as np
from dcal_explorer.threads import give_back_memory
def resident(): return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 2**20
del (first := [np.ones(2**20)])[0]  # 8 MB: from here on the C library keeps what is smaller in its pools
before, large, small = resident(), [], []
for _ in range(60):
    large.append(np.ones(3 * 2**17)), small.append(bytes(2**16))  # 3 MB, and what stays behind it
large.clear()
kept = resident() - before
give_back_memory()
print(kept, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is the GNU C library's")
def test_memory_goes_back_to_the_system_whatever_stays_behind_it() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'app'}"}
    kept, left = map(int, subprocess.check_output([sys.executable, "-c", KEPT], env=environment).split())
    assert left < 30 < 100 < kept  # MiB that a process has more after 180 MiB were taken and let go of


@pytest.mark.parametrize(
    ("work", "always"), [("give_back_memory", "give_back_always"), ("collect_garbage", "collect_always")]
)
def test_an_idle_program_does_not_go_through_its_memory(
    work: str, always: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    now = [1.0]
    monkeypatch.setattr(threads, work, lambda: given.append(now[0]))
    monkeypatch.setattr("dcal_explorer.threads.time.process_time", lambda: now[0])

    class Ended(Exception):
        """Ends the thread's work."""

    def sleep(seconds: float) -> None:
        if not waits:
            raise Ended
        now[0] += waits.pop(0)

    waits = [0.0, 0.0, 0.1, 0.1, 0.1, 0.0, 3.0]  # processor time used while it slept
    monkeypatch.setattr("dcal_explorer.threads.time.sleep", sleep)
    monkeypatch.setattr("dcal_explorer.threads.threading.Thread", lambda target, **_: Direct(target))
    with pytest.raises(Ended):
        getattr(threads, always)()
    assert given == pytest.approx([1.0, 1.3, 4.3])


def test_garbage_is_collected_in_whatever_generation_it_is() -> None:
    class Ring:
        """Refers to itself, so that only a collection lets it go."""

        def __init__(self) -> None:
            self.own = self

    ring = Ring()
    gc.collect()  # it is old now
    gone = weakref.ref(ring)
    del ring
    threads.collect_garbage()
    assert gone() is None


class Direct:
    """A thread that does its work where it is started."""

    def __init__(self, target: Callable[[], None]) -> None:
        self.start = target

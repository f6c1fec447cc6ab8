"""That torch.compile changes no number; in a process of its own, where no hook checks shapes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dcal.training.train import train
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_run import log_of, state_in, tiny_run, words

ROOT = Path(__file__).resolve().parents[2]

# `dcal train` with the graphs that torch.compile finds, run by PyTorch as they are: what it makes of them is its own
# matter, and takes a compiler and a minute. The last line printed is how many graphs there were.
GRAPHS = """
import functools, sys
import torch
torch.compile = functools.partial(torch.compile, backend="aot_eager")
import dcal_explorer.cli.main
status = dcal_explorer.cli.main.main(["train", *sys.argv[1:], "--compile"])
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
sys.exit(status)
"""


def test_a_compiled_run_ends_with_the_same_numbers_to_rounding(tmp_path: Path):
    write_cub(tmp_path, train=6, test=3)
    plain, compiled = (
        tiny_run(tmp_path, tmp_path / name, epochs=1, drop_path=0.0, num_sa_layers=2) for name in ("plain", "compiled")
    )
    threads = str(torch.get_num_threads())
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'app'}",
    }
    command = [sys.executable, "-c", GRAPHS, *words(compiled, "drop_path", "num_sa_layers")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) >= 4  # of both functions, while training and in the evaluation
    train(plain)
    one, other = (state_in(run.out)["model"] for run in (plain, compiled))
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=1e-3, atol=1e-4), name  # AdamW enlarges rounding
    for line, same in zip(log_of(plain.out)[:-1], log_of(compiled.out)[:-1], strict=True):
        assert line["losses"] == pytest.approx(same["losses"], rel=1e-4)

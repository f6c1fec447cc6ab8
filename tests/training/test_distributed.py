"""That several processes do what one does: two that talk over gloo, once started by torchrun."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dcal.errors import DCALError
from dcal.evaluation.classification import Evaluation
from dcal.training.config import TrainConfig
from dcal.training.distributed import Processes, device_of, process_group
from dcal.training.logger import flat
from dcal.training.train import train
from tests.fixtures.forked import ended, started
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_run import log_of, state_in, tiny_run, words

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of two epochs of three steps; fifteen images to test, so that two processes have not equally many."""
    write_cub(tmp_path, train=6, test=5)
    return lambda name="run", **changes: tiny_run(
        tmp_path, tmp_path / name, **{"epochs": 2, "batch_size": 6, "drop_path": 0.2, **changes}
    )


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes of this Python by torchrun, with as many threads each as the tests have."""
    threads = str(torch.get_num_threads())
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"},
        **{
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'app'}",
            "WANDB_MODE": "offline",
        },
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=550, check=False)


def test_two_processes_do_what_one_does_that_accumulates(config: Callable[..., TrainConfig]):
    two, one = config("two", ema=0.9), config("one", ema=0.9, accumulate=2)
    done = torchrun("-m", "dcal.train", *words(two, "drop_path", "ema"), "--wandb", "birds")
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = train(one)
    for part in ("model", "loss", "ema"):
        ours, theirs = state_in(one.out)[part], state_in(two.out)[part]
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            if name.endswith("qkv.bias"):  # softmax does not see the keys' bias: its gradient is nothing but rounding
                tensor, theirs[name] = (some.view(3, -1)[[0, 2]] for some in (tensor, theirs[name]))
            assert torch.allclose(tensor, theirs[name], rtol=1e-3, atol=2e-5), (part, name)  # a step moves by 2e-3
    logs = [log_of(one.out), log_of(two.out)]
    assert [line["step"] for line in logs[1]] == [*range(1, 7), 6]  # one process writes
    for line, other in zip(*logs, strict=True):
        for name in ("images_per_second", "memory_mib"):
            line.pop(name, None), other.pop(name, None)
        assert dict(flat(line)) == pytest.approx(dict(flat(other)), rel=1e-3)
    theirs = json.loads((two.out / "metrics.json").read_text())
    accuracies = {name: value for name, value in metrics.items() if "top" in name}
    assert metrics["n"] == theirs["n"] == 15 and accuracies == {name: theirs[name] for name in accuracies}
    assert theirs["command"].startswith("torchrun --nproc-per-node 2 -m dcal.train --dataset cub ")
    assert theirs["hardware"].startswith("2 × ") and state_in(one.out)["config"] == state_in(two.out)["config"]
    assert done.stdout.count("epoch 1/2") == 1
    (tracked,) = (two.out / "wandb").glob("offline-run-*")
    maps = [path.name for path in (tracked / "files" / "media" / "images" / "maps" / "rollout").glob("*.png")]
    assert len(maps) == 2 * 4 and not (one.out / "wandb").exists()  # of four images, after both epochs


def two_forked(code: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], ...]:
    """Two processes that run `code`, as torchrun would start them; both have ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    with contextlib.ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        places = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", **address} for rank in range(2)]
        begun = [started(code, arguments, *own) for own in zip(folders, places, strict=True)]
        return tuple(ended(process, folder) for process, folder in zip(begun, folders, strict=True))


FAILING = """
import os, sys
import dcal_explorer.cli.main, dcal.training.train
forward_backward, calls = dcal.training.train.forward_backward, []
def failing(model, loss_function, images, labels, partner, **options):
    calls.append(1)
    if os.environ["RANK"] == "1" and len(calls) == 2:
        images = images * float("nan")
    return forward_backward(model, loss_function, images, labels, partner, **options)
dcal.training.train.forward_backward = failing
sys.exit(dcal_explorer.cli.main.main(["train", *sys.argv[1:]]))
"""


def test_a_process_that_fails_ends_all_and_names_its_images(config: Callable[..., TrainConfig]):
    run = config(save_every=1)
    first, second = two_forked(FAILING, *words(run, "drop_path", "save_every"))
    assert first.returncode != 0 and second.returncode != 0
    told = [line for line in second.stderr.splitlines() if "dcal: the loss is not finite" in line]
    assert len(told) == 1 and "epoch 0, step 1" in told[0], second.stderr
    assert told[0].split("images: ")[1].count(".jpg") == 3  # its shard's, not the whole batch's
    assert "dcal: this process ends, because another one did" in first.stderr and "rank0]" not in first.stderr
    assert state_in(run.out)["step"] == 1 and not (run.out / "checkpoint").exists()


def test_evaluations_are_put_together_in_the_order_of_the_images():
    generator = np.random.default_rng(3)
    labels, fused, sa = generator.integers(0, 4, 7), generator.random((7, 4)), generator.random((7, 4))
    whole = Evaluation(labels, fused, sa, None)
    parts = [Evaluation(labels[k::3], fused[k::3], sa[k::3], None) for k in range(3)]
    joined = Evaluation.interleaved(parts)
    for name in ("labels", "fused", "sa"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name)), name
    assert joined.glca is None and Evaluation.interleaved([whole]) is whole
    with_glca = [dataclasses.replace(part, glca=part.sa) for part in parts]
    assert np.array_equal(Evaluation.interleaved(with_glca).glca, whole.sa)


def test_the_device_of_a_process(monkeypatch: pytest.MonkeyPatch):
    second = Processes(rank=1, world=2, local=1)
    assert device_of("cpu", second) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto", second) == torch.device("cpu")
    with pytest.raises(DCALError, match="torch finds no GPU here"):
        device_of("cuda", second)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("auto", second) == device_of("cuda", second) == torch.device("cuda", 1)
    assert device_of("cuda:1", Processes()) == torch.device("cuda:1")
    with pytest.raises(DCALError, match="each of 2 processes takes its own GPU"):
        device_of("cuda:0", second)
    with pytest.raises(DCALError, match="process 2 is number 3 on its machine, which has 2 GPUs"):
        device_of("auto", Processes(rank=2, world=3, local=2))


def test_more_processes_than_gpus_are_told_and_not_a_crash(monkeypatch: pytest.MonkeyPatch):
    """Choosing a GPU that is not there would end the process with CUDA's words before ours."""
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_: None)
    for local in (1, 2):
        for name, value in {"RANK": local, "WORLD_SIZE": 3, "LOCAL_RANK": local}.items():
            monkeypatch.setenv(name, str(value))
        with process_group("auto") as ranks:
            assert ranks == Processes(local, 3, local)
    assert chosen == [1]


def test_alone_there_is_nobody_to_talk_to():
    tensors = [torch.ones(2), torch.zeros(3, 1)]
    Processes().sum_in_place(tensors)
    assert tensors[0].tolist() == [1, 1] and Processes().gather("a") == ["a"] and Processes().from_first(4) == 4
    Processes().check_same("settings", {})

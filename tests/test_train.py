"""Contracts of training: what is optimized, that it learns, and that a killed run ends with the same numbers."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dcal.checkpoint import load_checkpoint, read_metrics
from dcal.config import ABLATIONS, branches
from dcal.data.cub import CUB
from dcal.data.photos import Photos
from dcal.errors import DCALError
from dcal.evaluate import Evaluation, evaluate
from dcal.loss import DCALLoss
from dcal.model import DCAL, create_model
from dcal.pairing import random_matching
from dcal.recipe import TrainConfig, epoch_seed, fgvc_preprocess, hold_out, learning_rate, parameter_groups
from dcal.train import train
from tests.tiny_cub import write_cub

ROOT = Path(__file__).resolve().parent.parent
TINY: dict[str, Any] = {
    **{"backbone": "test_vit", "pretrained": "false", "img_size": 32, "top_ratio": 0.3, "workers": 0},
    **{"epochs": 3, "batch_size": 4, "warmup_epochs": 0.5, "learning_rate": 2e-3, "log_every": 1, "device": "cpu"},
}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of three epochs of four steps on a tiny backbone and generated photos."""
    write_cub(tmp_path, train=6, test=3)
    return lambda **changes: TrainConfig(**{"data_root": tmp_path, "out": tmp_path / "run", **TINY, **changes})


def states(out: Path) -> dict[str, Any]:
    return torch.load(out / "last.pt", weights_only=True)


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Bit for bit, through dictionaries and lists."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{index}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


# --- what is optimized --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_parameter_is_in_the_optimizer_once_and_gets_a_gradient(ablation: str):
    model = create_model("test_vit", 5, ablation=ablation, img_size=32, top_ratio=0.3)
    loss = DCALLoss(branches(ablation))
    groups = parameter_groups(model, loss, 0.05)
    inside = [id(parameter) for group in groups for parameter in group["params"]]
    named = dict(model.named_parameters(prefix="model")) | dict(loss.named_parameters(prefix="loss"))
    assert sorted(inside) == sorted(id(parameter) for parameter in named.values())
    assert ("loss.weights" in named) == (ablation != "sa_only")
    out = model(torch.randn(6, 3, 32, 32), distractor=random_matching(6) if "pwca" in branches(ablation) else None)
    total, _ = loss(out, torch.tensor([0, 1, 2, 3, 4, 0]))
    total.backward()
    without = [name for name, parameter in named.items() if parameter.grad is None or not parameter.grad.any()]
    # softmax does not see a constant added to all keys of a query: the key bias has a gradient of zero, as in timm
    assert not without


def test_what_has_no_weight_decay():
    model, loss = create_model("test_vit", 5, img_size=32), DCALLoss(branches("full"))
    decayed, free = ({id(p) for p in group["params"]} for group in parameter_groups(model, loss, 0.07))
    names = {id(p): name for name, p in model.named_parameters()}
    assert id(loss.weights) in free
    assert {"backbone.pos_embed", "backbone.cls_token", "backbone.norm.weight"} <= {names.get(p) for p in free}
    assert all(names[p].endswith("weight") for p in decayed)
    assert {"backbone.patch_embed.proj.weight", "glca.block.attn.qkv.weight"} <= {names[p] for p in decayed}
    assert [group["weight_decay"] for group in parameter_groups(model, loss, 0.07)] == [0.07, 0.0]


def test_the_learning_rate_by_hand(config: Callable[..., TrainConfig]):
    run = config(epochs=10, warmup_epochs=2.0, learning_rate=0.3)
    rates = [learning_rate(run, step, 5) for step in range(50)]
    assert rates[0] == pytest.approx(0.03) and rates[4] == pytest.approx(0.15) and rates[9] == pytest.approx(0.3)
    assert max(rates) == pytest.approx(0.3) and rates.index(max(rates)) == 9
    assert rates[29] == pytest.approx(0.15 * (1 + math.cos(math.pi * 20 / 41)))
    assert 0 < rates[-1] < 0.001 and rates[9:] == sorted(rates[9:], reverse=True)
    assert config(learning_rate=None, batch_size=512).peak_rate == pytest.approx(5e-4)  # the paper's


def test_seeds_of_neighbours_differ():
    seeds = [epoch_seed(seed, epoch) for seed in range(20) for epoch in range(-1, 20)]
    assert len(set(seeds)) == len(seeds)


def test_holding_out_takes_of_every_class_and_nothing_twice(tmp_path: Path):
    records = CUB(write_cub(tmp_path, train=10), "train").records
    kept, held = hold_out(records, 0.2, seed=3)
    assert [record.label for record in held] == [0, 0, 1, 1, 2, 2]
    assert sorted(map(str, kept + held)) == sorted(map(str, records))
    assert hold_out(records, 0.2, seed=3) == (kept, held) != hold_out(records, 0.2, seed=4)
    assert hold_out(records, 0.0, seed=3) == (records, ())


def test_the_preprocessing_is_squashed_and_the_backbones(config: Callable[..., TrainConfig]):
    found = fgvc_preprocess(config(backbone="vit_tiny_patch16_224", img_size=48))
    assert (found.size, found.fit, found.crop_fraction, found.mean) == ((48, 48), "squash", 0.875, (0.5, 0.5, 0.5))


# --- that it learns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ["full", "sa_only"])
def test_it_overfits_eight_images(ablation: str):
    torch.manual_seed(0)
    model = create_model("test_vit", 8, ablation=ablation, img_size=32, top_ratio=0.5)
    loss = DCALLoss(branches(ablation))
    optimizer = torch.optim.AdamW(parameter_groups(model, loss, 0.0), lr=3e-3)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    for _ in range(60):
        partner = random_matching(8) if ablation == "full" else None
        total, parts = loss(model(images, distractor=partner), labels)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert max(parts[name].item() for name in ("sa", "glca") if name in parts) < 0.1, parts
    assert "pwca" not in parts or parts["pwca"] < 0.6 * math.log(8), parts  # half of its tokens are another image's
    found = evaluate(model, [(images, labels)])
    assert set(found.summary().values()) == {8, 1.0}
    if loss.weights is not None:
        assert (loss.weights != 0).all()  # they learn


def test_a_run_leaves_a_checkpoint_a_log_and_metrics(config: Callable[..., TrainConfig]):
    run = config(epochs=4, eval_every=2)
    metrics = train(run)
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    steps, tests = ([line for line in lines if key in line] for key in ("step", "split"))
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert all(set(line["losses"]) == set(line["loss_weights"]) == {"sa", "glca", "pwca"} for line in steps)
    assert [(line["epoch"], line["split"]) for line in tests] == [(1, "test"), (3, "test")]
    assert steps[-1]["losses"]["sa"] < steps[0]["losses"]["sa"]
    assert metrics["top1"] == 1.0  # a colour a class
    assert (metrics["n"], metrics["epoch"], metrics["chosen_by"]) == (9, 4, "last epoch")
    assert "--epochs 4" in metrics["command"] and str(run.out.parent) not in metrics["command"]
    model = load_checkpoint(run.out / "checkpoint")
    assert read_metrics(run.out / "checkpoint") == metrics == json.loads((run.out / "metrics.json").read_text())
    assert model.config.classes == CUB(run.data_root).classes
    records = CUB(run.data_root, "test").records
    again = evaluate(model, torch.utils.data.DataLoader(Photos(records, model.config.preprocess), batch_size=4))
    assert {name: metrics[name] for name in again.summary()} == again.summary()  # the figures are the checkpoint's own


def test_with_held_out_photos_the_best_epoch_is_exported(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
):
    run = config(val_fraction=0.34, ablation="sa_only")
    measured: list[dict[str, torch.Tensor]] = []

    def spy(model: DCAL, loader: Any) -> Evaluation:
        measured.append(copy.deepcopy(model.state_dict()))
        return evaluate(model, loader)

    monkeypatch.setattr(sys.modules["dcal.train"], "evaluate", spy)
    metrics = train(run)
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    accuracies = [line["top1"] for line in lines if line.get("split") == "val"]
    assert len(accuracies) == 3 and {line["n"] for line in lines if line.get("split") == "val"} == {6}
    assert metrics["chosen_by"] == "held-out training photos" and metrics["train_photos"] == 12
    assert metrics["epoch"] == accuracies.index(max(accuracies)) + 1
    best = torch.load(run.out / "best.pt", weights_only=True)
    exported = load_checkpoint(run.out / "checkpoint").state_dict()
    assert_same({name: tensor.half().float() for name, tensor in best["model"].items()}, exported)
    assert_same(measured[-1], dict(exported))  # the figures are of the weights as stored


# --- that a killed run ends with the same numbers -----------------------------------------------------------------


def test_resuming_after_a_kill_is_bit_identical(config: Callable[..., TrainConfig], tmp_path: Path):
    write_cub(tmp_path / "more", train=14)
    whole = config(data_root=tmp_path / "more", out=tmp_path / "whole", drop_path=0.2, batch_size=6)
    killed = dataclasses.replace(whole, out=tmp_path / "killed")
    arguments = [
        word
        for name in (*TINY, "drop_path", "batch_size", "data_root", "out")
        for word in ("--" + name.replace("_", "-"), str(getattr(dataclasses.replace(killed, workers=1), name)))
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with (tmp_path / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "dcal.train", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
        log, end = killed.out / "log.jsonl", time.monotonic() + 300
        while not (log.is_file() and '"epoch": 1,' in log.read_text()):
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "output.txt").read_text()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert states(killed.out)["epoch"] == 1  # it died in its second epoch
    train(dataclasses.replace(killed, resume=True))
    train(whole)
    resumed, straight = states(killed.out), states(whole.out)
    for state in (resumed, straight):
        assert state.pop("seconds") > 0
    assert_same(resumed, straight)
    logs = [[json.loads(x) for x in (run.out / "log.jsonl").read_text().splitlines()] for run in (killed, whole)]
    for line in logs[0] + logs[1]:
        line.pop("images_per_second", None)
    assert logs[0] == logs[1]  # the log has every step once, the killed epoch's are replaced
    weights = [(run.out / "checkpoint" / "model.safetensors").read_bytes() for run in (killed, whole)]
    assert weights[0] == weights[1]


def test_resuming_a_finished_run_only_measures_and_exports(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    first = train(run)
    again = train(dataclasses.replace(run, resume=True))
    assert first == again


def test_another_run_is_neither_overwritten_nor_continued(config: Callable[..., TrainConfig]):
    run = config(epochs=1, ablation="sa_only")
    train(run)
    with pytest.raises(DCALError, match="holds a run already: continue it with --resume"):
        train(run)
    with pytest.raises(DCALError, match=r"another run: seed was 0, now 5\."):
        train(dataclasses.replace(run, resume=True, seed=5))


# --- early errors -------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_the_photos(config: Callable[..., TrainConfig]):
    with pytest.raises(DCALError, match=r"not finite at epoch 0, step [12] .*photos: photo_\d.jpg, "):
        train(config(learning_rate=1e30, warmup_epochs=0.0, weight_decay=1e30))


def test_fewer_photos_than_a_batch(config: Callable[..., TrainConfig]):
    run = config(batch_size=19)
    with pytest.raises(DCALError, match="18 training photos do not fill one batch of 19"):
        train(run)
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ablation": "both"}, "unknown ablation 'both'"),
        ({"dataset": "cars"}, "unknown dataset 'cars': choose one of 'cub'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"warmup_epochs": 3.0}, r"warmup_epochs must lie in \[0, epochs = 3\), got 3.0"),
        ({"val_fraction": 1.0}, r"val_fraction must lie in \[0, 1\), got 1.0"),
        ({"workers": -1}, "workers must not be negative, got -1"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"backbone": "vit_tinny"}, "timm has no model 'vit_tinny'"),
    ],
)
def test_settings_that_cannot_work(config: Callable[..., TrainConfig], changes: dict[str, Any], message: str):
    with pytest.raises(DCALError, match=message):
        train(config(**changes))

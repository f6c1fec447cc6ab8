"""Contracts of training: what is optimized, that it learns, and what a run leaves behind."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dcal.data.fgvc.cub import CUB
from dcal.data.samples import ImageSamples
from dcal.data.splits import hold_out
from dcal.errors import DCALError
from dcal.evaluation.classification import Evaluation, evaluate
from dcal.model.ablation import ABLATIONS, branches
from dcal.model.checkpoint import load_checkpoint, read_metrics
from dcal.model.dcal import DCAL, create_model
from dcal.model.loss import DCALLoss
from dcal.model.pwca import random_matching
from dcal.training import epoch_maps
from dcal.training.config import TrainConfig
from dcal.training.optimizer import learning_rate, parameter_groups
from dcal.training.seeds import draw_seed
from dcal.training.step import Step, forward_backward
from dcal.training.task import preprocess_for
from dcal.training.train import train
from tests.fixtures.kinds import kind_model
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_run import assert_same, log_of, state_in, tiny_run


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of three epochs of four steps on a tiny backbone and generated images."""
    write_cub(tmp_path, train=6, test=3)
    return lambda **changes: tiny_run(tmp_path, tmp_path / "run", **changes)


# --- what is optimized --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [{}, {"head_rate": 5.0, "layer_decay": 0.7, "loss_weight_rate": 20.0}])
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_parameter_is_in_the_optimizer_once_and_gets_a_gradient(
    config: Callable[..., TrainConfig], ablation: str, rates: dict[str, float]
):
    run = config(**rates)
    model = create_model("test_vit", 5, ablation=ablation, img_size=32, top_ratio=0.3)
    loss = DCALLoss(branches(ablation))
    groups = parameter_groups(model, loss, run)
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


def test_what_has_no_weight_decay(config: Callable[..., TrainConfig]):
    model, loss = create_model("test_vit", 5, img_size=32), DCALLoss(branches("full"))
    groups = parameter_groups(model, loss, config(weight_decay=0.07))
    by_decay = {group["weight_decay"]: {id(p) for p in group["params"]} for group in groups}
    assert by_decay.keys() == {0.07, 0.0} and len(groups) == 2
    names = {id(p): name for name, p in model.named_parameters()}
    assert id(loss.weights) in by_decay[0.0]
    assert {"backbone.pos_embed", "backbone.cls_token", "backbone.norm.weight"} <= {names.get(p) for p in by_decay[0.0]}
    assert all(names[p].endswith("weight") for p in by_decay[0.07])
    assert {"backbone.patch_embed.proj.weight", "glca.block.attn.qkv.weight"} <= {names[p] for p in by_decay[0.07]}


@pytest.mark.parametrize("kind", ["naflex", "naflex, positions by axis", "beit, both biases", "relative"])
def test_no_learned_place_decays(config: Callable[..., TrainConfig], kind: str):
    model = kind_model(kind)
    groups = parameter_groups(model, DCALLoss(branches("full")), config(weight_decay=0.07))
    decaying = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    names = [name for name, p in model.named_parameters() if id(p) in decaying]
    assert names and not [name for name in names if "pos_embed" in name or "bias_table" in name]
    assert "pos" in "".join(name for name, _ in model.named_parameters())


def test_rates_by_hand(config: Callable[..., TrainConfig]):
    run = config(head_rate=5.0, layer_decay=0.5, loss_weight_rate=20.0)
    model, loss = create_model("test_vit", 5, img_size=32), DCALLoss(branches("full"))
    blocks = len(model.backbone.blocks)
    assert blocks > 2
    groups = parameter_groups(model, loss, run)
    rates = {id(p): group["rate"] for group in groups for p in group["params"]}
    named = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert rates[id(loss.weights)] == 20.0
    expected = {
        **{"backbone.head.weight": 5.0, "backbone.head.bias": 5.0, "glca_classifier.weight": 5.0},
        **{"backbone.norm.weight": 1.0, "glca.block.attn.qkv.weight": 1.0, "glca.block.mlp.fc1.bias": 1.0},
        **{f"backbone.blocks.{blocks - 1}.attn.qkv.weight": 1.0, f"backbone.blocks.{blocks - 2}.norm1.bias": 0.5},
        **{"backbone.blocks.0.mlp.fc2.weight": 0.5 ** (blocks - 1), "backbone.pos_embed": 0.5**blocks},
        **{"backbone.patch_embed.proj.weight": 0.5**blocks, "backbone.cls_token": 0.5**blocks},
    }
    assert {name: named[name] for name in expected} == expected
    assert set(named.values()) == {5.0, 1.0} | {0.5**power for power in range(1, blocks + 1)}


def test_a_step_moves_a_parameter_by_its_own_rate(config: Callable[..., TrainConfig]):
    """AdamW's first step is the learning rate times the gradient's sign: what moved tells each group's rate."""
    run = config(epochs=1, warmup_epochs=0.0, weight_decay=0.0, batch_size=18, drop_path=0.0, learning_rate=1e-3)
    rates: dict[str, dict[str, Any]] = {"plain": {}, "rated": {"head_rate": 3.0, "loss_weight_rate": 7.0}}
    moved = {}
    for name, changes in rates.items():
        train(dataclasses.replace(run, out=run.out / name, **changes))
        state = state_in(run.out / name)
        moved[name] = (state["loss"]["weights"], state["model"]["glca_classifier.bias"])
    assert torch.allclose(moved["rated"][0], 7 * moved["plain"][0], rtol=1e-3)
    assert torch.allclose(moved["rated"][1], 3 * moved["plain"][1], rtol=1e-3)
    assert moved["plain"][0].abs().tolist() == pytest.approx([learning_rate(run, 0, 1)] * 3, rel=1e-3)


def test_the_learning_rate_by_hand(config: Callable[..., TrainConfig]):
    run = config(epochs=10, warmup_epochs=2.0, learning_rate=0.3)
    rates = [learning_rate(run, step, 5) for step in range(50)]
    assert rates[0] == pytest.approx(0.03) and rates[4] == pytest.approx(0.15) and rates[9] == pytest.approx(0.3)
    assert max(rates) == pytest.approx(0.3) and rates.index(max(rates)) == 9
    assert rates[29] == pytest.approx(0.15 * (1 + math.cos(math.pi * 20 / 41)))
    assert learning_rate(run, 50, 5) == pytest.approx(0, abs=1e-12)  # one step after the last
    assert rates[-1] == pytest.approx(0.15 * (1 - math.cos(math.pi / 41))) and rates[9:] == sorted(rates[9:])[::-1]
    short = config(epochs=1, warmup_epochs=5.0, learning_rate=0.3)  # half of it warms up
    rates = [learning_rate(short, step, 8) for step in range(8)]
    assert rates[:4] == pytest.approx([0.075, 0.15, 0.225, 0.3]) and rates[3:] == sorted(rates[3:])[::-1]
    assert config(learning_rate=None, batch_size=512).peak_rate == pytest.approx(5e-4)  # the paper's


def test_seeds_of_neighbours_differ():
    seeds = [draw_seed(s, epoch, step) for s in range(9) for epoch in range(-1, 9) for step in range(-1, 9)]
    assert len(set(seeds)) == len(seeds)


def test_holding_out_takes_of_every_class_and_nothing_twice(tmp_path: Path):
    records = CUB(write_cub(tmp_path, train=10), "train").records
    kept, held = hold_out(records, 0.2, seed=3)
    assert [record.label for record in held] == [0, 0, 1, 1, 2, 2]
    assert sorted(map(str, kept + held)) == sorted(map(str, records))
    assert hold_out(records, 0.2, seed=3) == (kept, held) != hold_out(records, 0.2, seed=4)
    assert hold_out(records, 0.0, seed=3) == (records, ())


def test_the_preprocessing_is_squashed_and_the_backbones(config: Callable[..., TrainConfig]):
    found = preprocess_for(config(backbone="vit_tiny_patch16_224", img_size=48))
    assert (found.size, found.fit, found.crop_fraction, found.mean) == ((48, 48), "squash", 0.875, (0.5, 0.5, 0.5))


# --- that it learns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_it_overfits_eight_images(config: Callable[..., TrainConfig], ablation: str):
    torch.manual_seed(0)
    model = create_model("test_vit", 8, ablation=ablation, img_size=32, top_ratio=0.5)
    loss = DCALLoss(branches(ablation))
    optimizer = torch.optim.AdamW(parameter_groups(model, loss, config(weight_decay=0.0)), lr=3e-3)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    for _ in range(60):
        optimizer.zero_grad()
        partner = random_matching(8) if "pwca" in branches(ablation) else None
        parts = forward_backward(model, loss, images, labels, partner).losses
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
    lines = log_of(run.out)
    steps, tests = ([line for line in lines if key in line] for key in ("loss", "split"))
    assert [line["step"] for line in steps] == list(range(1, 17))
    for name in ("losses", "accuracies", "loss_weights"):
        assert all(line[name].keys() == {"sa", "glca", "pwca"} for line in steps)
    for name in ("loss", "learning_rate", "gradient_norm", "images_per_second", "memory_mib"):
        assert all(0 < line[name] < math.inf for line in steps), name
    assert {value for line in steps for value in line["accuracies"].values()} <= {0.0, 0.25, 0.5, 0.75, 1.0}  # of four
    assert steps[-1]["accuracies"]["sa"] == 1.0
    depth = len(create_model("test_vit", 3, img_size=32).backbone.blocks)
    assert all(len(line["distractor_shares"]) == depth for line in steps)
    assert all(0.2 < share < 0.8 for line in steps for share in line["distractor_shares"])  # two images, alike so far
    assert [(line["epoch"], line["step"], line["split"]) for line in tests] == [(1, 8, "test"), (3, 16, "test")]
    assert steps[-1]["losses"]["sa"] < steps[0]["losses"]["sa"]
    assert metrics["top1"] == 1.0  # a colour a class
    assert (metrics["n"], metrics["epoch"], metrics["chosen_by"]) == (9, 4, "last epoch")
    fixed = epoch_maps.read_images(run.out)
    assert epoch_maps.epochs_of(run.out) == [1, 2, 3, 4] and fixed is not None and len(fixed) == epoch_maps.COUNT
    assert "--epochs 4" in metrics["command"] and str(run.out.parent) not in metrics["command"]
    model = load_checkpoint(run.out / "checkpoint")
    assert read_metrics(run.out / "checkpoint") == metrics == json.loads((run.out / "metrics.json").read_text())
    assert model.config.classes == CUB(run.data_root).classes
    records = CUB(run.data_root, "test").records
    again = evaluate(model, torch.utils.data.DataLoader(ImageSamples(records, model.config.preprocess), batch_size=4))
    assert {name: metrics[name] for name in again.summary()} == again.summary()  # the figures are the checkpoint's own


def test_with_held_out_images_the_best_epoch_is_exported(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
):
    run = config(val_fraction=0.34, ablation="sa_only")
    measured: list[dict[str, torch.Tensor]] = []

    def spy(model: DCAL, loader: Any) -> Evaluation:
        measured.append(copy.deepcopy(model.state_dict()))
        return evaluate(model, loader)

    monkeypatch.setattr(sys.modules["dcal.training.task"], "evaluate", spy)
    metrics = train(run)
    lines = log_of(run.out)
    accuracies = [line["top1"] for line in lines if line.get("split") == "val"]
    assert len(accuracies) == 3 and {line["n"] for line in lines if line.get("split") == "val"} == {6}
    assert metrics["chosen_by"] == "held-out training images" and metrics["train_images"] == 12
    assert metrics["epoch"] == accuracies.index(max(accuracies)) + 1
    best = torch.load(run.out / "best.pt", weights_only=True)
    exported = load_checkpoint(run.out / "checkpoint").state_dict()
    assert_same({name: tensor.half().float() for name, tensor in best["model"].items()}, exported)
    assert_same(measured[-1], dict(exported))  # the figures are of the weights as stored


# --- options that change how, not what ------------------------------------------------------------------------------


def test_a_line_is_the_mean_over_its_steps(config: Callable[..., TrainConfig], tmp_path: Path):
    each = config(epochs=1, out=tmp_path / "each")
    train(each)
    train(dataclasses.replace(each, out=tmp_path / "some", log_every=3))
    steps, means = (log_of(tmp_path / name)[:-1] for name in ("each", "some"))
    assert [line["step"] for line in means] == [3, 4]
    for name in ("losses", "accuracies"):
        for branch in ("sa", "glca", "pwca"):
            mean = sum(line[name][branch] for line in steps[:3]) / 3
            assert means[0][name][branch] == pytest.approx(mean) and means[1][name] == steps[3][name]


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"channels_last": True}])
def test_the_same_numbers_to_rounding(config: Callable[..., TrainConfig], tmp_path: Path, options: dict[str, Any]):
    """Without pairs and stochastic depth, which are drawn for each shard, a batch in two parts is the batch."""
    plain = config(epochs=1, ablation="sa_glca", drop_path=0.0, out=tmp_path / "plain")
    train(plain)
    train(dataclasses.replace(plain, out=tmp_path / "other", **options))
    one, other = (state_in(tmp_path / name)["model"] for name in ("plain", "other"))
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=1e-3, atol=1e-4), name  # AdamW enlarges rounding
    assert log_of(tmp_path / "plain")[1]["loss"] == pytest.approx(log_of(tmp_path / "other")[1]["loss"], rel=1e-5)


def test_shards_are_paired_by_themselves(config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, list[int]]] = []

    def spy(model: DCAL, loss: DCALLoss, images: Tensor, labels: Tensor, partner: Tensor, **options: Any) -> Step:
        assert options["scale"] == 1 / 3
        seen.append((len(images), partner.tolist()))
        return forward_backward(model, loss, images, labels, partner, **options)

    monkeypatch.setattr(sys.modules["dcal.training.train"], "forward_backward", spy)
    train(config(epochs=1, batch_size=18, accumulate=3))
    assert [count for count, _ in seen] == [6, 6, 6]
    assert len({tuple(partner) for _, partner in seen}) > 1  # not the same matching for all
    with pytest.raises(
        DCALError, match=r"a batch of 4 cannot be split into 3 equal shards \(processes 1 × accumulate 3\)"
    ):
        train(config(accumulate=3))


def test_the_moving_average_is_what_it_says_and_is_exported(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
):
    run = config(epochs=1, ablation="sa_only", ema=0.6, save_every=1)
    saved: list[dict[str, Any]] = []
    monkeypatch.setattr(
        sys.modules["dcal.training.train"], "save_state", lambda state, out: saved.append(copy.deepcopy(state))
    )
    with pytest.raises(DCALError, match=r"last\.pt"):  # nothing was written to export from
        train(run)
    assert [state["step"] for state in saved] == [1, 2, 3, 4]
    average = saved[0]["model"]
    for index, state in enumerate(saved):
        decay = min(0.6, 1 - (1 + index) ** (-2 / 3)) if index else 0.0  # timm's warm-up: the first weights as they are
        for name, tensor in state["model"].items():
            average[name] = decay * average[name] + (1 - decay) * tensor
            assert torch.allclose(state["ema"][f"module.{name}"], average[name], atol=1e-6), (index, name)
    monkeypatch.undo()
    train(dataclasses.replace(run, resume=True))
    state, exported = state_in(run.out), load_checkpoint(run.out / "checkpoint").state_dict()
    assert_same({name: state["ema"][f"module.{name}"].half().float() for name in exported}, dict(exported))
    assert not torch.equal(state["model"]["backbone.head.weight"], state["ema"]["module.backbone.head.weight"])


# --- early errors -------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_the_images(config: Callable[..., TrainConfig]):
    with pytest.raises(DCALError, match=r"not finite: sa .*, at epoch 0, step [12]; images: image_\d.jpg, "):
        train(config(learning_rate=1e30, warmup_epochs=0.0, weight_decay=1e30))


def test_a_gradient_that_is_not_finite_names_all_images_of_its_step(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
):
    def spoil(model: DCAL, *arguments: Any, **options: Any) -> Step:
        step = forward_backward(model, *arguments, **options)
        model.backbone.norm.bias.grad[0] = math.inf
        return step

    monkeypatch.setattr(sys.modules["dcal.training.train"], "forward_backward", spoil)
    with pytest.raises(
        DCALError, match="losses are finite, but the gradient's norm is inf, at epoch 0, step 0"
    ) as told:
        train(config(accumulate=2))
    assert str(told.value).count(".jpg") == 4


def test_fewer_images_than_a_batch(config: Callable[..., TrainConfig]):
    run = config(batch_size=19)
    with pytest.raises(DCALError, match="18 training images do not fill one batch of 19"):
        train(run)
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ablation": "both"}, "unknown ablation 'both'"),
        ({"dataset": "dogs"}, "unknown dataset 'dogs': choose one of 'cub', 'cars'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"warmup_epochs": -1.0}, "warmup_epochs must be at least 0, got -1.0"),
        ({"also_root": Path("elsewhere")}, "also_root elsewhere has no effect"),
        ({"val_fraction": 1.0}, r"val_fraction must lie in \[0, 1\), got 1.0"),
        ({"layer_decay": 0.0}, "layer_decay must be greater than 0, got 0.0"),
        ({"ema": 1.0}, r"ema must lie in \[0, 1\), got 1.0"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"save_every": -1}, "save_every must be at least 0, got -1"),
        ({"workers": -1}, "workers must be at least 0, got -1"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"backbone": "vit_tinny"}, "timm has no model 'vit_tinny'"),
    ],
)
def test_settings_that_cannot_work(config: Callable[..., TrainConfig], changes: dict[str, Any], message: str):
    with pytest.raises(DCALError, match=message):
        train(config(**changes))

"""Training for re-identification: PK batches, both losses, what a run leaves behind, resuming, two processes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dcal.data import REID_DATASETS
from dcal.data.pk_sampler import PKSampler
from dcal.data.reid.base import training_labels
from dcal.data.samples import ReIDSamples
from dcal.data.splits import hold_out_identities
from dcal.errors import DCALError
from dcal.evaluation.reid import QueryGallery
from dcal.model.ablation import ABLATIONS, branches
from dcal.model.checkpoint import load_checkpoint, read_metrics
from dcal.model.dcal import create_model
from dcal.model.embeddings import embed
from dcal.model.loss import DCALLoss
from dcal.model.pwca import random_matching
from dcal.retrieval import evaluate_features
from dcal.training.optimizer import make_optimizer, parameter_groups
from dcal.training.presets import ReIDConfig
from dcal.training.step import forward_backward
from dcal.training.task import ReIdentification
from dcal.training.train import train
from tests.fixtures.tiny_reid import write_coloured, write_vehicles
from tests.fixtures.tiny_run import TINY, assert_same, log_of, state_in, words
from tests.training.test_distributed import two_forked
from tests.training.test_resume import kill

CHANGED = (
    "task",
    "dataset",
    "img_width",
    "instances",
    "optimizer",
    "triplet",
    "drop_path",
    "accumulate",
    "batch_size",
    "save_every",
)


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., ReIDConfig]:
    """A run of three epochs of three steps: seven identities to train on, five others to test, a colour each."""
    write_coloured(tmp_path)

    def run(name: str = "run", **changes: Any) -> ReIDConfig:
        own = {"dataset": "reid-csv", "batch_size": 8, "instances": 2, "img_width": 48, "crop_fraction": 1.0}
        return ReIDConfig(data_root=tmp_path, out=tmp_path / name, **{**TINY, **own, "optimizer": "adamw", **changes})

    return run


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_it_fits_eight_images_of_four_identities(config: Callable[..., ReIDConfig], ablation: str, optimizer: str):
    run = config(optimizer=optimizer, learning_rate={"adamw": 1e-3, "sgd": 0.05}[optimizer], epochs=3)
    model = create_model("test_vit", 4, ablation=ablation, task="reid", img_size=32, top_ratio=0.3)
    loss = DCALLoss(branches(ablation), triplet=1.0)
    chosen = make_optimizer(parameter_groups(model, loss, run), run)
    assert isinstance(chosen, {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer])
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(4).repeat_interleave(2)
    for _ in range(120):
        chosen.zero_grad()
        partner = random_matching(8) if "pwca" in branches(ablation) else None
        parts = forward_backward(model, loss, images, labels, partner).losses
        chosen.step()
    guessing = math.log(4) + math.log(2)  # the loss of one who knows nothing: cross-entropy + triplet
    assert max(parts[name].item() for name in ("sa", "glca") if name in parts) < 0.25 * guessing, parts
    found = embed(model.eval(), [images])
    cameras = [1, 2] * 4
    for values in found.branches().values():
        quality = evaluate_features(values, values, labels, labels, cameras, cameras)
        assert quality.mAP == quality.mINP == quality.cmc[0] == 1.0


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_parameter_that_learns_is_optimized_once_and_gets_a_gradient(
    config: Callable[..., ReIDConfig], ablation: str
):
    run = config(head_rate=5.0, layer_decay=0.7)
    model = create_model("test_vit", 5, ablation=ablation, task="reid", img_size=32, top_ratio=0.3)
    loss = DCALLoss(branches(ablation), triplet=1.0)
    inside = [id(parameter) for group in parameter_groups(model, loss, run) for parameter in group["params"]]
    named = dict(model.named_parameters(prefix="model")) | dict(loss.named_parameters(prefix="loss"))
    frozen = {name for name, parameter in named.items() if not parameter.requires_grad}
    assert frozen == {f"model.{b}_classifier.0.bias" for b in branches(ablation) if b != "pwca"}  # the necks' shift
    assert sorted(inside) == sorted(id(parameter) for name, parameter in named.items() if name not in frozen)
    out = model(torch.randn(6, 3, 32, 32), random_matching(6) if "pwca" in branches(ablation) else None)
    loss(out, torch.tensor([0, 0, 2, 2, 4, 4]))[0].backward()
    for name, parameter in named.items():
        assert name in frozen or (parameter.grad is not None and parameter.grad.abs().sum() > 0), name


def test_a_run_leaves_a_checkpoint_whose_figures_are_its_own(config: Callable[..., ReIDConfig]):
    run = config(epochs=4, eval_every=2)
    metrics = train(run)
    lines = log_of(run.out)
    steps, tests = ([line for line in lines if key in line] for key in ("loss", "split"))
    assert len(steps) % 4 == 0 and all(line["losses"].keys() == {"sa", "glca", "pwca"} for line in steps)
    assert steps[-1]["losses"]["sa"] < steps[0]["losses"]["sa"]
    assert [line["epoch"] for line in tests] == [1, 3] and all("rank1" in line for line in tests)
    model = load_checkpoint(run.out / "checkpoint")
    assert read_metrics(run.out / "checkpoint") == metrics
    assert (model.config.task, model.config.img_size, model.config.num_classes) == ("reid", (32, 48), 7)
    sides = [REID_DATASETS["reid-csv"](run.root, split).records for split in ("query", "gallery")]
    both = []
    for records in sides:  # each image by itself, the embedding of the model's own output
        images = ReIDSamples(records, model.config.preprocess)
        both.append(torch.cat([model(images[index][0][None]).embedding for index in range(len(images))]).detach())
    query, gallery = ([[getattr(r, name) for r in side] for name in ("identity", "camera")] for side in sides)
    again = evaluate_features(both[0], both[1], query[0], gallery[0], query[1], gallery[1]).summary()
    assert {name: metrics[name] for name in again} == pytest.approx(again)
    assert metrics["rank1"] == 1.0 and metrics["mAP"] > 0.9  # a colour an identity
    assert all(f"{branch}_mAP" in metrics for branch in ("sa", "glca"))
    assert "--dataset reid-csv" in metrics["command"] and str(run.out.parent) not in metrics["command"]


def test_two_data_sets_are_learned_together_and_judged_apart(config: Callable[..., ReIDConfig], tmp_path: Path):
    write_vehicles(tmp_path)
    run = config(also="vehicle2cam", also_root=tmp_path, ablation="sa_only", epochs=2)
    task = ReIdentification(run)
    first, second = (REID_DATASETS[name](root, "train").records for name, root in run.sources)
    assert task.num_classes == 7 + 3 and task.samples.records == (*first, *second)
    assert task.samples.labels == (*training_labels(first), *(7 + label for label in training_labels(second)))
    metrics = train(run)
    assert {"mAP", "vehicle2cam_mAP", "vehicle2cam_rank1"} <= metrics.keys() and metrics["vehicle2cam_queries"] == 2
    assert "vehicle2cam" in (run.out / "checkpoint" / "README.md").read_text()


def test_batches_are_the_samplers_and_their_number_is_every_epochs(config: Callable[..., ReIDConfig]):
    run = config(epochs=9)
    task = ReIdentification(run)
    sampler = PKSampler(task.samples.labels, 4, 2, run.seed)
    lengths = [len(sampler.epoch(epoch).batches) for epoch in range(9)]
    assert task.steps == min(lengths)
    for epoch in (0, 5):
        batches = task.batches(epoch, shards=2)
        assert batches.shape == (task.steps, 2, 4)
        assert batches.flatten(1).tolist() == [list(own) for own in sampler.epoch(epoch).batches[: task.steps]]
        labels = torch.tensor(task.samples.labels)[batches]
        assert (labels[..., 0] == labels[..., 1]).all() and (labels[..., 0] != labels[..., 2]).all()
    with pytest.raises(DCALError, match=r"a shard of 2 images cannot hold two identities .* twice that at least"):
        task.batches(0, shards=4)


def test_held_out_identities_choose_the_epoch(config: Callable[..., ReIDConfig]):
    run = config(val_fraction=0.4, ablation="sa_only", batch_size=4)
    records = REID_DATASETS["reid-csv"](run.root, "train").records
    kept, held = hold_out_identities(records, 0.4, run.seed)
    strangers = {record.identity for record in held}
    assert len(strangers) == 3 and strangers.isdisjoint(record.identity for record in kept)
    assert len(kept) + len(held) == len(records) and hold_out_identities(records, 0.0, 1) == (records, ())
    metrics = train(run)
    figures = [line["mAP"] for line in log_of(run.out) if line.get("split") == "val"]
    assert len(figures) == 3 and metrics["epoch"] == figures.index(max(figures)) + 1
    assert metrics["train_images"] == len(kept) and (run.out / "best.pt").is_file()


def test_later_images_choose_the_epoch(config: Callable[..., ReIDConfig], tmp_path: Path):
    header, *rows = (tmp_path / "images.csv").read_text().splitlines()
    months = ("05", "05", "06", "06")  # of each identity's four images, which two cameras take in turns
    dated = [f"{row},2026-{months[place % 4]}-01" for place, row in enumerate(rows)]
    (tmp_path / "images.csv").write_text("\n".join([header + ",date", *dated]) + "\n")
    run = config(val_fraction=0.3, val_by_date=True, ablation="sa_only", batch_size=4, epochs=1, warmup_epochs=0.5)
    task = ReIdentification(run)
    of = {record.path: record for record in REID_DATASETS["reid-csv"](run.root, "train").records}
    held, kept = ([of[r.path] for r in own] for own in (task.sides["val"][""].images, task.samples.records))
    assert len(held) == len(kept) == 14 and {r.date for r in held}.isdisjoint({r.date for r in kept})
    assert {r.identity for r in held} == {r.identity for r in kept}
    assert train(run)["chosen_by"] == "held-out training images"
    with pytest.raises(DCALError, match="val_by_date belongs to --task reid and needs val_fraction"):
        config(val_by_date=True)


def test_an_image_on_both_sides_is_embedded_once(config: Callable[..., ReIDConfig]):
    records = REID_DATASETS["reid-csv"](config().root, "gallery").records
    sides = QueryGallery(records[:4], records)
    assert sides.images == records
    values = torch.nn.functional.normalize(torch.randn(len(records), 5), dim=1).numpy()
    found = sides.judge(dataclasses.replace(embed_of(values), glca=values[:, ::-1].copy()))
    identities = [record.identity for record in records]
    cameras = [record.camera for record in records]
    direct = evaluate_features(values[:4], values, identities[:4], identities, cameras[:4], cameras)
    assert found.qualities["sa"].mAP == pytest.approx(direct.mAP) and list(found.qualities) == ["joined", "sa", "glca"]
    summary = found.summary()
    assert summary["sa_mAP"] == pytest.approx(direct.mAP) and summary["queries"] == 4
    assert [name for name in summary if "queries" in name] == ["queries"]


def embed_of(values: Any) -> Any:
    from dcal.model.embeddings import Embeddings

    return Embeddings(values, None)


def test_resuming_after_a_kill_is_bit_identical(config: Callable[..., ReIDConfig]):
    whole, killed = (config(name, drop_path=0.2, save_every=3, epochs=7) for name in ("whole", "killed"))
    kill(killed, "logging", CHANGED)
    assert state_in(killed.out)["step"] == 3
    train(dataclasses.replace(killed, resume=True))
    train(whole)
    resumed, straight = state_in(killed.out), state_in(whole.out)
    assert resumed.pop("seconds") > 0 and straight.pop("seconds") > 0
    assert_same(resumed, straight)


def test_two_processes_do_what_one_does_that_accumulates(config: Callable[..., ReIDConfig]):
    # SGD: the losses do not see the final norm's bias, and AdamW would make steps of its gradient's rounding errors
    own = {"drop_path": 0.2, "epochs": 2, "optimizer": "sgd", "learning_rate": 0.01}
    two, one = (config(name, accumulate=parts, **own) for name, parts in (("two", 1), ("one", 2)))
    code = "import sys, dcal_explorer.cli.main as cli; sys.exit(cli.main(['train', *sys.argv[1:]]))"
    for done in two_forked(code, "--preset", "reid", *words(two, *CHANGED)):
        assert done.returncode == 0, done.stdout + done.stderr
    metrics = train(one)
    ours, theirs = (state_in(run.out)["model"] for run in (one, two))
    for name, tensor in ours.items():
        if name.endswith("qkv.bias"):  # softmax does not see the keys' bias: its gradient is nothing but rounding
            tensor, theirs[name] = (some.view(3, -1)[[0, 2]] for some in (tensor, theirs[name]))
        if "running" in name or "num_batches" in name:  # each process's neck keeps its own averages; nothing reads them
            continue
        assert torch.allclose(tensor, theirs[name], rtol=1e-3, atol=5e-5), name
    found = json.loads((two.out / "metrics.json").read_text())
    assert found["queries"] == metrics["queries"] and found["mAP"] == pytest.approx(metrics["mAP"], abs=1e-4)
    assert math.isfinite(found["sa_mAP"])


def test_images_of_one_camera_are_refused_before_training_and_can_be_admitted(config: Callable[..., ReIDConfig]):
    table = config().data_root
    assert table is not None
    table = table / "images.csv"
    head, *rows = (line.split(",") for line in table.read_text().splitlines())
    table.write_text("\n".join(",".join(row) for row in [head, *([a, b, "1", d] for a, b, _, d in rows)]) + "\n")
    with pytest.raises(DCALError, match=r"has a match by another camera\. If all images are of one camera, use --one"):
        train(config("refused"))
    assert not config("refused").folder.exists()
    found = train(config("admitted", one_camera=True, epochs=1, warmup_epochs=0.0, val_fraction=0.3))
    assert found["queries"] == 5 and found["skipped"] == 0 and 0 < found["mAP"] <= 1

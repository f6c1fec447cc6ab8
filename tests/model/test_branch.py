"""A further branch from one file: it is trained, counts, is inspected, saved and loaded; and comes from a package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Literal

import numpy as np
import pytest
import torch

import dcal
from dcal import registry
from dcal.explain.pair_relevance import pair_relevance
from dcal.model.ablation import ABLATIONS, BRANCHES, known_branches
from dcal.model.embeddings import embed
from dcal.registry import Registry
from dcal.training.config import TrainConfig
from dcal.training.optimizer import parameter_groups
from dcal.training.step import forward_backward
from tests.fixtures.mean_attention import MEAN, TRAINED_ONLY
from tests.fixtures.small import CLASSES, random_images, small_model

SIZE = (32, 48)


@pytest.fixture
def mean() -> Iterator[None]:
    dcal.register_branch("mean", MEAN)
    dcal.register_branch("trained", TRAINED_ONLY)
    yield
    BRANCHES.forget("mean")
    BRANCHES.forget("trained")


@pytest.mark.usefixtures("mean")
def test_its_ablations_are_known():
    assert ABLATIONS["sa_mean"] == ("sa", "mean") and ABLATIONS["full_mean"] == ("sa", "glca", "pwca", "mean")
    assert (
        list(ABLATIONS)[:4] == ["sa_only", "sa_glca", "sa_pwca", "full"] and len(ABLATIONS) == len(list(ABLATIONS)) == 8
    )
    assert known_branches() == ("sa", "glca", "pwca", "mean", "trained")
    with pytest.raises(dcal.DCALError, match=r"'mean' is taken in dcal\.branches"):
        dcal.register_branch("mean", MEAN)


def test_without_it_its_ablations_are_unknown():
    with pytest.raises(dcal.DCALError, match="sa_mean"):
        small_model(ablation="sa_mean")
    assert "sa_mean" not in ABLATIONS and len(ABLATIONS) == 4
    with pytest.raises(KeyError):
        ABLATIONS["glca_mean"]


@pytest.mark.usefixtures("mean")
@pytest.mark.parametrize("task", ["fgvc", "reid"])
@pytest.mark.parametrize("ablation", ["sa_mean", "full_mean", "full_trained"])
def test_it_is_trained(ablation: str, task: Literal["fgvc", "reid"]):
    model = small_model(ablation=ablation, task=task).train()
    loss = dcal.DCALLoss(model.config.branches, triplet=float(task == "reid")).double()
    config = TrainConfig(task=task, dataset="yard", layer_decay=0.5)
    groups = parameter_groups(model, loss, config)
    assert sum(len(group["params"]) for group in groups) == sum(
        p.requires_grad for p in (*model.parameters(), *loss.parameters())
    )
    optimizer = torch.optim.SGD([parameter for group in groups for parameter in group["params"]], lr=1e-3)
    images, targets = random_images(4), torch.tensor([0, 0, 1, 2])
    totals = []
    for _ in range(2):
        optimizer.zero_grad()
        distractor = torch.tensor([2, 3, 0, 1]) if "pwca" in model.config.branches else None
        step = forward_backward(model, loss, images, targets, distractor)
        assert set(step.losses) == set(model.config.branches)
        assert all(p.grad is not None and p.grad.any() for p in model.more.parameters())
        assert all(p.grad is not None for p in model.more_classifiers.parameters() if p.requires_grad)
        optimizer.step()
        totals.append(step.total.item())
    assert totals[1] < totals[0]


@pytest.mark.usefixtures("mean")
def test_it_counts_in_what_the_model_answers_unless_it_is_trained_only():
    images = random_images(2)
    with torch.no_grad():
        model = small_model(ablation="full_mean")
        out = model(images)
        alone = [logits.softmax(dim=-1) for logits in (out.sa_logits, out.glca_logits, out.more["mean"].logits)]
        torch.testing.assert_close(out.probabilities, sum(alone) / 3)
        features = [out.sa_feature, out.glca_feature, out.more["mean"].feature]
        normed = [torch.nn.functional.normalize(own, dim=-1) for own in features]
        torch.testing.assert_close(out.embedding, torch.cat(normed, dim=-1))
        assert model.predicting == ("sa", "glca", "mean")
        found = embed(model, [images])
        np.testing.assert_allclose(found.joined, out.embedding, atol=1e-6)
        assert list(found.branches()) == ["joined", "sa", "glca", "mean"]
        trained = small_model(ablation="full_trained")
        assert trained.predicting == ("sa", "glca") and not trained(images).more
        assert trained.train()(images).more["trained"].predicts is False
        torch.testing.assert_close(trained.eval()(images).probabilities.sum(dim=-1), torch.ones(2, dtype=torch.float64))


@pytest.mark.usefixtures("mean")
@pytest.mark.parametrize("ablation", ["sa_mean", "full_mean", "sa_trained"])
def test_it_is_saved_loaded_and_inspected(ablation: str, tmp_path):
    model = dcal.create_model("test_vit", CLASSES, ablation=ablation, img_size=SIZE).eval()
    place = dcal.save(model, tmp_path / "it", dtype=torch.float32)
    again = dcal.load(place)
    images = random_images(2).float()
    with torch.inference_mode():
        assert torch.equal(again(images).probabilities, model(images).probabilities)
    assert "by their rollout" in (place / "README.md").read_text() or ablation == "sa_trained"
    image = (np.random.default_rng(1).random((40, 60, 3)) * 255).astype(np.uint8)
    seen = dcal.inspect(again, image)
    record = dcal.Inspection.from_npz(seen.to_npz(tmp_path / "record.npz"))
    if ablation == "sa_trained":
        assert record.more_probabilities is None
        return
    assert [name for name, _ in record.top(2, "mean")] == [name for name, _ in seen.top(2, "mean")]
    branches = [seen.sa_probabilities, *([] if ablation == "sa_mean" else [seen.glca_probabilities])]
    np.testing.assert_allclose(seen.probabilities, np.mean([*branches, seen.more_probabilities[0]], axis=0), atol=1e-6)


@pytest.mark.usefixtures("mean")
def test_a_pair_s_evidence_is_refused_where_it_would_leave_the_branch_out():
    query, match = random_images(2).split(1)
    with pytest.raises(dcal.DCALError, match="also compares by mean"):
        pair_relevance(small_model(ablation="sa_mean", task="reid"), query, match)
    assert "sa" in pair_relevance(small_model(ablation="sa_trained", task="reid"), query, match).query


def test_a_checkpoint_of_a_branch_that_is_not_there_says_so(tmp_path):
    dcal.register_branch("mean", MEAN)
    try:
        place = dcal.save(dcal.create_model("test_vit", CLASSES, ablation="sa_mean", img_size=SIZE), tmp_path / "it")
    finally:
        BRANCHES.forget("mean")
    with pytest.raises(dcal.CheckpointError, match=r"ablation.*'sa_mean'.*sa_only"):
        dcal.load(place)


def test_an_installed_package_announces_one(monkeypatch):
    """By an entry point, which is imported when the name is looked up, and named where that fails."""
    good = EntryPoint("mean", "tests.fixtures.mean_attention:MEAN", "some.group")
    bad = EntryPoint("broken", "tests.fixtures.no_such_module:IT", "some.group")
    monkeypatch.setattr(registry, "entry_points", lambda group: [good, bad] if group == "some.group" else [])
    table: Registry[object] = Registry("some.group", {"own": "tests.fixtures.mean_attention:TRAINED_ONLY"})
    assert list(table) == ["own", "mean", "broken"] and len(table) == 3 and "mean" in table
    assert table["mean"] is MEAN and table["own"] is TRAINED_ONLY
    with pytest.raises(dcal.DCALError, match=r"announces 'broken' \(tests.fixtures.no_such_module:IT\), which failed"):
        table["broken"]
    with pytest.raises(KeyError):
        table["unknown"]

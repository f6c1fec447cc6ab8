"""Accuracies against scikit-learn, on a model whose answers we dictate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from dcal.errors import DCALError
from dcal.evaluation.classification import accuracy, evaluate
from dcal.model.dcal import create_model

N, CLASSES = 57, 11


@pytest.fixture(scope="module")
def full():
    torch.manual_seed(3)
    return create_model("test_vit", CLASSES, ablation="full", img_size=32).eval()


def batches(n: int = N, size: int = 10):
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(n, 3, 32, 32, generator=generator), torch.randint(CLASSES, (n,), generator=generator)
    return list(zip(images.split(size), labels.split(size), strict=True))


@pytest.mark.parametrize("k", [1, 2, 5, CLASSES - 1])
def test_accuracy_is_scikit_learns(k: int):
    random = np.random.default_rng(k)
    probabilities, labels = random.dirichlet(np.ones(CLASSES), N), random.integers(0, CLASSES, N)
    expected = top_k_accuracy_score(labels, probabilities, k=k, labels=range(CLASSES))
    assert accuracy(probabilities, labels, k) == pytest.approx(expected, abs=1e-12)


def test_equal_probabilities_go_by_index():
    flat = np.full((3, 4), 0.25)
    assert accuracy(flat, np.array([0, 1, 2]), 1) == pytest.approx(1 / 3)
    assert accuracy(flat, np.array([0, 1, 2]), 2) == pytest.approx(2 / 3)


def test_every_branch_of_a_model(full):
    found = evaluate(full, batches())
    images, labels = (torch.cat(part) for part in zip(*batches(), strict=True))
    with torch.inference_mode():
        out = full(images)
    y = labels.numpy()
    branches = {"": out.probabilities, "sa_": out.sa_logits.softmax(-1), "glca_": out.glca_logits.softmax(-1)}
    summary = found.summary()
    assert summary["n"] == N and set(summary) == {"n"} | {f"{b}top{k}" for b in branches for k in (1, 5)}
    for name, probabilities in branches.items():
        for k in (1, 5):
            expected = top_k_accuracy_score(y, probabilities.numpy(), k=k, labels=range(CLASSES))
            assert summary[f"{name}top{k}"] == pytest.approx(expected, abs=1e-12)
    assert found.top1 == summary["top1"] and found.top5 == summary["top5"]
    np.testing.assert_array_equal(found.labels, y)
    np.testing.assert_allclose(found.fused, out.probabilities.numpy(), atol=1e-5)


def test_without_glca_fused_is_sa():
    found = evaluate(create_model("test_vit", CLASSES, ablation="sa_only", img_size=32), batches(12))
    assert found.glca is None and "glca_top1" not in found.summary()
    np.testing.assert_array_equal(found.fused, found.sa)


def test_the_models_mode_is_restored():
    model = create_model("test_vit", CLASSES, ablation="sa_only", img_size=32, drop_path=0.5)
    for training in (True, False):
        model.train(training)
        first, second = evaluate(model, batches(12)), evaluate(model, batches(12))
        np.testing.assert_array_equal(first.fused, second.fused)  # no stochastic depth while measuring
        assert model.training is training


def test_bad_input_is_told_with_numbers(full):
    with pytest.raises(DCALError, match="no batch"):
        evaluate(full, [])
    with pytest.raises(DCALError, match="Labels 0 to 4 do not fit a head of 4"):
        accuracy(np.full((2, 4), 0.25), np.array([0, 4]), 1)
    broken = np.full((3, 4), 0.25)
    broken[1, 2] = np.nan
    with pytest.raises(DCALError, match="1 of 3 images are not finite"):
        accuracy(broken, np.array([0, 1, 2]), 1)

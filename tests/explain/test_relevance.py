"""Gradient-weighted rollout and relevance, against maps that are in the graph."""

import copy

import pytest
import torch

import dcal
from tests.fixtures.explicit import written_out


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    torch.manual_seed(5)
    model = dcal.create_model("deit_tiny_patch16_224", 7, img_size=(48, 80), ablation="sa_only").eval().double()
    with torch.no_grad():
        for block in model.backbone.blocks:
            block.attn.qkv.weight.mul_(6)
    return model


def in_the_graph(model: dcal.DCAL, images: torch.Tensor, target: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """[(A, ∇A)] by layer, (h, n, n) each."""
    kept: list[torch.Tensor] = []
    backbone = copy.deepcopy(model.backbone)
    for block in backbone.blocks:
        block.attn.forward = written_out(block.attn, kept)
    backbone(images)[0, target].backward()
    return [(a[0].detach(), a.grad[0]) for a in kept]


@pytest.mark.parametrize("target", [0, 6])
def test_both_maps_equal_the_explicit_ones(model, target):
    images = torch.randn(1, 3, 48, 80, dtype=torch.float64)
    identity = torch.eye(16, dtype=torch.float64)
    relevance = rollout = identity
    for attention, gradient in in_the_graph(model, images, target):
        product = attention * gradient
        relevance = relevance + product.clamp(min=0).mean(0) @ relevance  # Chefer et al., equations 5 and 6
        weighted = product.mean(0).clamp(min=0)
        sums = weighted.sum(-1, keepdim=True)
        weighted = torch.where(sums > 0, weighted / sums, identity)
        rollout = (0.5 * weighted + 0.5 * identity) @ rollout
    found = dcal.class_relevance(model, images, target)
    torch.testing.assert_close(found.relevance[0], relevance[0], atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(found.gradient_rollout[0], rollout[0], atol=1e-12, rtol=1e-9)
    assert found.gradient_rollout.sum().item() == pytest.approx(1)


def test_classes_differ_and_no_gradient_is_left_behind(model):
    images = torch.randn(1, 3, 48, 80, dtype=torch.float64)
    first, second = (dcal.class_relevance(model, images, target).relevance for target in (1, 2))
    assert (first - second).abs().max() > 1e-9
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("target", [-1, 7])
def test_an_unknown_class_is_refused(model, target):
    with pytest.raises(dcal.DCALError, match=f"no class {target}: the model has 7"):
        dcal.class_relevance(model, torch.zeros(1, 3, 48, 80, dtype=torch.float64), target)

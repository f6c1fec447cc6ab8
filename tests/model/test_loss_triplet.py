"""The triplet loss against a loop over triplets, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from dcal.errors import DCALError
from dcal.model.ablation import branches
from dcal.model.loss import DCALLoss, triplet_loss
from dcal.model.output import Output

IDENTITIES = torch.tensor([4, 4, 9, 4, 7, 9, 7])


def naive(features: torch.Tensor, identities: torch.Tensor, margin: float | None = None) -> float:
    """The mean over anchors of the hardest of all triplets (anchor, positive, negative), each by itself."""
    rows, total = features.tolist(), 0.0
    for a, anchor in enumerate(rows):
        hardest = -math.inf
        for p, positive in enumerate(rows):
            for n, negative in enumerate(rows):
                if identities[p] == identities[a] != identities[n]:
                    hardest = max(hardest, math.dist(anchor, positive) - math.dist(anchor, negative))
        total += math.log1p(math.exp(hardest)) if margin is None else max(0.0, hardest + margin)
    return total / len(rows)


@pytest.mark.parametrize("margin", [None, 0.3, 5.0])
def test_it_is_the_hardest_triplet_of_every_anchor(margin: float | None):
    features = torch.randn(7, 5, dtype=torch.float64)
    expected = naive(features, IDENTITIES, margin)
    assert triplet_loss(features, IDENTITIES, margin).item() == pytest.approx(expected, abs=1e-12)


def test_the_branches_losses_have_the_margin():
    logits, feature = torch.randn(7, 10), torch.randn(7, 5)
    parts = [DCALLoss(("sa",), 0.0, 1.0, margin)(Output(logits, feature), IDENTITIES)[0] for margin in (None, 0.3)]
    difference = triplet_loss(feature, IDENTITIES, 0.3) - triplet_loss(feature, IDENTITIES)
    assert (parts[1] - parts[0]).item() == pytest.approx(difference.item(), abs=1e-6) and difference.abs() > 0.01


def test_identities_far_apart_cost_nothing_and_identities_in_one_place_log_two():
    apart = 100.0 * torch.eye(10, dtype=torch.float64)[IDENTITIES]
    assert triplet_loss(apart, IDENTITIES).item() < 1e-12
    assert triplet_loss(torch.zeros(7, 3), IDENTITIES).item() == pytest.approx(math.log(2))


def test_equal_images_have_a_gradient_that_is_a_number():
    features = torch.zeros(7, 3, requires_grad=True)  # the root of 0 has an infinite slope
    triplet_loss(features, IDENTITIES).backward()
    assert torch.isfinite(features.grad).all()


def test_an_image_alone_of_its_identity_is_only_pushed():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [30.0, 40.0]])
    expected = sum(math.log1p(math.exp(-d)) for d in (5.0, 5.0, 45.0)) / 3
    assert triplet_loss(features, torch.tensor([1, 2, 3])).item() == pytest.approx(expected)


def test_one_identity_alone_is_refused():
    with pytest.raises(DCALError, match="all 3 images of this part of the batch show one"):
        triplet_loss(torch.randn(3, 2), torch.tensor([5, 5, 5]))


@pytest.mark.parametrize("ablation", ["sa_only", "full"])
def test_every_branch_adds_its_own_features_triplet_loss(ablation: str):
    logits, features = torch.randn(3, 7, 11), torch.randn(3, 7, 5)
    out = Output(logits[0], features[0], logits[1], features[1], logits[2], features[2])
    plain, both = DCALLoss(branches(ablation), 0.1), DCALLoss(branches(ablation), 0.1, triplet=0.5)
    _, without = plain(out, IDENTITIES)
    _, added = both(out, IDENTITIES)
    for index, branch in enumerate(("sa", "glca", "pwca")):
        if branch in added:
            expected = without[branch] + 0.5 * triplet_loss(features[index], IDENTITIES)
            assert added[branch].item() == pytest.approx(expected.item(), rel=1e-6), branch


def test_distances_are_not_computed_in_half_precision_under_autocast():
    features = torch.randn(7, 5) * 0.01 + 100
    out = Output(torch.randn(7, 11), features)
    loss = DCALLoss(("sa",), triplet=1.0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss.branch_loss(out, "sa", IDENTITIES)
    assert inside.item() == pytest.approx(loss.branch_loss(out, "sa", IDENTITIES).item(), abs=1e-6)

"""A step, a branch at a time, against the plain one: same gradients, same draws, same statistics, less memory."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch

import dcal
from dcal.model.loss import DCALLoss
from dcal.training.step import forward_backward
from tests.fixtures.small import CLASSES, random_images, small_model

NEAR = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
TARGETS = torch.tensor([3, 0, 4, 1, 1])
PAIRS, RING = [2, 4, 0, 5, 1, 3], [4, 2, 1, 0, 3]


def a_loss(model: dcal.DCAL) -> DCALLoss:
    """In float64, with weights that are not all equal."""
    loss = DCALLoss(model.config.branches).double()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.copy_(torch.tensor([0.3, -0.6, 0.9])[: len(parameter)])
    return loss


def both_ways(model: dcal.DCAL, batch: int, partner: list[int] | None, scale: float = 1.0) -> Any:
    """(model, loss, what came back) of the plain step and of ours, on copies, from the same state of the generator."""
    images, targets = random_images(batch), torch.arange(batch) % CLASSES
    distractor = None if partner is None else torch.tensor(partner)
    plain, plain_loss = copy.deepcopy(model), a_loss(model)
    torch.manual_seed(11)
    output = plain(images, distractor)
    total, losses = plain_loss(output, targets)
    (scale * total).backward()
    ours, our_loss = copy.deepcopy(model), a_loss(model)
    torch.manual_seed(11)
    step = forward_backward(ours, our_loss, images, targets, distractor, scale=scale)
    return (plain, plain_loss, (output, total, losses)), (ours, our_loss, (step.output, step.total, step.losses))


def assert_same_gradients(plain: torch.nn.Module, ours: torch.nn.Module) -> None:
    wanted = dict(plain.named_parameters())
    for name, parameter in ours.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, name
            continue
        assert parameter.grad.any(), f"{name} was not reached"
        NEAR(parameter.grad, wanted[name].grad, msg=name)


@pytest.mark.parametrize("ablation", dcal.ABLATIONS)
@pytest.mark.parametrize("task", ["fgvc", "reid"])
@pytest.mark.parametrize("partner", [PAIRS, RING], ids=["pairs", "ring"])
def test_gradients_are_those_of_the_plain_step(ablation, task, partner):
    model = small_model("registers", ablation=ablation, task=task, drop_path_rate=0.0).train()
    plain, ours = both_ways(model, len(partner), partner, scale=0.5)
    assert_same_gradients(plain[0], ours[0])
    assert_same_gradients(plain[1], ours[1])
    (output, total, losses), (our_output, our_total, our_losses) = plain[2], ours[2]
    NEAR(our_total, total.detach())
    assert list(our_losses) == list(losses)
    for name, loss in losses.items():
        NEAR(our_losses[name], loss)
    for name, value in vars(output).items():
        found = getattr(our_output, name)
        assert (found is None) == (value is None), name
        if value is not None:
            NEAR(found, value.detach())
            assert not found.requires_grad, name


@pytest.mark.parametrize("ablation", ["sa_pwca", "full"])
def test_sa_s_stream_as_distractor_goes_back_through_sa(ablation):
    model = small_model(ablation=ablation, distractor_stream="sa").train()
    plain, ours = both_ways(model, 6, PAIRS)
    assert_same_gradients(plain[0], ours[0])
    assert_same_gradients(plain[1], ours[1])
    NEAR(ours[2][1], plain[2][1].detach())
    assert not ours[2][0].sa_logits.requires_grad


@pytest.mark.parametrize("variant", ["plain", "qk_norm", "gated", "pre_norm", "average"])
def test_so_for_every_kind_of_backbone(variant):
    plain, ours = both_ways(small_model(variant).train(), 6, PAIRS)
    assert_same_gradients(plain[0], ours[0])


def test_stochastic_depth_draws_the_same():
    model = small_model(drop_path_rate=0.5).train()
    plain, ours = both_ways(model, 6, PAIRS)
    with torch.no_grad():
        still = model.eval()(random_images(6), torch.tensor(PAIRS))
    assert (plain[2][0].sa_logits - still.sa_logits).abs().max() > 1e-3, "nothing was dropped"
    wanted = dict(plain[0].named_parameters())
    for name, parameter in ours[0].named_parameters():
        NEAR(parameter.grad, wanted[name].grad, msg=name)


def test_the_neck_s_statistics_are_over_both_branches():
    """SA's batch first, then PWCA's, each by its own mean; momentum 0.1 from zero."""
    plain, ours = both_ways(small_model(task="reid").train(), 6, PAIRS)
    for (name, wanted), (_, found) in zip(plain[0].named_buffers(), ours[0].named_buffers(), strict=True):
        NEAR(found, wanted, msg=name)
    neck, output = ours[0].sa_classifier[0], ours[2][0]
    assert neck.num_batches_tracked == 2
    NEAR(neck.running_mean, 0.9 * 0.1 * output.sa_feature.mean(dim=0) + 0.1 * output.pwca_feature.mean(dim=0))


def test_gradients_add_up_over_batches():
    """Two halves at scale ½ give what the mean of their losses gives."""
    model = small_model(ablation="sa_pwca").train()
    loss = a_loss(model)
    images, targets, distractor = random_images(4), torch.tensor([3, 0, 4, 1]), torch.tensor([1, 0])
    wanted = copy.deepcopy(model)
    totals = [loss(wanted(images[part], distractor), targets[part])[0] for part in (slice(0, 2), slice(2, 4))]
    (sum(totals) / 2).backward()
    for part in (slice(0, 2), slice(2, 4)):
        forward_backward(model, loss, images[part], targets[part], distractor, scale=0.5)
    assert_same_gradients(wanted, model)


def test_a_frozen_embedding_gets_no_gradient():
    model = small_model()
    for parameter in (model.backbone.cls_token, model.backbone.pos_embed, *model.backbone.patch_embed.parameters()):
        parameter.requires_grad_(False)
    plain, ours = both_ways(model, 6, PAIRS)
    assert_same_gradients(plain[0], ours[0])


@pytest.mark.parametrize("ablation", dcal.ABLATIONS)
def test_half_precision_is_autocast_s(ablation):
    """Same roundings as a plain forward under autocast; backward is outside, as PyTorch wants it."""
    model = small_model(ablation=ablation).float().train()
    images, targets, distractor = random_images(6).float(), torch.arange(6) % CLASSES, torch.tensor(PAIRS)
    loss, other = DCALLoss(model.config.branches), copy.deepcopy(model)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = loss(other(images, distractor), targets)
    total.backward()
    step = forward_backward(model, loss, images, targets, distractor, precision=torch.bfloat16)
    assert step.output.sa_logits.dtype == torch.bfloat16
    assert step.total.dtype == torch.float32
    assert step.total.item() == pytest.approx(total.item(), rel=1e-5)
    for (name, parameter), wanted in zip(model.named_parameters(), other.parameters(), strict=True):
        assert parameter.grad.dtype == torch.float32, name
        scale = wanted.grad.abs().max()
        assert (parameter.grad - wanted.grad).abs().max() < 0.05 * scale, name


@pytest.mark.parametrize(
    ("spoiled", "named", "reached"),
    [("glca_classifier", ["sa", "glca"], False), ("pwca", ["pwca"], True)],
)
def test_a_loss_that_is_not_finite_stops_before_its_backward(spoiled, named, reached, monkeypatch):
    model = small_model()
    loss = DCALLoss(model.config.branches)
    if spoiled == "pwca":
        whole = model.forward_pairs
        monkeypatch.setattr(model, "forward_pairs", lambda *given: tuple(part * torch.nan for part in whole(*given)))
    else:
        with torch.no_grad():
            model.glca_classifier.weight[0, 0] = torch.inf
    with pytest.raises(dcal.DCALError, match=rf"not finite: .*{named[-1]} nan") as caught:
        forward_backward(model, loss, random_images(6), torch.arange(6) % CLASSES, torch.tensor(PAIRS))
    assert list(caught.value.losses) == named
    reaching = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert bool(reaching) == reached
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_pwca_needs_a_distractor():
    model = small_model()
    with pytest.raises(dcal.DCALError, match="needs a distractor"):
        forward_backward(model, DCALLoss(("sa", "glca", "pwca")), random_images(2), torch.tensor([0, 1]))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_loss_that_the_model_lacks():
    model = small_model(ablation="sa_only")
    with pytest.raises(ValueError, match="no glca logits"):
        forward_backward(model, DCALLoss(("sa", "glca")), random_images(2), torch.tensor([0, 1]))

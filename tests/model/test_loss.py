"""The joint loss by hand, its learned weights, and that everything learnable learns."""

import math

import pytest
import torch

import dcal
from dcal import DCALLoss, Output, random_matching
from tests.fixtures.small import CLASSES, random_images, small_model

TARGETS = torch.tensor([3, 0, 4])


def an_output(**absent: None) -> Output:
    """Logits of three branches for three images and five classes."""
    logits = 2 * torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(1))
    parts = {f"{name}_logits": value for name, value in zip(("sa", "glca", "pwca"), logits, strict=True)}
    return Output(**{**parts, "sa_feature": torch.ones(3, 2), **absent})


def cross_entropy(logits: torch.Tensor, smoothing: float = 0.0) -> float:
    """-Σ_c y_c log softmax(logits)_c, y the target smoothed over all classes; the mean over random_images, in loops."""
    total = 0.0
    for row, target in zip(logits.double().tolist(), TARGETS.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(logit) for logit in row))
        for c, logit in enumerate(row):
            wanted = smoothing / len(row) + (1 - smoothing) * (c == target)
            total -= wanted * (logit - log_sum)
    return total / len(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_formula(smoothing):
    out, w = an_output(), [0.3, -0.7, 1.1]
    loss = DCALLoss(("sa", "glca", "pwca"), label_smoothing=smoothing)
    with torch.no_grad():
        loss.weights.copy_(torch.tensor(w))
    parts = [cross_entropy(logits, smoothing) for logits in (out.sa_logits, out.glca_logits, out.pwca_logits)]
    total, named = loss(out, TARGETS)
    assert list(named) == ["sa", "glca", "pwca"]
    assert [part.item() for part in named.values()] == pytest.approx(parts, rel=1e-6)
    assert total.item() == pytest.approx(
        0.5 * sum(a * math.exp(-b) + b for a, b in zip(parts, w, strict=True)), rel=1e-6
    )


def test_without_uncertainty_all_branches_weigh_the_same():
    out, names = an_output(), ("sa", "glca", "pwca")
    plain, weighted = (DCALLoss(names, uncertainty=learned) for learned in (False, True))
    assert list(plain.parameters()) == [] and len(list(weighted.parameters())) == 1
    parts = [cross_entropy(logits) for logits in (out.sa_logits, out.glca_logits, out.pwca_logits)]
    assert plain(out, TARGETS)[0].item() == pytest.approx(0.5 * sum(parts), rel=1e-6)
    assert plain(out, TARGETS)[0].item() == pytest.approx(weighted(out, TARGETS)[0].item(), rel=1e-6)  # as it begins


@pytest.mark.parametrize("w", [[0.0, 0.0], [0.4, -0.9]])
def test_the_weights_own_gradient(w):
    out = an_output()
    loss = DCALLoss(("sa", "pwca"))
    with torch.no_grad():
        loss.weights.copy_(torch.tensor(w))
    loss(out, TARGETS)[0].backward()
    parts = [cross_entropy(out.sa_logits), cross_entropy(out.pwca_logits)]
    wanted = [0.5 * (1 - part * math.exp(-b)) for part, b in zip(parts, w, strict=True)]  # d/dw ½ (L e^{-w} + w)
    assert loss.weights.grad.tolist() == pytest.approx(wanted, rel=1e-5)


def test_weights_start_equal_and_settle_at_the_log_of_their_loss():
    out, loss = an_output(), DCALLoss(("sa", "glca"))
    assert loss.weights.tolist() == [0.0, 0.0]
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        loss(out, TARGETS)[0].backward()
        optimizer.step()
    wanted = [math.log(cross_entropy(logits)) for logits in (out.sa_logits, out.glca_logits)]
    assert loss.weights.tolist() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("branch", ["sa", "pwca"])
def test_one_branch_is_plain_cross_entropy(branch):
    out, loss = an_output(), DCALLoss((branch,))
    total, parts = loss(out, TARGETS)
    assert total.item() == pytest.approx(cross_entropy(getattr(out, f"{branch}_logits")), rel=1e-6)
    assert list(parts) == [branch]
    assert list(loss.parameters()) == []


def test_parts_carry_no_graph():
    model = small_model()
    total, parts = DCALLoss(model.config.branches)(model(random_images(3), torch.tensor([1, 2, 0])), TARGETS)
    assert total.requires_grad
    assert not any(part.requires_grad for part in parts.values())


def test_a_branch_without_logits_is_an_error():
    with pytest.raises(ValueError, match=r"no pwca logits.*distractor"):
        DCALLoss(("sa", "pwca"))(an_output(pwca_logits=None), TARGETS)


@pytest.mark.parametrize("branches", [("sa", "glac"), ("",), ()])
def test_unknown_branches_are_told_the_known_ones(branches):
    with pytest.raises(dcal.DCALError, match=r"'sa', 'glca', 'pwca'"):
        DCALLoss(branches)


@pytest.mark.parametrize("ablation", dcal.ABLATIONS)
@pytest.mark.parametrize("task", ["fgvc", "reid"])
@pytest.mark.parametrize("variant", ["plain", "registers", "average", "fresh"])
def test_every_parameter_gets_a_gradient(variant, task, ablation):
    if variant == "fresh":  # as training meets it: no value randomised by the tests
        model = dcal.create_model("test_vit", CLASSES, img_size=(32, 48), ablation=ablation, task=task).train()
        images = random_images(4).float()
    else:
        model, images = small_model(variant, ablation=ablation, task=task).train(), random_images(4)
    loss = DCALLoss(model.config.branches)
    total, _ = loss(model(images, random_matching(4)), torch.tensor([3, 0, 4, 1]))
    total.backward()
    learnable = {name: p for part in (model, loss) for name, p in part.named_parameters() if p.requires_grad}
    without = [name for name, p in learnable.items() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(p.grad.isfinite().all() for p in learnable.values())
    assert ("weights" in learnable) == (ablation != "sa_only")
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    necks = {"sa": "sa_classifier.0.bias", "glca": "glca_classifier.0.bias"}  # BNNeck: no learned shift
    assert frozen == ([necks[b] for b in model.config.branches if b in necks] if task == "reid" else [])

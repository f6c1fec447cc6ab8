"""The distractor's share of PWCA's attention, against loops; and that looking at it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dcal
from dcal.model import attention
from tests.fixtures.oracles import attention_map, block_output, heads
from tests.fixtures.small import DEPTH, random_images, small_model


def naive_shares(model: dcal.DCAL, images: torch.Tensor, partner: list[int]) -> list[float]:
    """Layer by layer and image by image: every number of every map, those of the partner's columns added up."""
    x = other = model.embed(images)  # PWCA's stream, and the stream that distracts in it
    shares = []
    for block in model.backbone.blocks:
        joined = [torch.cat([x[i], other[j]]) for i, j in enumerate(partner)]
        found = []
        for i, context in enumerate(joined):
            q, (_, k, _) = heads(block, block.norm1(x[i]))[0], heads(block, block.norm1(context))
            found += [row[len(x[i]) :].sum() for head in attention_map(q, k) for row in head]
        shares.append(float(np.mean(found)))
        paired = torch.stack([block_output(block, x[i], context) for i, context in enumerate(joined)])
        alone = torch.stack([block_output(block, tokens, tokens) for tokens in other])
        x, other = paired, paired if model.config.distractor_stream == "own" else alone
    return shares


@pytest.mark.parametrize("partner", [[2, 3, 0, 1], [1, 2, 0], [0, 0, 1]], ids=["pairs", "ring", "its own"])
@pytest.mark.parametrize("stream", ["own", "sa"])
def test_shares_by_hand(partner, stream, monkeypatch):
    model = small_model("registers", distractor_stream=stream).requires_grad_(False)
    images = random_images(len(partner))
    wanted = naive_shares(model, images, partner)
    assert max(wanted) - min(wanted) > 0.01, "layers that are all alike would prove nothing"
    got = model.distractor_shares(images, torch.tensor(partner))
    assert got.shape == (DEPTH,)
    assert got.tolist() == pytest.approx(wanted, rel=1e-10)
    monkeypatch.setattr(attention, "WHOLE_BELOW", 0)
    monkeypatch.setattr(attention, "ROWS", 4)  # of 9 tokens: the last block is smaller than the others
    assert model.distractor_shares(images, torch.tensor(partner)).tolist() == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("variant", ["plain", "qk_norm", "gated", "pre_norm", "average"])
def test_equal_images_share_equally(variant):
    model = small_model(variant)
    images = random_images(2)[[0, 0, 1, 1]]
    for partner in ([1, 0, 3, 2], [0, 1, 2, 3]):
        got = model.distractor_shares(images, torch.tensor(partner))
        assert got.tolist() == pytest.approx([0.5] * DEPTH, abs=1e-12)
    assert not got.requires_grad


def test_different_images_do_not():
    got = small_model().distractor_shares(random_images(4), torch.tensor([1, 0, 3, 2]))
    assert ((got > 0) & (got < 1) & ((got - 0.5).abs() > 1e-3)).all(), got


def test_looking_changes_nothing():
    """Logs may be written more or less often: no draw, no statistics and no mode may depend on it."""
    model = small_model(task="reid", drop_path_rate=0.5).train()
    model.backbone.norm.eval()
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    first = model.distractor_shares(random_images(4), torch.tensor([1, 0, 3, 2]))
    assert torch.get_rng_state().equal(state)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.eval().distractor_shares(random_images(4), torch.tensor([1, 0, 3, 2])).equal(first)


def test_wrong_indices_are_an_error():
    with pytest.raises(dcal.DCALError, match=r"expected \(3,\), values from 0 to 2"):
        small_model().distractor_shares(random_images(3), torch.tensor([1, 0, 3]))

"""Relevance of a similarity and of a margin: against whole matrices in float64, by finite differences, and planted."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import dcal
from dcal.explain.pair_relevance import PairRelevance, branch_gradients, pair_relevance, trace_branches
from dcal.model.pooling import readout_weights
from tests.fixtures.explicit import ExplicitBranches
from tests.fixtures.small import COLS, DEPTH, HEADS, PATCH, ROWS, WIDTH, random_images, small_model

PATCHES = ROWS * COLS
CASES = [("plain", "mean"), ("plain", "class"), ("registers", "mean"), ("qk_norm", "mean"), ("average", "mean")]


def images(count: int = 3) -> list[Tensor]:
    return list(random_images(count).split(1))


def score(branches: list[ExplicitBranches], branch: str) -> Tensor:
    """f(q)·f(m), or f(q)·(f(m) − f(o)) of three; of "fused" the branches' mean."""
    names = list(branches[0].features) if branch == "fused" else [branch]
    query, match, *other = ({name: own.features[name] for name in names} for own in branches)
    values = [query[name] @ (match[name] - (other[0][name] if other else 0)) for name in names]
    return torch.stack(values).mean()


@pytest.mark.parametrize(("variant", "readout"), CASES)
@pytest.mark.parametrize("margin", [False, True])
def test_every_branch_equals_the_explicit_one(variant, readout, margin):
    model = small_model(variant, task="reid", readout=readout)
    given = images(3 if margin else 2)
    found = pair_relevance(model, *given)
    sides = [found.query, found.match, *([found.other] if margin else [])]
    for branch in ("sa", "glca", "fused"):
        explicit = [ExplicitBranches(model, image) for image in given]
        score(explicit, branch).backward()
        for side, own in zip(sides, explicit, strict=True):
            expected = own.relevance(branch, signed=margin)[model.layout.prefix :]
            assert side[branch].shape == (1, PATCHES) and expected.abs().max() > 1e-6
            torch.testing.assert_close(side[branch][0], expected, atol=1e-12, rtol=1e-8)
        similarity = score(explicit[:2], branch)
        torch.testing.assert_close(found.similarity[branch][0], similarity.detach())
        if margin:
            torch.testing.assert_close(found.against[branch][0], (similarity - score(explicit, branch)).detach())


def test_a_model_without_glca_has_one_branch():
    model = small_model(ablation="sa_only", task="reid")
    query, match = images(2)
    found = pair_relevance(model, query, match)
    assert list(found.query) == list(found.match) == list(found.similarity) == ["sa"]
    assert found.against is None and found.other is None
    explicit = [ExplicitBranches(model, image) for image in (query, match)]
    score(explicit, "sa").backward()
    expected = explicit[0].relevance("sa", signed=False)[model.layout.prefix :]
    torch.testing.assert_close(found.query["sa"][0], expected, atol=1e-12, rtol=1e-8)


def test_several_glca_blocks_add_up():
    """A block that adds nothing to its queries changes no map; one that does, does."""
    query, match = images(2)
    one, two = (small_model(task="reid", num_glca_layers=count) for count in (1, 2))
    two.load_state_dict(one.state_dict(), strict=False)
    assert not torch.allclose(
        pair_relevance(two, query, match).query["glca"], pair_relevance(one, query, match).query["glca"]
    )
    with torch.no_grad():
        for name, parameter in two.glca.later.named_parameters():
            if name.endswith(("attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias")):
                parameter.zero_()
    torch.testing.assert_close(pair_relevance(two, query, match).query, pair_relevance(one, query, match).query)


@pytest.mark.parametrize("branch", ["sa", "glca", "fused"])
def test_the_gradient_is_what_a_finite_difference_of_the_attention_gives(branch):
    model, (query, match) = small_model(task="reid"), images(2)
    with torch.enable_grad():
        traced = trace_branches(model, torch.cat([query, match]))
        targets = {name: (own[:1] * own[1:]).sum(dim=1) for name, own in traced.features.items()}
        gradients = branch_gradients(traced, targets)[branch]
    layers = traced.traced()
    step, fixed = 1e-5, ExplicitBranches(model, match)
    asking = traced.asking[0].tolist()
    for layer, (head, row, col) in itertools.product((0, DEPTH - 1, DEPTH), ((0, 0, 4), (HEADS - 1, 2, 0), (1, 1, 6))):
        token = asking[row] if layer == DEPTH else row  # GLCA's block has rows for its queries alone
        found = (gradients[layer][0, head, row] * layers[layer].v[0, head, col]).sum()
        bump = torch.zeros(1, HEADS, 1 + PATCHES, 1 + PATCHES, dtype=torch.float64)
        bump[0, head, token, col] = step
        ends = [score([ExplicitBranches(model, query, (layer, sign * bump)), fixed], branch) for sign in (1, -1)]
        expected = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close(found, expected.detach(), atol=1e-9, rtol=1e-5)
        if branch == "fused" and layer < DEPTH - 1:
            assert expected.abs() > 1e-8


def test_exchanged_images_have_exchanged_maps():
    model = small_model(task="reid")
    query, match, other = images()
    one, two = pair_relevance(model, query, match), pair_relevance(model, match, query)
    for branch in ("sa", "glca", "fused"):
        torch.testing.assert_close(one.query[branch], two.match[branch])
        torch.testing.assert_close(one.match[branch], two.query[branch])
        assert not torch.allclose(one.query[branch], one.match[branch], rtol=1e-3)
    first, second = pair_relevance(model, query, match, other), pair_relevance(model, query, other, match)
    with_itself = pair_relevance(model, query, match, match)
    for branch in ("sa", "glca", "fused"):
        assert with_itself.query[branch].abs().max() < 1e-12  # no margin: nothing speaks for it
        torch.testing.assert_close(first.similarity[branch], second.against[branch])
        assert first.query[branch].min() < 0 < first.query[branch].max()
        assert not torch.allclose(first.query[branch], second.query[branch], rtol=1e-3)


def test_a_batch_gives_what_its_pairs_give_one_by_one():
    model = small_model(task="reid")
    sides = random_images(12).chunk(3)
    for given in (sides, sides[:2]):
        batch = pair_relevance(model, *given)
        singles = [pair_relevance(model, *(side[index : index + 1] for side in given)) for index in range(4)]
        assert isinstance(batch, PairRelevance) and len(given) == (2 if batch.other is None else 3)
        for branch in ("sa", "glca", "fused"):
            for name in ("query", "match", "similarity", *(("other", "against") if batch.other else ())):
                own = torch.cat([getattr(single, name)[branch] for single in singles])
                torch.testing.assert_close(getattr(batch, name)[branch], own)


def test_the_ratio_can_be_overridden():
    model, wider = small_model(task="reid", top_ratio=0.2), small_model(task="reid", top_ratio=1.0)
    query, match = images(2)
    plain, over = pair_relevance(model, query, match), pair_relevance(model, query, match, top_ratio=1.0)
    assert torch.equal(over.query["fused"], pair_relevance(wider, query, match).query["fused"])
    assert torch.equal(over.query["sa"], plain.query["sa"])
    assert not torch.allclose(over.query["glca"], plain.query["glca"], rtol=1e-3)


def planted(patch: int) -> dcal.DCAL:
    """A model in which all tokens attend to one patch alone, in every head of every layer and of GLCA's block."""
    model = small_model(task="reid", readout="class")
    mark = torch.zeros(WIDTH, dtype=torch.float64)
    mark[0], mark[1] = 1, -1
    with torch.no_grad():
        model.backbone.pos_embed.zero_()
        model.backbone.pos_embed[0, 1 + patch] = 400 * mark
        for block in (*model.backbone.blocks, model.glca.block):
            block.norm1.weight.fill_(1)
            block.norm1.bias.zero_()
            weight, bias = (own.view(3, HEADS, WIDTH // HEADS, *own.shape[1:]) for own in vars_of(block.attn.qkv))
            weight[:2] = 0
            bias[:2] = 0
            bias[0, :, 0] = 40  # every query asks for the mark, and the keys say how much of it they have
            weight[1, :, 0] = 3 * mark
    return model


def vars_of(linear: torch.nn.Linear) -> tuple[Tensor, Tensor]:
    return linear.weight.data, linear.bias.data


@pytest.mark.parametrize("patch", [1, 5])
def test_the_patch_that_alone_decides_is_the_evidence(patch):
    model, (query, match, other) = planted(patch), images()
    found = pair_relevance(model, query, match)
    against = pair_relevance(model, query, match, other)
    for maps in (found.query, found.match, against.query, against.match, against.other):
        for branch, values in maps.items():
            assert values[0].abs().argmax() == patch, branch
            rest = values[0].abs().sum() - values[0, patch].abs()
            assert rest < 1e-6 * values[0, patch].abs(), branch

    def similarity(changed: int) -> float:
        image = query.clone()
        top, left = changed // COLS * PATCH, changed % COLS * PATCH
        image[..., top : top + PATCH, left : left + PATCH] *= -1
        return pair_relevance(model, image, match).similarity["fused"].item()

    moves = [abs(similarity(changed) - found.similarity["fused"].item()) for changed in range(PATCHES)]
    assert moves[patch] > 1e-6 > 1e3 * max(move for index, move in enumerate(moves) if index != patch)


def test_nothing_is_left_behind_and_no_graph_comes_back():
    model = small_model(task="reid")
    expected = pair_relevance(model, *images())
    with torch.inference_mode():
        found = pair_relevance(model, *images())
    torch.testing.assert_close(found.query, expected.query)
    assert all(parameter.grad is None for parameter in model.parameters())
    for maps in (found.similarity, found.against, found.query, found.match, found.other):
        assert not any(values.requires_grad for values in maps.values())


def test_what_cannot_be_explained_is_refused():
    model, (query, match, other) = small_model(task="reid"), images()
    with pytest.raises(dcal.DCALError, match=r"as many images on every side, got \[1, 2\]"):
        pair_relevance(model, query, torch.cat([match, other]))
    with pytest.raises(dcal.DCALError, match=r"got \(2, 3, 32, 32\)"):
        pair_relevance(model, query[..., :32], match[..., :32])
    model.backbone.global_pool = "max"
    with pytest.raises(dcal.DCALError, match="not pooled by 'max'"):
        pair_relevance(model, query, match)


def test_distilled_models_read_two_tokens():
    model = dcal.create_model("deit_tiny_distilled_patch16_224", 5, task="reid", ablation="sa_only", img_size=(32, 48))
    weights = readout_weights(model.backbone, torch.zeros(1, 8, 192))[0]
    assert weights.tolist() == [0.5, 0.5, *[0] * 6]
    tokens = torch.randn(1, 8, 192)
    with torch.no_grad():
        feature = model.eval().backbone.forward_head(tokens, pre_logits=True)
    torch.testing.assert_close(feature[0], weights @ tokens[0])

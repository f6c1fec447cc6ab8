"""GLCA: the selected patches and the class token ask all tokens; what is read out must depend on the selection."""

import math
from functools import partial

import numpy as np
import pytest
import torch

import dcal
from dcal.model.glca import read_out, select_patches, selected_count
from tests.fixtures.oracles import attention_map, block_output, head_means, heads, rollouts
from tests.fixtures.small import CLASSES, VARIANTS, WIDTH, random_images, small_model

NEAR = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module", params=VARIANTS)
def model(request) -> dcal.DCAL:
    return small_model(request.param).requires_grad_(False)


def tokens_of(model: dcal.DCAL, count: int = 2) -> torch.Tensor:
    return model.backbone.blocks(model.embed(random_images(count)))


def final_norm(model: dcal.DCAL) -> torch.nn.Module:
    return model.glca.norm


def test_all_patches_selected_is_ordinary_attention(model):
    tokens, prefix, patches = tokens_of(model), model.layout.prefix, model.layout.patches
    order = torch.stack([torch.randperm(patches) for _ in tokens])
    got = model.glca(tokens, order)
    whole = final_norm(model)(model.glca.block(tokens))  # timm's own block on all tokens
    NEAR(got[:, 0], whole[:, 0])
    for b in range(len(tokens)):
        NEAR(got[b, 1:], whole[b, prefix + order[b]])


def test_some_patches_selected_is_the_formula(model):
    tokens, prefix = tokens_of(model), model.layout.prefix
    selected = torch.tensor([[4, 1], [0, 5]])
    got = model.glca(tokens, selected)
    for b in range(2):
        own = tokens[b, [0, *(prefix + selected[b]).tolist()]]
        NEAR(got[b], final_norm(model)(block_output(model.glca.block, own, tokens[b])))


def test_maps_are_the_softmax_behind_the_output(model):
    tokens, prefix = tokens_of(model), model.layout.prefix
    selected = torch.tensor([[4, 1, 2], [0, 5, 3]])
    got = model.glca.attention(tokens, selected)
    for b in range(2):
        q, k, _ = heads(model.glca.block, model.glca.block.norm1(tokens[b]))
        q = q[:, [0, *(prefix + selected[b]).tolist()]]
        np.testing.assert_allclose(got[b], attention_map(q, k), rtol=1e-10, atol=1e-14)


def test_several_blocks_are_one_after_the_other():
    """The queries of a later block are what the one before put out; keys and values stay those of all tokens."""
    model = small_model("registers", num_glca_layers=3).requires_grad_(False)
    tokens, prefix = tokens_of(model), model.layout.prefix
    selected = torch.tensor([[4, 1], [0, 5]])
    got, maps = model.glca(tokens, selected), model.glca.attention(tokens, selected)
    for b in range(2):
        queries = tokens[b, [0, *(prefix + selected[b]).tolist()]]
        for block in (model.glca.block, *model.glca.later):
            q = heads(block, block.norm1(queries))[0]
            queries = block_output(block, queries, tokens[b])
        NEAR(got[b], final_norm(model)(queries))
        k = heads(block, block.norm1(tokens[b]))[1]
        np.testing.assert_allclose(maps[b], attention_map(q, k), rtol=1e-10, atol=1e-14)


def test_the_block_starts_as_a_copy_of_the_last_one_and_is_its_own():
    model = dcal.create_model("test_vit", 5, img_size=(32, 48))
    last = dict(model.backbone.blocks[-1].named_parameters())
    for name, parameter in model.glca.block.named_parameters():
        assert torch.equal(parameter, last[name])
        assert parameter.data_ptr() != last[name].data_ptr()
    assert torch.equal(model.glca.norm.weight, model.backbone.norm.weight)
    assert model.glca.norm is not model.backbone.norm


def test_branch_s_norm_is_the_backbone_s_wherever_it_stands():
    assert small_model("average").glca.norm.weight.shape == (WIDTH,)
    model = small_model("plain", final_norm=False)
    assert isinstance(model.glca.norm, torch.nn.Identity)


# -- selection --


@pytest.mark.parametrize(
    ("patches", "ratio", "count"),
    [
        (196, 0.10, 20),
        (196, 0.30, 59),
        (6, 0.01, 1),
        (6, 0.5, 3),
        (6, 1.0, 6),
        (35, 0.1, 4),
        (128, 0.3, 38),
        (1, 0.1, 1),
    ],
)
def test_how_many_patches_a_ratio_is(patches, ratio, count):
    assert selected_count(patches, ratio) == count


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.0001, math.nan, math.inf, 10.0])
def test_a_ratio_outside_0_to_1_is_an_error_with_its_number(ratio):
    with pytest.raises(dcal.DCALError, match=rf"\(0, 1\], got {ratio}"):
        selected_count(196, ratio)
    with pytest.raises(dcal.DCALError, match=rf"\(0, 1\], got {ratio}"):
        small_model()(random_images(1), top_ratio=ratio)
    with pytest.raises(dcal.DCALError, match=rf"\(0, 1\], got {ratio}"):
        dcal.create_model("test_vit", 5, img_size=32, top_ratio=ratio)


def test_selected_are_the_highest_scores_best_first():
    scores = torch.tensor([[0.3, 0.1, 0.5, 0.2, 0.4, 0.0, 0.6], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]])
    assert select_patches(scores, 3 / 7).tolist() == [[6, 2, 4], [0, 1, 2]]


@pytest.mark.parametrize("variant", ["plain", "registers"])
def test_a_model_selects_the_top_patches_of_its_rollout_never_another_token(variant):
    model = small_model(variant).requires_grad_(False)
    prefix = model.layout.prefix
    out = model(random_images(3), top_ratio=0.5)
    for b, x in enumerate(model.embed(random_images(3))):
        row = rollouts(head_means(model.backbone, x))[-1][0]
        patches = row[prefix:]
        assert out.selected[b].tolist() == sorted(range(6), key=lambda p: -patches[p])[:3]
        assert row[:prefix].max() > np.sort(patches)[-3], "else it would not matter whether other tokens compete"
        NEAR(out.scores[b], torch.from_numpy(patches))


def test_ratio_given_overrules_the_configured_one():
    model = small_model(top_ratio=0.34).requires_grad_(False)
    assert model(random_images(2)).selected.shape == (2, 2)
    assert model(random_images(2), top_ratio=0.84).selected.shape == (2, 5)


# -- the trap --


def test_readouts_by_hand():
    queries = torch.tensor([[[1.0, 2.0], [3.0, 5.0], [7.0, 0.0]]])
    assert read_out(queries, "class").tolist() == [[1.0, 2.0]]
    assert read_out(queries, "mean").tolist() == [[3.0, 2.25]]  # ½ (1 + 5), ½ (2 + 2.5)
    with pytest.raises(dcal.DCALError, match=r"'max'.*'mean', 'class'"):
        read_out(queries, "max")


def logits(readout: str, selected: list[int]) -> torch.Tensor:
    model = small_model("registers", readout=readout).requires_grad_(False)
    return model.read_glca(tokens_of(model, 1), torch.tensor([selected]))[0]


def test_under_mean_the_selection_decides():
    assert logits("mean", [0, 1]).shape == (1, CLASSES)
    assert (logits("mean", [0, 1]) - logits("mean", [0, 2])).abs().max() > 1e-2, "WHICH patches"
    assert (logits("mean", [0]) - logits("mean", [0, 1])).abs().max() > 1e-2, "how many"
    NEAR(logits("mean", [0, 1]), logits("mean", [1, 0]))


def test_under_class_the_selection_is_dead_code():
    for other in ([0, 2], [5], list(range(6))):
        NEAR(logits("class", [0, 1]), logits("class", other), atol=1e-12, rtol=0)


def test_random_queries_are_a_control():
    """As many as R says, other ones than the rollout's, new while training, the same for every image in evaluation."""
    model, control = small_model("plain"), small_model("plain", selection="random")
    scores = torch.rand(5, 100)
    assert torch.equal(model.select(scores, 0.3), select_patches(scores, 0.3))
    chosen = control.select(scores, 0.3)
    assert chosen.shape == (5, 30) and all(len(set(row.tolist())) == 30 for row in chosen)
    assert (chosen == chosen[0]).all() and torch.equal(chosen, control.select(1 - scores, 0.3))
    control.train()
    drawn = control.select(scores, 0.3)
    assert not torch.equal(drawn, control.select(scores, 0.3)) and not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("readout", ["mean", "class"])
def test_the_trap_in_the_whole_model(readout):
    model = small_model("plain", readout=readout).requires_grad_(False)
    little, much = model(random_images(2), top_ratio=0.01), model(random_images(2), top_ratio=1.0)
    difference = (little.glca_logits - much.glca_logits).abs().max()
    assert difference > 1e-2 if readout == "mean" else difference < 1e-12
    NEAR(little.sa_logits, much.sa_logits)

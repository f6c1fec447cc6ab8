"""One attention, three uses: projections, the fused product and row blocks against loops and timm's own block."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from timm.layers import Attention, LayerNorm
from timm.models.vision_transformer import Block

from dcal.model import attention as fast
from tests.fixtures.oracles import attend as naive_attend
from tests.fixtures.oracles import attention_map, block_output, heads, randomise
from tests.fixtures.small import HEADS, VARIANTS, WIDTH, small_backbone

NEAR = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


def random_heads(*counts: int, b: int = 2, h: int = 3, d: int = 5, seed: int = 0) -> list[torch.Tensor]:
    """One (b, h, count, d) tensor per count, float64, large enough for attention to be far from uniform."""
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(b, h, count, d, generator=generator, dtype=torch.float64) for count in counts]


@pytest.fixture(params=VARIANTS)
def block(request) -> Block:
    block = small_backbone(request.param).blocks[1].double().eval()
    randomise(block)
    return block


def test_projections_are_the_heads_of_the_joint_matrix(block):
    x = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    for i in range(len(x)):
        for got, wanted in zip(fast.project(block.attn, x), heads(block, x[i]), strict=True):
            NEAR(got[i], torch.from_numpy(wanted))


def test_queries_alone_and_keys_with_values_are_parts_of_the_whole_projection(block):
    x = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    q, k, v = fast.project(block.attn, x)
    NEAR(fast.project_queries(block.attn, x[:, 4:6]), q[:, :, 4:6])
    for got, wanted in zip(fast.project_keys_values(block.attn, x), (k, v), strict=True):
        NEAR(got, wanted)


def test_head_width_need_not_be_the_width_over_the_heads():
    attention = Attention(WIDTH, HEADS, attn_head_dim=5, qkv_bias=True, qk_norm=True, norm_layer=LayerNorm).double()
    randomise(attention)
    block = Block(WIDTH, HEADS).double()
    block.attn = attention
    x = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    assert fast.project(attention, x)[0].shape == (2, HEADS, 7, 5)
    NEAR(fast.project_queries(attention, x), fast.project(attention, x)[0])
    NEAR(fast.finish_block(block, x, block.norm1(x), fast.attend(*fast.project(attention, block.norm1(x)))), block(x))


@pytest.mark.parametrize(("queries", "keys"), [(7, 7), (3, 11), (6, 1)])
def test_attend_is_the_formula(queries, keys):
    q, k, v = random_heads(queries, keys, keys)
    got = fast.attend(q, k, v)
    for i in range(len(q)):
        np.testing.assert_allclose(got[i], naive_attend(*(t[i].numpy() for t in (q, k, v))), rtol=1e-12, atol=1e-12)


def test_row_blocks_are_the_formula():
    q, k = random_heads(3, 11)
    (rows, got), *more = fast.attention_rows(q, k)
    assert (rows, more) == (slice(0, 3), [])
    for i in range(len(q)):
        np.testing.assert_allclose(got[i], attention_map(q[i].numpy(), k[i].numpy()), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("keys", [fast.WHOLE_BELOW - 1, fast.WHOLE_BELOW, fast.WHOLE_BELOW + 1, 6 * fast.ROWS])
@pytest.mark.parametrize("queries", [1, fast.ROWS - 1, fast.ROWS, fast.ROWS + 1, 5 * fast.ROWS + 13])
def test_row_blocks_of_any_size_make_one_softmax(queries, keys):
    q, k = random_heads(queries, keys)
    whole = torch.softmax(q @ k.transpose(-2, -1) / 5**0.5, dim=-1)
    got = torch.full_like(whole, torch.nan)
    for rows, part in fast.attention_rows(q, k):
        assert got[:, :, rows].isnan().all(), "rows came twice"
        got[:, :, rows] = part
    NEAR(got, whole)
    NEAR(got.sum(dim=-1), torch.ones_like(got[..., 0]))


@pytest.mark.parametrize("count", [7, fast.WHOLE_BELOW - 1, fast.WHOLE_BELOW, fast.WHOLE_BELOW + 21])
def test_keeping_the_mean_changes_nothing_in_the_output(count):
    q, k, v = random_heads(count, count, count, b=3)
    output, mean = fast.attend_keeping_mean(q, k, v)
    NEAR(output, fast.attend(q, k, v))
    NEAR(mean, torch.softmax(q @ k.transpose(-2, -1) / 5**0.5, dim=-1).mean(dim=1))


def test_queries_and_keys_may_be_more_precise_than_values():
    """As under autocast on a GPU, where their norms compute in float32."""
    q, k, v = random_heads(7, 7, 7)
    output, _ = fast.attend_keeping_mean(q.float(), k.float(), v.bfloat16())
    torch.testing.assert_close(output.double(), fast.attend(q, k, v), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("count", [7, fast.WHOLE_BELOW + 5])
def test_logits_of_thousands_neither_overflow_nor_vanish(count):
    q, k, v = (100 * t.float() for t in random_heads(count, count, count))
    _, mean = fast.attend_keeping_mean(q, k, v)
    torch.testing.assert_close(mean.sum(dim=-1), torch.ones(2, count))
    assert mean.isfinite().all()


def test_a_finished_block_is_timm_s_block(block):
    x = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    normed = block.norm1(x)
    got = fast.finish_block(block, x, normed, fast.attend(*fast.project(block.attn, normed)))
    NEAR(got, block(x))
    for i in range(len(x)):
        NEAR(got[i], block_output(block, x[i], x[i]))


def test_randomised_parts_matter(block):
    """The oracle of the oracles: a part that does nothing could not be told from one that was forgotten."""
    x = torch.randn(2, 7, WIDTH, dtype=torch.float64)
    reference = block(x)
    for name, _ in block.named_parameters():
        changed = copy.deepcopy(block)
        parameter = changed.get_parameter(name)
        with torch.no_grad():
            parameter.add_(torch.linspace(0, 0.1, parameter.numel()).view_as(parameter))
        difference = (changed(x) - reference).abs().max()
        if name == "attn.k_norm.bias":  # adds the same to all logits of a query: softmax does not see it
            assert difference < 1e-12
        else:
            assert difference > 1e-6, name


def test_attention_dropout_is_in_force_while_training_only():
    attention = Attention(WIDTH, HEADS, attn_drop=0.37)
    assert fast.dropout_of(attention.train()) == 0.37
    assert fast.dropout_of(attention.eval()) == 0.0


def test_nothing_flows_back_through_row_blocks_and_nobody_else_is_affected():
    q, k = (t.requires_grad_() for t in random_heads(fast.WHOLE_BELOW, fast.WHOLE_BELOW))
    blocks = fast.attention_rows(q, k)
    _, block = next(blocks)
    assert not block.requires_grad
    assert torch.is_grad_enabled(), "a paused iterator must not switch off the caller's gradients"
    del blocks
    assert torch.is_grad_enabled()

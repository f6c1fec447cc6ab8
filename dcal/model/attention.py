"""One attention over different queries and keys: softmax(Q Kᵀ / √d) V, and the pre-norm blocks around it.

SA takes queries, keys and values from the same tokens; GLCA gathers its queries first; PWCA joins the keys and values
of two images. Weights are timm's own modules throughout, so a block shared by two branches is the same object. A
mechanism that differs in its attention alone is a function for `run_blocks`.

Symbols, PAPER → here: Q, K, V → queries, keys, values; S → attention; d → d (width of one head).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor

# Below this many tokens one softmax over all rows is fastest; above, blocks of at most 128 rows stay in the processor's
# cache (of 64, products are slower; of 256, softmax).
WHOLE_BELOW = 300
ROWS = 128

Attended = Float[Tensor, "b h n d"]
KeysValues = tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]
Heads = tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]


def project(attention: Attention, x: Float[Tensor, "b n width"]) -> Heads:
    """Q, K and V of every token, after timm's optional query and key norms."""
    q, k, v = rearrange(attention.qkv(x), "b n (three h d) -> three b h n d", three=3, h=attention.num_heads)
    return attention.q_norm(q), attention.k_norm(k), v


def project_queries(attention: Attention, x: Float[Tensor, "b k width"]) -> Float[Tensor, "b h k d"]:
    """Q of the given tokens alone: the first third of timm's joint projection."""
    weight, bias = _part(attention, 0, 1)
    return attention.q_norm(rearrange(F.linear(x, weight, bias), "b k (h d) -> b h k d", h=attention.num_heads))


def project_keys_values(
    attention: Attention, x: Float[Tensor, "b n width"]
) -> tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]:
    """K and V of the given tokens: the other two thirds."""
    weight, bias = _part(attention, 1, 3)
    k, v = rearrange(F.linear(x, weight, bias), "b n (two h d) -> two b h n d", two=2, h=attention.num_heads)
    return attention.k_norm(k), v


def _part(attention: Attention, first: int, last: int) -> tuple[Tensor, Tensor | None]:
    third = attention.qkv.out_features // 3
    rows = slice(first * third, last * third)
    return attention.qkv.weight[rows], None if attention.qkv.bias is None else attention.qkv.bias[rows]


def attend(
    q: Float[Tensor, "b h q d"], k: Float[Tensor, "b h n d"], v: Float[Tensor, "b h n d"], dropout: float = 0.0
) -> Float[Tensor, "b h q d"]:
    """softmax(Q Kᵀ / √d) V, fused: no attention map is ever in memory."""
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def attention_rows(
    q: Float[Tensor, "b h q d"], k: Float[Tensor, "b h n d"]
) -> Iterator[tuple[slice, Float[Tensor, "b h r n"]]]:
    """softmax(Q Kᵀ / √d), a block of rows at a time, as (which rows, their values).

    A block is overwritten by the next one: use it or copy it before taking the next. No gradient flows through it.
    Under `torch.export` there is one block of all rows, so that the graph depends on no number of images.
    """
    q, k = q.detach(), k.detach()  # not `no_grad`: paused between blocks, that would hold for the caller too
    if torch.compiler.is_exporting():
        yield slice(None), torch.softmax(q @ k.transpose(2, 3) * q.shape[3] ** -0.5, dim=-1)
        return
    (b, h, count, d), n = q.shape, k.shape[2]
    blocks = 1 if n < WHOLE_BELOW else math.ceil(count / ROWS)
    size = math.ceil(count / blocks)
    queries, keys = q.flatten(0, 1), (k.transpose(2, 3) * d**-0.5).flatten(0, 1)
    buffer = q.new_empty(b * h * size * n)
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        block = buffer[: b * h * (rows.stop - start) * n].view(b * h, -1, n)
        torch.bmm(queries[:, rows], keys, out=block)
        yield rows, torch.softmax(block, dim=-1, out=block).view(b, h, -1, n)


def attend_keeping_mean(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    mean: Float[Tensor, "b n n"] | None = None,
) -> tuple[Float[Tensor, "b h n d"], Float[Tensor, "b n n"]]:
    """(attention's output, its map averaged over heads), for inference: each block of rows serves both, then is freed.

    `mean` is where the averaged map is written, if given.
    """
    if torch.compiler.is_exporting():
        _, whole = next(attention_rows(q, k))
        return whole @ v.to(q.dtype), whole.mean(dim=1)
    b, h, n, d = q.shape
    output = q.new_empty((b, n, h, d)).transpose(1, 2)  # in this order joining the heads afterwards copies nothing
    mean = q.new_empty((b, n, n)) if mean is None else mean
    v = v.to(q.dtype)  # norms of queries and keys leave half precision under autocast, values do not
    for rows, block in attention_rows(q, k):
        torch.matmul(block, v, out=output[:, :, rows])
        torch.sum(block, dim=1, out=mean[:, rows]).div_(h)  # twice as fast as torch.mean
    return output, mean


def dropout_of(attention: Attention) -> float:
    """The attention dropout that is in force: timm's rate while training, else 0."""
    return attention.attn_drop.p if attention.training else 0.0


def run_blocks(
    blocks: Iterable[Block],
    x: Float[Tensor, "b n width"],
    attention: Callable[[Attention, Float[Tensor, "b n width"]], Attended],
) -> Float[Tensor, "b n width"]:
    """The last block's tokens: timm's pre-norm blocks, with `attention` in the place of theirs.

    `attention` maps a block's attention module (its weights) and norm1(x) to the heads' outputs.
    """
    for block in blocks:
        normed = block.norm1(x)
        x = add_attention(block, x, normed, attention(block.attn, normed))
        del normed  # nothing is held through the MLP, where memory peaks
        x = add_mlp(block, x)
    return x


def finish_block(
    block: Block,
    x: Float[Tensor, "b n width"],
    normed: Float[Tensor, "b n width"],
    attended: Float[Tensor, "b h n d"],
) -> Float[Tensor, "b n width"]:
    """The rest of timm's block after its attention: gate, norm, projection, residual and MLP.

    `x` is the block's input (the residual) and `normed` = norm1(x), of the query tokens only.
    """
    return add_mlp(block, add_attention(block, x, normed, attended))


def add_attention(
    block: Block,
    x: Float[Tensor, "b n width"],
    normed: Float[Tensor, "b n width"],
    attended: Float[Tensor, "b h n d"],
) -> Float[Tensor, "b n width"]:
    """The first half of `finish_block`."""
    attention = block.attn
    y = attention.norm(rearrange(attended, "b h n d -> b n (h d)"))
    if getattr(attention, "gate", None) is not None:
        y = y * attention.gate(normed).sigmoid()
    return x + block.drop_path1(block.ls1(attention.proj_drop(attention.proj(y))))


def add_mlp(block: Block, x: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
    """The second half of `finish_block`."""
    return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))

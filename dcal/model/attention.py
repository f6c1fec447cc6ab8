"""One attention over different queries and keys: softmax(Q Kᵀ / √d) V, and the pre-norm blocks around it.

SA takes queries, keys and values from the same tokens; GLCA gathers its queries first; PWCA joins the keys and values
of two images. Weights are timm's own modules throughout, so a block shared by two branches is the same object. A
mechanism that differs in its attention alone is a function for `run_blocks`. timm has five attentions and five blocks
that compute this; what they differ in (one projection or three, biases, norms, grouped keys, gates, scales, norm before
or after) is read off the modules here.

Symbols, PAPER → here: Q, K, V → queries, keys, values; S → attention; d → d (width of one head).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from timm.models.eva import EvaBlockPostNorm
from timm.models.vision_transformer import ResPostBlock
from timm.models.vision_transformer_relpos import ResPostRelPosBlock
from torch import Tensor

from dcal.model.positions import ABSOLUTE, Attention, Bias, Block, PlacedBlock, Positions, Rotary

# Below this many tokens one softmax over all rows is fastest; above, blocks of at most 128 rows stay in the processor's
# cache (of 64, products are slower; of 256, softmax).
WHOLE_BELOW = 300
ROWS = 128

POST_NORM = (ResPostBlock, ResPostRelPosBlock, EvaBlockPostNorm)  # blocks that normalise what they add

Attended = Float[Tensor, "b h n d"]
KeysValues = tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]
Heads = tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]


def project(attention: Attention, x: Float[Tensor, "b n width"], positions: Positions = ABSOLUTE) -> Heads:
    """Q, K and V of every token, after timm's optional query and key norms and rotation."""
    if attention.qkv is None:
        return (project_queries(attention, x, positions.rotary), *project_keys_values(attention, x, positions.rotary))
    joint = attention.qkv(x) if attention.qkv.bias is not None else F.linear(x, attention.qkv.weight, _bias(attention))
    q, k, v = rearrange(joint, "b n (three h d) -> three b h n d", three=3, h=attention.num_heads)
    return _placed(attention, "q_norm", q, positions.rotary), _placed(attention, "k_norm", k, positions.rotary), v


def project_queries(
    attention: Attention, x: Float[Tensor, "b k width"], rotary: Rotary | None = None
) -> Float[Tensor, "b h k d"]:
    """Q of the given tokens alone: the first third of timm's joint projection. `rotary`: these tokens' own."""
    q = attention.q_proj(x) if attention.qkv is None else F.linear(x, *_part(attention, 0, 1))
    return _placed(attention, "q_norm", rearrange(q, "b k (h d) -> b h k d", h=attention.num_heads), rotary)


def project_keys_values(
    attention: Attention, x: Float[Tensor, "b n width"], rotary: Rotary | None = None
) -> tuple[Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]:
    """K and V of the given tokens: the other two thirds. Where queries share them in groups, repeated for each."""
    if attention.qkv is not None:
        joint = F.linear(x, *_part(attention, 1, 3))
        k, v = rearrange(joint, "b n (two h d) -> two b h n d", two=2, h=attention.num_heads)
        return _placed(attention, "k_norm", k, rotary), v
    groups = getattr(attention, "num_kv_groups", 1)
    heads = attention.num_heads // groups
    k, v = (rearrange(part(x), "b n (h d) -> b h n d", h=heads) for part in (attention.k_proj, attention.v_proj))
    k = _placed(attention, "k_norm", k, rotary)
    return (k, v) if groups == 1 else (k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1))


def _part(attention: Attention, first: int, last: int) -> tuple[Tensor, Tensor | None]:
    third = attention.qkv.out_features // 3
    rows, bias = slice(first * third, last * third), _bias(attention)
    return attention.qkv.weight[rows], None if bias is None else bias[rows]


def _bias(attention: Attention) -> Tensor | None:
    """The joint projection's bias. BEiT and EVA hold it in parts, the keys' fixed at 0."""
    if getattr(attention, "q_bias", None) is None:
        return attention.qkv.bias
    return torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))


def _placed(
    attention: Attention, norm: str, heads: Float[Tensor, "b h n d"], rotary: Rotary | None
) -> Float[Tensor, "b h n d"]:
    """Queries or keys after their norm, if there is one, and their rotation."""
    normed = getattr(attention, norm, None)
    heads = heads if normed is None else normed(heads)
    return heads if rotary is None else rotary(heads)


def attend(
    q: Float[Tensor, "b h q d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    dropout: float = 0.0,
    bias: Bias | None = None,
) -> Float[Tensor, "b h q d"]:
    """softmax(Q Kᵀ / √d + bias) V, fused: no attention map is ever in memory."""
    if bias is None:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    if torch.compiler.is_exporting():  # ONNX's exporter cannot take the fused one with a bias apart
        return next(attention_rows(q, k, bias))[1] @ v.to(q.dtype)
    mask = bias.rows().to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, mask if mask.ndim == 4 else mask[None], dropout)


def attention_rows(
    q: Float[Tensor, "b h q d"], k: Float[Tensor, "b h n d"], bias: Bias | None = None
) -> Iterator[tuple[slice, Float[Tensor, "b h r n"]]]:
    """softmax(Q Kᵀ / √d + bias), a block of rows at a time, as (which rows, their values).

    A block is overwritten by the next one: use it or copy it before taking the next. No gradient flows through it.
    Under `torch.export` there is one block of all rows, so that the graph depends on no number of images.
    """
    q, k = q.detach(), k.detach()  # not `no_grad`: paused between blocks, that would hold for the caller too
    if torch.compiler.is_exporting():
        scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        yield slice(None), torch.softmax(scores if bias is None else scores + bias.rows().detach(), dim=-1)
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
        if bias is not None:
            block.view(b, h, -1, n).add_(bias.rows(rows).detach())
        yield rows, torch.softmax(block, dim=-1, out=block).view(b, h, -1, n)


def attend_keeping_mean(
    q: Float[Tensor, "b h n d"],
    k: Float[Tensor, "b h n d"],
    v: Float[Tensor, "b h n d"],
    mean: Float[Tensor, "b n n"] | None = None,
    bias: Bias | None = None,
) -> tuple[Float[Tensor, "b h n d"], Float[Tensor, "b n n"]]:
    """(attention's output, its map averaged over heads), for inference: each block of rows serves both, then is freed.

    `mean` is where the averaged map is written, if given.
    """
    if torch.compiler.is_exporting():
        _, whole = next(attention_rows(q, k, bias))
        return whole @ v.to(q.dtype), whole.mean(dim=1)
    b, h, n, d = q.shape
    output = q.new_empty((b, n, h, d)).transpose(1, 2)  # in this order joining the heads afterwards copies nothing
    mean = q.new_empty((b, n, n)) if mean is None else mean
    v = v.to(q.dtype)  # norms of queries and keys leave half precision under autocast, values do not
    for rows, block in attention_rows(q, k, bias):
        torch.matmul(block, v, out=output[:, :, rows])
        torch.sum(block, dim=1, out=mean[:, rows]).div_(h)  # twice as fast as torch.mean
    return output, mean


def dropout_of(attention: Attention) -> float:
    """The attention dropout that is in force: timm's rate while training, else 0."""
    return attention.attn_drop.p if attention.training else 0.0


def attend_in(placed: PlacedBlock, normed: Float[Tensor, "b n width"]) -> Attended:
    """Self-attention as a block of the backbone has it, fused: what `run_blocks` takes."""
    attention, positions = placed.block.attn, placed.positions
    return attend(*project(attention, normed, positions), dropout_of(attention), positions.bias)


def run_blocks(
    blocks: Iterable[PlacedBlock],
    x: Float[Tensor, "b n width"],
    attention: Callable[[PlacedBlock, Float[Tensor, "b n width"]], Attended],
) -> Float[Tensor, "b n width"]:
    """The last block's tokens: timm's blocks, with `attention` in the place of theirs.

    `attention` maps a block and what its attention takes, norm1(x) in a pre-norm block, to the heads' outputs.
    """
    for placed in blocks:
        normed = attention_input(placed.block, x)
        x = add_attention(placed.block, x, normed, attention(placed, normed))
        del normed  # nothing is held through the MLP, where memory peaks
        x = add_mlp(placed.block, x)
    return x


def attention_input(block: Block, x: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
    """What a block's attention takes: norm1(x), or x itself where the norm comes after."""
    return x if isinstance(block, POST_NORM) else block.norm1(x)


def finish_block(
    block: Block,
    x: Float[Tensor, "b n width"],
    normed: Float[Tensor, "b n width"],
    attended: Float[Tensor, "b h n d"],
) -> Float[Tensor, "b n width"]:
    """The rest of timm's block after its attention: gate, norm, projection, residual and MLP.

    `x` is the block's input (the residual) and `normed` = `attention_input`, of the query tokens only.
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
    y = rearrange(attended, "b h n d -> b n (h d)")
    y = attention.norm(y) if hasattr(attention, "norm") else y
    if getattr(attention, "gate", None) is not None:
        y = y * attention.gate(normed).sigmoid()
    y = attention.proj_drop(attention.proj(y))
    return x + block.drop_path1(block.norm1(y) if isinstance(block, POST_NORM) else _scaled(block, 1, y))


def add_mlp(block: Block, x: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
    """The second half of `finish_block`."""
    if isinstance(block, POST_NORM):
        return x + block.drop_path2(block.norm2(block.mlp(x)))
    return x + block.drop_path2(_scaled(block, 2, block.mlp(block.norm2(x))))


def _scaled(block: Block, half: int, y: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
    """LayerScale, a module of timm's vision transformers and a vector, or none, of EVA and BEiT."""
    if hasattr(block, f"ls{half}"):
        return getattr(block, f"ls{half}")(y)
    gamma = getattr(block, f"gamma_{half}")
    return y if gamma is None else gamma * y

"""Pair-wise cross-attention: softmax(Q_i K_cᵀ / √d) V_c, K_c = [K_i; K_j], V_c = [V_i; V_j], j the distractor of i.

Shares all its weights with SA and is used in training only. PAPER is silent on the distractor's stream at layer i; we
take PWCA's own, or SA's keys and values of every layer (an ablation). PAPER has as many pair-wise layers as SA. With
fewer (`pair_layers`), the last ones are pair-wise, and those before them plain self-attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.attention import (
    Attended,
    KeysValues,
    attend,
    attend_in,
    attention_rows,
    dropout_of,
    project,
    run_blocks,
)
from dcal.model.positions import Backbone, Bias, PlacedBlock, placed_blocks

Watch = Callable[[Float[Tensor, "b h n d"], Float[Tensor, "b h m d"], Bias | None], None]  # a layer's Q, K_c and bias


def random_matching(batch: int, generator: torch.Generator | None = None) -> Int[Tensor, " b"]:
    """partner[i], the index of image i's distractor: a random perfect matching, each the other's distractor.

    PAPER draws image 2 at random from the training set; ours comes from the same batch, which the loader has shuffled.
    The matching is shuffled too, since Re-ID batches hold an identity's images in a row. No image is paired with
    itself. An odd batch has no perfect matching: its last three (after shuffling) form a ring, i → j → k → i, which the
    model computes exactly but more slowly. Raises DCALError for a batch of one, which has no other image.
    """
    if batch < 2:
        raise DCALError(f"PWCA pairs the images of a batch: it needs at least 2, got {batch}")
    order = torch.randperm(batch, generator=generator)
    partner = torch.empty(batch, dtype=torch.long)
    paired = batch if batch % 2 == 0 else batch - 3
    partner[order[0:paired:2]], partner[order[1:paired:2]] = order[1:paired:2], order[0:paired:2]
    partner[order[paired:]] = order[paired:].roll(-1)
    return partner


def check_distractor(distractor: Int[Tensor, " indices"], batch: int) -> Int[Tensor, " indices"]:
    """`distractor` itself if it holds one index into the batch per image, else a DCALError."""
    integral = not (distractor.is_floating_point() or distractor.is_complex() or distractor.dtype == torch.bool)
    if integral and distractor.shape == (batch,) and (batch == 0 or 0 <= distractor.min() <= distractor.max() < batch):
        return distractor
    came = f"{tuple(distractor.shape)}, {distractor.dtype}"
    if distractor.numel() and not distractor.is_complex():
        came += f", values from {distractor.min()} to {distractor.max()}"
    raise DCALError(
        "distractor holds one index into the batch per image: "
        f"expected ({batch},), values from 0 to {batch - 1}, got {came}"
    )


def is_matching(partner: Int[Tensor, " b"]) -> bool:
    """Whether every image is the distractor of its own distractor, and none of itself."""
    everyone = torch.arange(len(partner), device=partner.device)
    return bool((partner[partner] == everyone).all() and (partner != everyone).all())


def pair_order(partner: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """The order in which partners of a matching stand side by side: (i, partner[i]), (j, partner[j]), …"""
    everyone = torch.arange(len(partner), device=partner.device)
    firsts = everyone[everyone < partner]
    return torch.stack([firsts, partner[firsts]], dim=1).flatten()


def encode_pairs(
    model: Backbone,
    x: Float[Tensor, "b n width"],
    partner: Int[Tensor, " b"],
    stream: Sequence[KeysValues] | None = None,
    pair_layers: int | None = None,
) -> Float[Tensor, "b n width"]:
    """The last block's tokens under pair-wise cross-attention. The same blocks as `dcal.model.backbone.encode`.

    `stream`: the distractors' keys and values of every layer, if not PWCA's own. When `partner` is a matching, a pair
    of PWCA's own is one sequence of 2n tokens and its attention plain self-attention, with nothing copied; otherwise
    (an odd batch's ring, an image as its own distractor, another stream) keys and values are gathered and joined.
    """
    if stream is None and is_matching(partner):
        return encode_matched(model, x, partner, pair_layers)
    return encode_joined(model, x, partner, stream, pair_layers)


def alone_and_paired(model: Backbone, pair_layers: int | None) -> tuple[list[PlacedBlock], list[PlacedBlock]]:
    """The blocks before the pair-wise ones, and these: the last `pair_layers`, all of them for None."""
    placed = placed_blocks(model)
    alone = 0 if pair_layers is None else len(placed) - pair_layers
    return placed[:alone], placed[alone:]


def encode_matched(
    model: Backbone, x: Float[Tensor, "b n width"], partner: Int[Tensor, " b"], pair_layers: int | None = None
) -> Float[Tensor, "b n width"]:
    """`encode_pairs` for a matching: each pair is one sequence of 2n tokens."""

    def paired(placed: PlacedBlock, normed: Float[Tensor, "b n width"]) -> Attended:
        attention, positions = placed.block.attn, placed.positions.paired()
        q, k, v = project(attention, rearrange(normed, "(pair two) n d -> pair (two n) d", two=2), positions)
        attended = attend(q, k, v, dropout_of(attention), positions.bias)
        return rearrange(attended, "pair h (two n) d -> (pair two) h n d", two=2)

    order, (alone, together) = pair_order(partner), alone_and_paired(model, pair_layers)
    return run_blocks(together, run_blocks(alone, x, attend_in)[order], paired)[order.argsort()]


def encode_joined(
    model: Backbone,
    x: Float[Tensor, "b n width"],
    partner: Int[Tensor, " b"],
    stream: Sequence[KeysValues] | None = None,
    pair_layers: int | None = None,
    watch: Watch | None = None,
) -> Float[Tensor, "b n width"]:
    """`encode_pairs` for any partners: K_c and V_c are built as written.

    `watch` gets every pair-wise layer's Q, K_c and bias.
    """
    alone, together = alone_and_paired(model, pair_layers)
    others: Iterator[KeysValues] | None = None if stream is None else iter(stream[len(alone) :])

    def joined(placed: PlacedBlock, normed: Float[Tensor, "b n width"]) -> Attended:
        attention, bias = placed.block.attn, placed.positions.bias and placed.positions.bias.keys_twice()
        q, k, v = project(attention, normed, placed.positions)
        distractors = (k, v) if others is None else next(others)
        k, v = (torch.cat([own, other[partner]], dim=2) for own, other in zip((k, v), distractors, strict=True))
        if watch is not None:
            watch(q, k, bias)
        return attend(q, k, v, dropout_of(attention), bias)

    return run_blocks(together, run_blocks(alone, x, attend_in), joined)


@torch.no_grad()
def attention_shares(
    model: Backbone,
    x: Float[Tensor, "b n width"],
    partner: Int[Tensor, " b"],
    stream: Sequence[KeysValues] | None = None,
    pair_layers: int | None = None,
) -> Float[Tensor, " layers"]:
    """For each layer, the part of softmax(Q_i K_cᵀ / √d) that falls on the distractor's keys, in [0, 1].

    The mean over heads, queries and images; maps are made a block of rows at a time. Two equal images give ½; a
    distractor that is ignored gives 0, and so does a layer that is not pair-wise.
    """
    shares: list[Tensor] = [x.new_zeros(()) for _ in alone_and_paired(model, pair_layers)[0]]

    def measure(q: Tensor, keys: Tensor, bias: Bias | None) -> None:
        n = q.shape[2]
        parts = [block[..., n:].sum() for _, block in attention_rows(q, keys, bias)]
        shares.append(torch.stack(parts).sum() / q[..., 0].numel())

    encode_joined(model, x, partner, stream, pair_layers, measure)
    return torch.stack(shares)

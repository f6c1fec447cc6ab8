"""How a backbone's attention knows where tokens are, where their embeddings alone do not say it.

timm's plain vision transformers add a position embedding to every token; then attention needs nothing more. Eva models
rotate queries and keys (`Rotary`), BEiT and relative-position models add a bias to the scores (`Bias`). Either belongs
to tokens' places in one image. In PWCA a distractor's tokens have the places of their own image, as if it lay over the
other one, so that an image as its own distractor gives SA here, too. GLCA's query that stands for a pooled mean has the
mean of the biases, and no rotation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from timm.layers import apply_rot_embed_cat
from torch import Tensor, nn

from dcal.model.shapes import describe

# timm's models, blocks and attentions: modules of many classes, that have in common what is read off them here.
Backbone = Any
Block = Any
Attention = Any


@dataclass(frozen=True, repr=False)
class Rotary:
    """Sine and cosine of every token's angles, side by side; prefix tokens have angle 0. Of all heads, or a head each.

    `half`: which numbers turn together, the two halves' or neighbours.
    """

    embedding: Float[Tensor, "*h n two_d"]
    half: bool
    __repr__ = describe

    def __call__(self, x: Float[Tensor, "b h n d"]) -> Float[Tensor, "b h n d"]:
        return apply_rot_embed_cat(x, self.embedding, half=self.half)

    def at(self, tokens: Int[Tensor, "b m"]) -> Rotary:
        """Of the given tokens only, each image's own."""
        chosen = self.embedding[..., tokens, :]  # (b, m, 2 d) or (h, b, m, 2 d)
        return replace(self, embedding=chosen[:, None] if chosen.ndim == 3 else chosen.transpose(0, 1))

    def twice(self) -> Rotary:
        """Of two images' tokens, one after the other."""
        return replace(self, embedding=torch.cat([self.embedding, self.embedding], dim=-2))

    def with_pooled(self) -> Rotary:
        """With one more token at the end, which is not rotated."""
        return replace(self, embedding=torch.cat([self.embedding, unrotated(self.embedding, 1)], dim=-2))


def unrotated(embedding: Float[Tensor, "*h n two_d"], count: int) -> Float[Tensor, "*h count two_d"]:
    """The embedding of `count` tokens that keep their angle: sine 0, cosine 1."""
    rows = torch.zeros_like(embedding[..., :1, :])
    rows[..., rows.shape[-1] // 2 :] = 1
    return rows.expand(*rows.shape[:-2], count, -1)


@dataclass(frozen=True, repr=False)
class Bias:
    """What is added to the scores of query i and key j in every head: `table[index[i, j]]`, far less than n² a head."""

    table: Float[Tensor, "r h"]
    index: Int[Tensor, "*b m n"]
    __repr__ = describe

    def rows(self, rows: slice = slice(None)) -> Float[Tensor, "*b h m n"]:
        """The bias of some queries."""
        return self.table[self.index[..., rows, :]].movedim(-1, -3)

    def at(self, tokens: Int[Tensor, "*b m"]) -> Bias:
        """Of the given queries only."""
        return replace(self, index=self.index[tokens])

    def keys_twice(self) -> Bias:
        """Of two images' keys, one after the other."""
        return replace(self, index=torch.cat([self.index, self.index], dim=-1))

    def twice(self) -> Bias:
        """Of two images' queries and keys."""
        return replace(self, index=torch.cat([self.index, self.index], dim=-2)).keys_twice()

    def with_pooled(self, weights: Float[Tensor, " n"]) -> Bias:
        """With one more query at the end, whose bias is the mean over all others by `weights`."""
        mean = torch.einsum("i,hij->jh", weights, self.rows())
        own = len(self.table) + torch.arange(len(mean), device=self.index.device)
        return Bias(torch.cat([self.table, mean.to(self.table)]), torch.cat([self.index, own[None]]))

    def detach(self) -> Bias:
        return replace(self, table=self.table.detach())


@dataclass(frozen=True)
class Positions:
    """What one block's attention knows of places; nothing, where the tokens' embeddings say it."""

    rotary: Rotary | None = None
    bias: Bias | None = None

    def paired(self) -> Positions:
        """For the tokens of two images as one sequence."""
        return Positions(self.rotary and self.rotary.twice(), self.bias and self.bias.twice())

    def asking(self, tokens: Int[Tensor, "b m"], weights: Float[Tensor, "b n"] | None) -> Positions:
        """For the given queries only. Number n is the pooled mean by `weights`, which are the same for all images."""
        rotary, bias = self.rotary, self.bias
        if weights is not None:
            rotary = rotary and rotary.with_pooled()
            bias = bias and bias.with_pooled(weights[0])
        return Positions(rotary and rotary.at(tokens), bias and bias.at(tokens))


ABSOLUTE = Positions()


@dataclass(frozen=True)
class PlacedBlock:
    """A block of timm's, and where the tokens are for its attention."""

    block: Block
    positions: Positions = ABSOLUTE


def placed_blocks(backbone: Backbone) -> list[PlacedBlock]:
    """The backbone's blocks in their order. Learned positions have their gradients."""
    rotary, shared = rotaries(backbone), shared_bias(backbone)
    places = (Positions(rotary(index), bias_in(block, shared)) for index, block in enumerate(backbone.blocks))
    return [PlacedBlock(block, positions) for block, positions in zip(backbone.blocks, places, strict=True)]


def place_as_last(backbone: Backbone) -> Callable[[Block], Positions]:
    """Where tokens are for a block that started as a copy of the backbone's last: at that one's place."""
    rotary, shared = rotaries(backbone)(len(backbone.blocks) - 1), shared_bias(backbone)
    return lambda block: Positions(rotary, bias_in(block, shared))


def grid_of(backbone: Backbone) -> tuple[int, int]:
    """How many patches an image has, (rows, columns). A NaFlex model has a grid by `fix_image_size` only."""
    if not hasattr(backbone, "embeds"):
        return backbone.patch_embed.grid_size
    return backbone.embeds.dynamic_feat_size(backbone.embeds.default_img_size)


def rotaries(backbone: Backbone) -> Callable[[int], Rotary | None]:
    """The rotary embedding of block i: the same for all, or, where their frequencies are learned, its own."""
    rope = getattr(backbone, "rope", None)
    if rope is None:
        return lambda index: None
    fixed = hasattr(rope, "feat_shape") and not getattr(backbone, "dynamic_img_size", True)
    embedding = rope.get_embed() if fixed else rope.get_embed(shape=grid_of(backbone))
    prefix = unrotated(embedding, backbone.num_prefix_tokens)
    embedding, half = torch.cat([prefix, embedding], dim=-2), bool(backbone.blocks[0].attn.rotate_half)
    own = getattr(backbone, "rope_mixed", False) or getattr(backbone, "rope_is_mixed", False)  # Eva's name, NaFlex'
    return lambda index: Rotary(embedding[index] if own else embedding, half)


def shared_bias(backbone: Backbone) -> Bias | None:
    """The bias that all blocks share."""
    modules = (getattr(backbone, name, None) for name in ("rel_pos_bias", "shared_rel_pos"))  # BEiT, relative positions
    return next((bias_of(module) for module in modules if module is not None), None)


def bias_in(block: Block, shared: Bias | None) -> Bias | None:
    """The bias in a block: its own, what all share, or, in BEiT, the sum of both."""
    attention = block.attn
    if getattr(attention, "relative_position_bias_table", None) is not None:
        own = bias_of(attention)
        return own if shared is None else replace(own, table=own.table + shared.table)
    rel_pos = getattr(attention, "rel_pos", None)
    return shared if rel_pos is None else bias_of(rel_pos)


def bias_of(module: Any) -> Bias:
    """The bias in a module of timm's that has a table of it, or makes one from coordinates (`RelPosMlp`)."""
    index = module.relative_position_index
    if hasattr(module, "relative_position_bias_table"):
        size = round(index.numel() ** 0.5)
        return Bias(module.relative_position_bias_table, index.view(size, size))
    table = module.bias_act(module.mlp(module.rel_coords_log).view(-1, module.num_heads))
    table = table if module.bias_gain is None else module.bias_gain * table
    index = index.view(module.window_area, module.window_area)
    if module.prefix_tokens:  # prefix tokens have none
        index = nn.functional.pad(index, [module.prefix_tokens, 0] * 2, value=len(table))
        table = torch.cat([table, torch.zeros_like(table[:1])])
    return Bias(table, index)

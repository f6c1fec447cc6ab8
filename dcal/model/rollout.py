"""Attention rollout without ever multiplying N×N by N×N.

PAPER: S̄_i = ½ S_i + ½ E and Ŝ_i = S̄_i S̄_{i-1} … S̄_1; row 0 of Ŝ_i is how much of every input token is in the class
token after layer i. Only that row is wanted, so it goes down the layers as a vector: r ← ½ r + ½ r S_i, from layer i to
layer 1. PAPER is silent on how heads are fused; we take their mean. Maximum and minimum are offered for exploring only.

PAPER's models read the class token. Where a backbone pools instead, the rollout starts from what is pooled: w · Ŝ_i,
with w the mean's weights or the pooling's own attention (`dcal.model.pooling`); for the class token w is row 0 of E.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dcal.errors import DCALError, check_choice
from dcal.model.attention import attention_rows
from dcal.model.positions import Bias
from dcal.model.shapes import describe

_FUSE: dict[str, Callable[..., Tensor]] = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}
FUSIONS = tuple(_FUSE)


@dataclass(frozen=True, repr=False)
class HeadMean:
    """A layer's attention S, averaged over heads and kept: b·n² numbers."""

    matrix: Float[Tensor, "b n n"]
    __repr__ = describe

    def first_row(self) -> Float[Tensor, "b 1 n"]:
        return self.row(0)

    def row(self, token: int) -> Float[Tensor, "b 1 n"]:
        """Row `token` of S."""
        return self.matrix[:, token : token + 1]

    def apply(self, rows: Float[Tensor, "b m n"]) -> Float[Tensor, "b m n"]:
        """rows · S"""
        return torch.bmm(rows, self.matrix)


@dataclass(frozen=True, repr=False)
class QueriesKeys:
    """A layer's attention as its queries and keys, 2·b·n·width numbers: the maps are recomputed a block at a time."""

    queries: Float[Tensor, "b h n d"]
    keys: Float[Tensor, "b h n d"]
    bias: Bias | None = None
    __repr__ = describe

    def first_row(self) -> Float[Tensor, "b 1 n"]:
        return self.row(0)

    def row(self, token: int) -> Float[Tensor, "b 1 n"]:
        """Row `token` of S: what that token attends to, averaged over heads."""
        _, block = next(self.blocks(slice(token, token + 1)))
        return block.mean(dim=1)

    def blocks(self, tokens: slice = slice(None)) -> Iterator[tuple[slice, Float[Tensor, "b h r n"]]]:
        """Some tokens' rows of every head's map, a block at a time (`attention_rows`)."""
        bias = None if self.bias is None else Bias(self.bias.table, self.bias.index[tokens])
        return attention_rows(self.queries[:, :, tokens], self.keys, bias)

    def apply(self, rows: Float[Tensor, "b m n"]) -> Float[Tensor, "b m n"]:
        """rows · S"""
        total = torch.zeros_like(rows)
        for where, block in self.blocks():
            total.baddbmm_(rows[:, :, where], block.mean(dim=1))
        return total

    def fused(self, fusion: str = "mean", discard: float = 0.0) -> HeadMean:
        """S under another head fusion, with the lowest share `discard` of each row's entries set to zero.

        Rows sum to 1 afterwards: fusing by maximum or minimum and discarding both change the sum, so rows are
        renormalised before the identity is mixed in. A row whose entries all fuse to zero keeps its own token.
        Raises DCALError for an unknown fusion or a discard outside [0, 1).
        """
        check_choice("head fusion", fusion, FUSIONS)
        if not 0 <= discard < 1:
            raise DCALError(f"discard is the share of each row that is dropped: it must lie in [0, 1), got {discard}")
        fuse = _FUSE[fusion]
        b, _, n, _ = self.queries.shape
        matrix = self.queries.new_empty((b, n, n))
        for where, block in self.blocks():
            matrix[:, where] = fuse(block, dim=1)
        dropped = int(discard * n)
        if dropped:
            matrix.scatter_(-1, matrix.topk(dropped, dim=-1, largest=False).indices, 0.0)
        return HeadMean(normalise_rows(matrix))


Layer = HeadMean | QueriesKeys
Pooled = Float[Tensor, "b n"] | None  # how much of every token is pooled; None: the class token is read


def normalise_rows(matrix: Float[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    """`matrix` with rows that sum to 1; a row of zeros becomes the identity's row (its token keeps to itself)."""
    sums = matrix.sum(dim=-1, keepdim=True)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(sums > 0, matrix / sums.clamp_min(torch.finfo(matrix.dtype).tiny), identity)


@torch.no_grad()
def carry_down(rows: Float[Tensor, "b m n"], layers: Sequence[Layer]) -> Float[Tensor, "b m n"]:
    """rows · Ŝ_L: attention on the last layer's tokens, carried down to the input tokens."""
    for layer in reversed(layers):
        rows = rollout_step(rows, layer)
    return rows


@torch.no_grad()
def pooled_row(layer: Layer, pooled: Pooled = None) -> Float[Tensor, "b n"]:
    """What the class token attends to in one layer, heads averaged; or the mean of what tokens do by `pooled`."""
    return layer.first_row()[:, 0] if pooled is None else layer.apply(pooled[:, None])[:, 0]


def rollout_step(rows: Float[Tensor, "b m n"], layer: Layer) -> Float[Tensor, "b m n"]:
    """rows · S̄ = ½ rows + ½ rows · S: one layer of the rollout."""
    return torch.lerp(rows, layer.apply(rows), 0.5)


@torch.no_grad()
def class_rollout(layers: Sequence[Layer], pooled: Pooled = None) -> Float[Tensor, "b n"]:
    """Row 0 of Ŝ_L, or the rows' mean by the weights `pooled`. Rows sum to 1."""
    return carry_down(_mixed_row(layers[-1], 0, pooled), layers[:-1])[:, 0]


@torch.no_grad()
def layer_rollouts(layers: Sequence[Layer], token: int = 0, pooled: Pooled = None) -> Float[Tensor, "b l n"]:
    """Row `token` of Ŝ_1, …, Ŝ_L (0: the class token), of which layers[0] is the first; or the mean by `pooled`.

    One m×n matrix goes down, and each layer puts its own row on top on the way.
    """
    rows = _mixed_row(layers[-1], token, pooled)
    for layer in reversed(layers[:-1]):
        rows = torch.cat([_mixed_row(layer, token, pooled), rollout_step(rows, layer)], dim=1)
    return rows


def _mixed_row(layer: Layer, token: int, pooled: Pooled = None) -> Float[Tensor, "b 1 n"]:
    """Row `token` of S̄ = ½ S + ½ E, or the mean by `pooled`."""
    if pooled is not None:
        return rollout_step(pooled[:, None], layer)
    row = layer.row(token) * 0.5
    row[..., token] += 0.5
    return row

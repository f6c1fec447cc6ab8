"""Global-local cross-attention: the most-attended patches attend to the whole image again.

PAPER: the top-R queries by row 0 of the rollout, f_GLCA = softmax(Q^l K^gᵀ / √d) V^g, weights not shared with SA.
PAPER is silent on the block; ours is a whole pre-norm encoder block: queries, residual and MLP on the selected tokens
only, keys and values of all tokens (the only reading whose overhead matches the stated one). It starts as a copy of the
last SA block. Where the backbone reads no class token, the mean of the tokens that it pools takes its place
(`dcal.model.pooling`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dcal.errors import check_choice
from dcal.model.attention import (
    attend,
    attention_input,
    attention_rows,
    dropout_of,
    finish_block,
    project_keys_values,
    project_queries,
)
from dcal.model.config import check_ratio
from dcal.model.positions import ABSOLUTE, Backbone, Bias, Block, Positions
from dcal.model.rollout import Pooled

# A block, its Q (b h m d), K and V (b h n d), and the bias of its queries → what these attend to (b h m d)
CrossAttention = Callable[[Block, Tensor, Tensor, Tensor, Bias | None], Tensor]
Place = Callable[[Block], Positions]  # where the backbone's tokens are for a block's attention


def selected_count(patches: int, ratio: float) -> int:
    """How many of `patches` the top `ratio` is: to the nearest, at least one. Raises DCALError outside (0, 1]."""
    return max(1, round(check_ratio(ratio) * patches))


def select_patches(scores: Float[Tensor, "b p"], ratio: float) -> Int[Tensor, "b k"]:
    """Indices of the top `ratio` of patches by score, best first. The class token is no patch: it is always a query."""
    return scores.topk(selected_count(scores.shape[1], ratio), dim=1).indices


class GLCA(nn.Module):
    """M global-local cross-attention blocks and a final norm, for a backbone whose last block they start from.

    PAPER has M = 1 and is silent on more. Ours are one after the other: the queries of a later block are the outputs of
    the one before, keys and values are always those of all tokens as SA leaves them.
    """

    def __init__(self, backbone: Backbone, num_layers: int = 1) -> None:
        super().__init__()
        self.prefix = backbone.num_prefix_tokens
        self.block = copy.deepcopy(backbone.blocks[-1])
        self.later = nn.ModuleList(copy.deepcopy(backbone.blocks[-1]) for _ in range(num_layers - 1))
        # some backbones normalise after pooling; the branch's embedding is normalised the same way, before averaging
        self.norm = copy.deepcopy(backbone.fc_norm if isinstance(backbone.norm, nn.Identity) else backbone.norm)

    def forward(
        self,
        tokens: Float[Tensor, "b n width"],
        selected: Int[Tensor, "b k"],
        pooled: Pooled = None,
        place: Place = lambda block: ABSOLUTE,
    ) -> Float[Tensor, "b k_and_class width"]:
        """The class token and the selected patches, class token first, after attending to all `tokens`.

        `pooled` and `place` are what the backbone says of itself: `pooled_weights`, and `place_as_last`.
        """

        def cross_attention(block: Block, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> Tensor:
            return attend(q, k, v, dropout_of(block.attn), bias)

        return self.walk(tokens, selected, cross_attention, pooled, place)

    def walk(
        self,
        tokens: Float[Tensor, "b n width"],
        selected: Int[Tensor, "b k"],
        attention: CrossAttention,
        pooled: Pooled = None,
        place: Place = lambda block: ABSOLUTE,
    ) -> Float[Tensor, "b k_and_class width"]:
        """`forward` with another `attention`, called for each block with it, its Q (of the queries), K, V (of all)."""
        queries, asking = self._gather(tokens, selected, pooled), self.asking(tokens, selected, pooled)
        for block in (self.block, *self.later):
            positions = place(block)
            own = positions.asking(asking, pooled)
            normed = attention_input(block, queries)
            q = project_queries(block.attn, normed, own.rotary)
            k, v = project_keys_values(block.attn, attention_input(block, tokens), positions.rotary)
            queries = finish_block(block, queries, normed, attention(block, q, k, v, own.bias))
        return self.norm(queries)

    def attention(
        self,
        tokens: Float[Tensor, "b n width"],
        selected: Int[Tensor, "b k"],
        pooled: Pooled = None,
        place: Place = lambda block: ABSOLUTE,
    ) -> Float[Tensor, "b h k_and_class n"]:
        """The maps behind `forward`: what the class token and each selected patch attend to, per head. No gradient.

        Of several blocks, the last one's.
        """
        maps: list[Tensor] = []

        def kept(block: Block, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> Tensor:
            maps[:] = [torch.cat([rows.clone() for _, rows in attention_rows(q, k, bias)], dim=2)]
            return attend(q, k, v, bias=bias)

        self.walk(tokens, selected, kept, pooled, place)
        return maps[0]

    def asking(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"], pooled: Pooled = None
    ) -> Int[Tensor, "b m"]:
        """Which tokens are queries: the class token (0), or the pooled mean, which is no token (n); then patches."""
        first = torch.full_like(selected[:, :1], 0 if pooled is None else tokens.shape[1])
        return torch.cat([first, selected + self.prefix], dim=1)

    def _gather(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"], pooled: Pooled
    ) -> Float[Tensor, "b m width"]:
        queries = self.asking(tokens, selected, pooled)
        if pooled is not None:
            tokens = torch.cat([tokens, pooled[:, None].to(tokens.dtype) @ tokens], dim=1)
        return tokens.gather(1, queries[..., None].expand(-1, -1, tokens.shape[2]))


def read_out(queries: Float[Tensor, "b m width"], readout: str) -> Float[Tensor, "b width"]:
    """The branch's embedding from the block's outputs, class token first.

    PAPER is silent. `"mean"`, ours: the class token's output and the mean of the selected patches' outputs, averaged.
    `"class"`, the literal reading: the class token alone, which attends to all keys whatever was selected, so that R
    has no effect on it at all (the trap; a test proves it).
    """
    check_choice("readout", readout, ("mean", "class"))
    if readout == "class":
        return queries[:, 0]
    return 0.5 * (queries[:, 0] + queries[:, 1:].mean(dim=1))

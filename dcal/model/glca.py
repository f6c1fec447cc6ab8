"""Global-local cross-attention: the most-attended patches attend to the whole image again.

PAPER: the top-R queries by row 0 of the rollout, f_GLCA = softmax(Q^l K^gᵀ / √d) V^g, weights not shared with SA.
PAPER is silent on the block; ours is a whole pre-norm encoder block: queries, residual and MLP on the selected tokens
only, keys and values of all tokens (the only reading whose overhead matches the stated one). It starts as a copy of the
last SA block.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from timm.models import VisionTransformer
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from dcal.errors import check_choice
from dcal.model.attention import attend, attention_rows, dropout_of, finish_block, project_keys_values, project_queries
from dcal.model.config import check_ratio

# A block, its Q (b h m d), K and V (b h n d) → what its queries attend to (b h m d)
CrossAttention = Callable[[Block, Tensor, Tensor, Tensor], Tensor]


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

    def __init__(self, backbone: VisionTransformer, num_layers: int = 1) -> None:
        super().__init__()
        self.prefix = backbone.num_prefix_tokens
        self.block = copy.deepcopy(backbone.blocks[-1])
        self.later = nn.ModuleList(copy.deepcopy(backbone.blocks[-1]) for _ in range(num_layers - 1))
        # some backbones normalise after pooling; the branch's embedding is normalised the same way, before averaging
        self.norm = copy.deepcopy(backbone.fc_norm if isinstance(backbone.norm, nn.Identity) else backbone.norm)

    def forward(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]
    ) -> Float[Tensor, "b k_and_class width"]:
        """The class token and the selected patches, class token first, after attending to all `tokens`."""
        return self.walk(tokens, selected, lambda block, q, k, v: attend(q, k, v, dropout_of(block.attn)))

    def walk(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"], attention: CrossAttention
    ) -> Float[Tensor, "b k_and_class width"]:
        """`forward` with another `attention`, called for each block with it and its Q (of the queries), K, V (of all).

        The first block's keys, values and queries are projected from one norm of all tokens.
        """
        queries = self._gather(tokens, selected)
        for block in (self.block, *self.later):
            normed = block.norm1(queries)
            q = project_queries(block.attn, normed)
            k, v = project_keys_values(block.attn, block.norm1(tokens))
            queries = finish_block(block, queries, normed, attention(block, q, k, v))
        return self.norm(queries)

    def attention(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]
    ) -> Float[Tensor, "b h k_and_class n"]:
        """The maps behind `forward`: what the class token and each selected patch attend to, per head. No gradient.

        Of several blocks, the last one's.
        """
        maps: list[Tensor] = []

        def kept(block: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            maps[:] = [torch.cat([rows.clone() for _, rows in attention_rows(q, k)], dim=2)]
            return attend(q, k, v)

        self.walk(tokens, selected, kept)
        return maps[0]

    def _gather(self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]) -> Float[Tensor, "b m width"]:
        queries = torch.cat([torch.zeros_like(selected[:, :1]), selected + self.prefix], dim=1)
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

"""Global-local cross-attention: the most-attended patches attend to the whole image again.

PAPER: the top-R queries by row 0 of the rollout, f_GLCA = softmax(Q^l K^gᵀ / √d) V^g, weights not shared with SA.
PAPER is silent on the block; ours is a whole pre-norm encoder block: queries, residual and MLP on the selected tokens
only, keys and values of all tokens (the only reading whose overhead matches the stated one). It starts as a copy of the
last SA block.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float, Int
from timm.models import VisionTransformer
from torch import Tensor, nn

from dcal.errors import check_choice
from dcal.model.attention import attend, attention_rows, dropout_of, finish_block, project_keys_values, project_queries
from dcal.model.config import check_ratio

CrossHeads = tuple[Float[Tensor, "b h m d"], Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]


def selected_count(patches: int, ratio: float) -> int:
    """How many of `patches` the top `ratio` is: to the nearest, at least one. Raises DCALError outside (0, 1]."""
    return max(1, round(check_ratio(ratio) * patches))


def select_patches(scores: Float[Tensor, "b p"], ratio: float) -> Int[Tensor, "b k"]:
    """Indices of the top `ratio` of patches by score, best first. The class token is no patch: it is always a query."""
    return scores.topk(selected_count(scores.shape[1], ratio), dim=1).indices


class GLCA(nn.Module):
    """One global-local cross-attention block and its final norm, for a backbone whose last block it starts from."""

    def __init__(self, backbone: VisionTransformer) -> None:
        super().__init__()
        self.prefix = backbone.num_prefix_tokens
        self.block = copy.deepcopy(backbone.blocks[-1])
        # some backbones normalise after pooling; the branch's embedding is normalised the same way, before averaging
        self.norm = copy.deepcopy(backbone.fc_norm if isinstance(backbone.norm, nn.Identity) else backbone.norm)

    def forward(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]
    ) -> Float[Tensor, "b k_and_class width"]:
        """The class token and the selected patches, class token first, after attending to all `tokens`."""
        q, k, v = self.heads(tokens, selected)
        return self.finish(tokens, selected, attend(q, k, v, dropout_of(self.block.attn)))

    def heads(self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]) -> CrossHeads:
        """Q of the class token and the selected patches, K and V of all `tokens`."""
        normed = self.block.norm1(tokens)
        k, v = project_keys_values(self.block.attn, normed)
        return project_queries(self.block.attn, self._gather(normed, selected)), k, v

    def finish(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"], attended: Float[Tensor, "b h m d"]
    ) -> Float[Tensor, "b m width"]:
        """What `forward` gives, from the output of its attention."""
        own = self._gather(tokens, selected)
        return self.norm(finish_block(self.block, own, self.block.norm1(own), attended))

    def attention(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]
    ) -> Float[Tensor, "b h k_and_class n"]:
        """The maps behind `forward`: what the class token and each selected patch attend to, per head. No gradient."""
        q, k, _ = self.heads(tokens, selected)
        return torch.cat([block.clone() for _, block in attention_rows(q, k)], dim=2)

    def _gather(self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]) -> Float[Tensor, "b m width"]:
        queries = torch.cat([torch.zeros_like(selected[:, :1]), selected + self.prefix], dim=1)
        return tokens.take_along_dim(queries[..., None], dim=1)


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

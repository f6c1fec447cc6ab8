"""What stands for the class token where a backbone has none, or does not read it: what its head pools.

PAPER's models read the class token: its row is the rollout's start, and it is a query of GLCA. timm's models may pool
otherwise, and then the same questions are asked of what is pooled. A global average is a mean of the patches; an
attention pooling (`AttentionPoolLatent`: SigLIP, PE) a mean of tokens' values by the attention of a learned query,
averaged over heads here. So the rollout starts from that mean of rows, and GLCA's first query is that mean of the last
block's tokens. The weights are no path for gradients, as the selection is none. A distilled model reads its class and
its distillation token; its class token stands for both, as in PAPER.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.attention import attention_rows
from dcal.model.positions import Attention, Backbone
from dcal.model.rollout import Pooled

PoolHeads = tuple[Float[Tensor, "b h m d"], Float[Tensor, "b h n d"], Float[Tensor, "b h n d"]]


def attention_pool(backbone: Backbone) -> Attention | None:
    """The backbone's attention pooling, if that is how it pools."""
    return backbone.attn_pool if getattr(backbone, "attn_pool", None) is not None else None


def pooled_prefix(backbone: Backbone) -> int:
    """How many prefix tokens are left out of what is pooled. timm's Eva pools all by attention, and patches by mean."""
    everything = getattr(backbone, "pool_include_prefix", attention_pool(backbone) is not None)
    return 0 if everything else backbone.num_prefix_tokens


@torch.no_grad()
def pooled_weights(backbone: Backbone, tokens: Float[Tensor, "b n width"]) -> Pooled:
    """How much of each of the last block's tokens is pooled, rows summing to 1; None if the class token is read.

    Raises DCALError for a pooling that is no mean of tokens.
    """
    b, n, _ = tokens.shape
    pool, prefix = attention_pool(backbone), pooled_prefix(backbone)
    if pool is None and backbone.global_pool == "token":
        return None
    weights = tokens.new_zeros((b, n))
    if pool is None and backbone.global_pool != "avg":
        raise DCALError(f"maps need a feature that is a mean of tokens, not pooled by {backbone.global_pool!r}")
    if pool is None:
        weights[:, prefix:] = 1 / (n - prefix)
        return weights
    q, k, _ = pool_heads(pool, backbone.norm(tokens)[:, prefix:])
    _, attention = next(attention_rows(q, k))
    weights[:, prefix:] = attention[:, :, 0].mean(dim=1)
    return weights


def readout_weights(backbone: Backbone, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b n"]:
    """How much of every token's output timm's pooling takes into the feature, where that is a mean of tokens.

    Unlike `pooled_weights` it counts a distilled model's two tokens. For attention pooling, which a relevance passes as
    it passes a block, it is 0: nothing is read out as it is.
    """
    weights = tokens.new_zeros(tokens.shape[:2])
    if attention_pool(backbone) is not None:
        return weights
    if hasattr(backbone, "head_dist"):  # timm's distilled models: the mean of the class and the distillation token
        weights[:, :2] = 0.5
        return weights
    pooled = pooled_weights(backbone, tokens)
    if pooled is None:
        weights[:, 0] = 1
        return weights
    return pooled


def pool_heads(pool: Attention, tokens: Float[Tensor, "b n width"]) -> PoolHeads:
    """Q of the pooling's learned query, K and V of the normed tokens."""
    q = rearrange(pool.q(pool.latent), "one m (h d) -> one h m d", h=pool.num_heads)
    k, v = rearrange(pool.kv(tokens), "b n (two h d) -> two b h n d", two=2, h=pool.num_heads)
    return pool.q_norm(q.expand(tokens.shape[0], -1, -1, -1)), pool.k_norm(k), v


def finish_pool(pool: Attention, attended: Float[Tensor, "b h 1 d"]) -> Float[Tensor, "b width"]:
    """What is pooled, from the attention's output: projection and MLP."""
    x = pool.proj_drop(pool.proj(rearrange(attended, "b h m d -> b m (h d)")))
    return (x if pool.mlp is None else x + pool.mlp(pool.norm(x)))[:, 0]

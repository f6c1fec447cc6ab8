"""The paper's formulas in naive float64 loops over one picture's tokens: what the fast ways are held against.

Everything is numpy, written from the plain weights of a timm block. Of timm's modules only those are called that treat
each token by itself (norms, MLP, projection), never its attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models import VisionTransformer
from timm.models.vision_transformer import Block
from torch import Tensor, nn

Array = NDArray[np.float64]


def randomise(module: nn.Module, seed: int = 5, gain: float = 1.5) -> None:
    """Gives every parameter values that matter: no zero biases, tiny LayerScales or uniform attention to hide behind.

    Matrices keep the size of what goes through them times `gain`, so that logits are far from uniform. The values come
    from one pool of a prime length, which for large models takes a tenth of the time that drawing them would.
    """
    pool = torch.randn(100_003, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start = 0
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            values = pool.roll(-start).repeat(parameter.numel() // len(pool) + 1)[: parameter.numel()]
            start = (start + parameter.numel()) % len(pool)
            scale, shift = _spread(name, parameter, gain)
            parameter.copy_(values.view_as(parameter) * scale + shift)


def _spread(name: str, parameter: Tensor, gain: float) -> tuple[float, float]:
    if name.endswith("gamma"):  # LayerScale
        return 0.3, 0.6
    if parameter.ndim == 1:
        return 0.2, 1.0 if name.endswith("weight") else 0.0  # a norm's, or a bias
    return (0.5, 0.0) if parameter.ndim == 3 else (gain / math.sqrt(parameter[0].numel()), 0.0)  # tokens and positions


def softmax(logits: Array) -> Array:
    exponentials = np.array([math.exp(logit - max(logits)) for logit in logits])
    return exponentials / sum(exponentials)


def attention_map(q: Array, k: Array) -> Array:
    """(h, m, d), (h, n, d) → (h, m, n): softmax(q·k / √d), a number at a time."""
    (h, m, d), n = q.shape, k.shape[1]
    logits = np.zeros((h, m, n))
    for head in range(h):
        for i in range(m):
            for j in range(n):
                logits[head, i, j] = sum(q[head, i, a] * k[head, j, a] for a in range(d)) / math.sqrt(d)
    return np.array([[softmax(logits[head, i]) for i in range(m)] for head in range(h)])


def attend(q: Array, k: Array, v: Array) -> Array:
    """(h, m, d): for each head and query, the values' sum, weighted by the map."""
    attention, output = attention_map(q, k), np.zeros_like(q)
    for head in range(len(q)):
        for i in range(q.shape[1]):
            for j in range(k.shape[1]):
                output[head, i] += attention[head, i, j] * v[head, j]
    return output


def heads(block: Block, normed: Tensor) -> tuple[Array, Array, Array]:
    """Q, K and V, each (h, n, d), of normalised tokens (n, width): rows of timm's joint matrix, head by head."""
    attention = block.attn
    weight, count, d = array(attention.qkv.weight), attention.num_heads, attention.head_dim
    bias = np.zeros(len(weight)) if attention.qkv.bias is None else array(attention.qkv.bias)
    parts = []
    for part in range(3):
        out = np.zeros((count, len(normed), d))
        for head in range(count):
            rows = slice((part * count + head) * d, (part * count + head + 1) * d)
            for i, token in enumerate(array(normed)):
                out[head, i] = weight[rows] @ token + bias[rows]
        parts.append(out)
    q, k, v = parts
    return _each(attention.q_norm, q), _each(attention.k_norm, k), v


def block_output(block: Block, own: Tensor, context: Tensor) -> Tensor:
    """What `block` makes of the tokens `own` (m, width) when they ask `context` (n, width): SA, GLCA and PWCA."""
    attention = block.attn
    q, _, _ = heads(block, block.norm1(own))
    _, k, v = heads(block, block.norm1(context))
    attended = np.concatenate(list(attend(q, k, v)), axis=1)  # (m, h·d)
    y = attention.norm(torch.from_numpy(attended))
    if attention.gate is not None:
        y = y * torch.sigmoid(attention.gate(block.norm1(own)))
    x = own + block.ls1(attention.proj(y))
    return x + block.ls2(block.mlp(block.norm2(x)))


def head_means(backbone: VisionTransformer, tokens: Tensor, fusion: str = "mean") -> list[Array]:
    """Each layer's attention (n, n), fused over heads, for one picture's tokens; timm walks from layer to layer."""
    fuses: dict[str, Callable[..., Any]] = {"mean": np.mean, "max": np.max, "min": np.min}
    fuse = fuses[fusion]
    maps, x = [], tokens[None]
    for block in backbone.blocks:
        q, k, _ = heads(block, block.norm1(x)[0])
        maps.append(fuse(attention_map(q, k), axis=0))
        x = block(x)
    return maps


def rollouts(maps: list[Array]) -> list[Array]:
    """Ŝ_1, …, Ŝ_L (n, n) in full: Ŝ_i = S̄_i Ŝ_{i-1}, S̄_i = ½ S_i + ½ E, products summed a number at a time."""
    n = len(maps[0])
    product = np.eye(n)
    products = []
    for attention in maps:
        mixed = np.array([[0.5 * attention[i, j] + 0.5 * (i == j) for j in range(n)] for i in range(n)])
        product = np.array([[sum(mixed[i, a] * product[a, j] for a in range(n)) for j in range(n)] for i in range(n)])
        products.append(product)
    return products


def array(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def _each(norm: nn.Module, x: Array) -> Array:
    return array(norm(torch.from_numpy(x)))

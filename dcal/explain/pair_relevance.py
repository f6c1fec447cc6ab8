"""What in two images speaks for their similarity, or for one match rather than another: relevance of a pair.

Relevance is Chefer, Gur and Wolf's (ICCV 2021), attention weighed with its gradient, carried down the layers. The
target is no class: with features f of length 1 it is the similarity f(q)·f(m), or, where another image o is given, the
margin f(q)·(f(m) − f(o)). Both are sums over branches, so that one forward pass of all images and one backward pass per
branch give every map: of the fused embedding, whose similarity is the branches' mean, the gradient is their mean too.

A layer's step is r ← r + r Ā. For the similarity Ā = mean_h max(0, A ∘ ∇A), never negative; for the margin
Ā = mean_h (A ∘ ∇A), signed: positive speaks for the match, negative for the other image. Each won on its own target
(docs/reid.md); ours, for Chefer et al. know the positive part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError
from dcal.explain.relevance import Traced, read_traced, trace, with_gradients
from dcal.model.attention import attend
from dcal.model.dcal import DCAL
from dcal.model.glca import read_out
from dcal.model.pooling import readout_weights
from dcal.model.positions import Bias, Block, place_as_last
from dcal.model.rollout import Pooled, QueriesKeys, class_rollout
from dcal.model.shapes import describe

Images = Float[Tensor, "_ 3 img_h img_w"]  # how many must agree: said by an error
Maps = dict[str, Float[Tensor, "b p"]]  # by branch: "sa" and, where the model has GLCA, "glca" and "fused"
Scores = dict[str, Float[Tensor, " b"]]  # by branch
Gradients = dict[str, list[Tensor]]  # by branch, of the attention outputs of `TracedBranches.traced()`


@dataclass(frozen=True, repr=False)
class PairRelevance:
    """Of b pairs and of every branch: the cosine of the two features, and the relevance of each patch on either side.

    Without other images maps are of the similarity and never negative. With them they are of the margin, `similarity` −
    `against`, and signed; `other` has the other images' own.
    """

    similarity: Scores
    query: Maps
    match: Maps
    against: Scores | None = None
    other: Maps | None = None
    __repr__ = describe


@dataclass(frozen=True, repr=False)
class TracedBranches:
    """A forward pass with its graph: every layer of the backbone, GLCA's blocks, and the branches' unit features.

    `asking` are the tokens that are queries of GLCA's blocks, class token first, or in its place n, the mean by
    `pooled`. The read-out weights say how much of each token's output is in the branch's feature (`sa_weights`: of n
    tokens, `glca_weights`: of `asking`). `pool`: the backbone's attention pooling, over the last n tokens or fewer.
    """

    layers: list[Traced]
    features: dict[str, Float[Tensor, "b width"]]
    sa_weights: Float[Tensor, "b n"]
    pool: Traced | None = None
    pooled: Pooled = None
    glca: tuple[Traced, ...] = ()
    asking: Int[Tensor, "b m"] | None = None
    glca_weights: Float[Tensor, " m"] | None = None
    __repr__ = describe

    def traced(self) -> list[Traced]:
        return [*self.layers, *([] if self.pool is None else [self.pool]), *self.glca]


def pair_relevance(
    model: DCAL, queries: Images, matches: Images, others: Images | None = None, top_ratio: float | None = None
) -> PairRelevance:
    """The relevance of pair i, `queries[i]` and `matches[i]`, and against `others[i]` where these are given.

    In the model's current mode, of each pair by itself: a batch gives what its pairs give one by one. `top_ratio`
    overrides the configured R. Raises DCALError for batches of unequal length, and for images of another size than the
    model's.
    """
    sides = [queries, matches] + ([] if others is None else [others])
    if len({len(side) for side in sides}) > 1:
        raise DCALError(f"pairs need as many images on every side, got {[len(side) for side in sides]}")
    with with_gradients():
        traced = trace_branches(model, torch.cat(sides), top_ratio)
        query, match, *other = _by_side(traced.features, len(sides))
        similarity = {name: (query[name] * match[name]).sum(dim=-1) for name in query}
        against = {name: (query[name] * other[0][name]).sum(dim=-1) for name in query} if other else None
        targets = similarity if against is None else {name: similarity[name] - against[name] for name in query}
        gradients = branch_gradients(traced, targets)
    maps = relevances(traced, gradients, signed=others is not None)
    by_side = _by_side({name: values[:, model.layout.prefix :] for name, values in maps.items()}, len(sides))
    return PairRelevance(
        with_fused(similarity),
        by_side[0],
        by_side[1],
        None if against is None else with_fused(against),
        by_side[2] if other else None,
    )


def trace_branches(model: DCAL, images: Images, top_ratio: float | None = None) -> TracedBranches:
    """Every branch's feature of the images, and the graph that it came through. `top_ratio` overrides R.

    Raises DCALError for a model with a further branch in its embedding, whose graph is not known here.
    """
    if further := [name for name in model.predicting if name not in ("sa", "glca")]:
        raise DCALError(
            f"the relevance of a pair follows SA and GLCA; this model also compares by {', '.join(further)}"
        )
    layers, tokens = trace(model, model.embed(images))
    pool, output = read_traced(model, tokens)
    features = {"sa": F.normalize(output.sa_feature, dim=-1)}
    weights, pooled = readout_weights(model.backbone, tokens.detach()), model.pooled(tokens)
    if model.glca is None:
        return TracedBranches(layers, features, weights, pool, pooled)
    scores = class_rollout([QueriesKeys(layer.q, layer.k, layer.bias) for layer in layers], pooled)
    selected = model.select(scores[:, model.layout.prefix :], top_ratio)
    blocks: list[Traced] = []

    def cross_attention(block: Block, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> Tensor:
        attended = attend(q, k, v, bias=bias)
        blocks.append(Traced(q.detach(), k.detach(), v.detach(), attended, bias and bias.detach()))
        return attended

    queries = model.glca.walk(tokens, selected, cross_attention, pooled, place_as_last(model.backbone))
    features["glca"] = F.normalize(read_out(queries, model.config.readout), dim=-1)
    asking = model.glca.asking(tokens, selected, pooled)
    shares = read_out(torch.eye(asking.shape[1]).to(tokens)[None], model.config.readout)[0]
    return TracedBranches(layers, features, weights, pool, pooled, tuple(blocks), asking, shares)


def branch_gradients(traced: TracedBranches, targets: Scores) -> Gradients:
    """The gradients of every branch's target, summed over the pairs, at the attention outputs; and of their mean."""
    outputs = [layer.output for layer in traced.traced()]
    found: Gradients = {}
    for name, target in targets.items():
        last = name == list(targets)[-1]
        own = torch.autograd.grad(target.sum(), outputs, retain_graph=not last, allow_unused=True)
        found[name] = [torch.zeros_like(o) if g is None else g for o, g in zip(outputs, own, strict=True)]
    if len(found) > 1:
        found["fused"] = [torch.stack(own).mean(dim=0) for own in zip(*found.values(), strict=True)]
    return found


@torch.no_grad()
def relevances(traced: TracedBranches, gradients: Gradients, signed: bool) -> dict[str, Float[Tensor, "b n"]]:
    """Every branch's relevance of the input tokens: its read-out, carried down through GLCA's block and the layers.

    What is fused starts from both read-outs, halved. The read-out itself, on which no gradient has a say, is taken off
    at the end: of the patches that GLCA reads out, only what attention carried to them is left.
    """
    names = list(gradients)
    start = torch.stack([_readout(traced, name) for name in names])
    rows = start + torch.stack([_above(traced, name, gradients[name], signed) for name in names])
    for index in reversed(range(len(traced.layers))):
        own = torch.stack([gradients[name][index] for name in names])
        rows = rows + relevance_step(traced.layers[index], own, rows, signed)
    return dict(zip(names, rows - start, strict=True))


def relevance_step(
    layer: Traced, gradients: Float[Tensor, "t b h m d"], rows: Float[Tensor, "t b m"], signed: bool
) -> Float[Tensor, "t b n"]:
    """rows · Ā for each of t targets, whose gradients are ∇A = ∇O Vᵀ; a block of the queries' rows at a time."""
    values = layer.v.transpose(-2, -1)
    total = rows.new_zeros((*rows.shape[:2], values.shape[-1]))
    for where, block in layer.maps():
        for target, gradient in enumerate(gradients):
            product = (gradient[:, :, where] @ values).mul_(block)
            product = (product if signed else product.clamp_(min=0)).mean(dim=1)
            total[target] += torch.bmm(rows[target, :, None, where], product)[:, 0]
    return total


def with_fused(scores: Scores) -> Scores:
    """The branches' scores without their graph, and the fused embedding's: their mean, as both weigh the same there."""
    own = {name: values.detach() for name, values in scores.items()}
    return own if len(own) == 1 else {**own, "fused": torch.stack(list(own.values())).mean(dim=0)}


def _readout(traced: TracedBranches, name: str) -> Float[Tensor, "b n"]:
    """How much of each of the last layer's tokens, or of its output of GLCA's block, is in a branch's feature."""
    sa = traced.sa_weights
    if name == "sa" or traced.asking is None or traced.glca_weights is None:
        return sa
    weights = traced.glca_weights.expand(len(sa), -1)
    glca = F.pad(sa, [0, 1]).zero_().scatter_add(1, traced.asking, weights)  # the pooled mean's at the end
    glca = glca[:, :-1] if traced.pooled is None else glca[:, :-1] + glca[:, -1:] * traced.pooled
    return glca if name == "glca" else 0.5 * (sa + glca)


def _above(traced: TracedBranches, name: str, gradients: Sequence[Tensor], signed: bool) -> Float[Tensor, "b n"]:
    """What GLCA's blocks and an attention pooling add to the last layer's tokens; of what is fused, a half each.

    Every block's attention goes to those tokens; on the way down through a block its queries keep what they have.
    """
    sa, total = traced.sa_weights, torch.zeros_like(traced.sa_weights)
    half = 0.5 if name == "fused" else 1.0
    if traced.pool is not None and name != "glca":
        own = relevance_step(
            traced.pool, gradients[len(traced.layers)][None], half * sa.new_ones(1, len(sa), 1), signed
        )
        total += F.pad(own[0], [sa.shape[1] - own.shape[-1], 0])
    if traced.glca_weights is not None and name != "sa":
        weights = half * traced.glca_weights.expand(len(sa), -1)
        for block, gradient in zip(traced.glca, gradients[len(gradients) - len(traced.glca) :], strict=True):
            total += relevance_step(block, gradient[None], weights[None], signed)[0]
    return total


def _by_side(values: dict[str, Tensor], sides: int) -> list[dict[str, Tensor]]:
    """The queries', the matches' and the others' part of what was computed of all images at once."""
    parts = {name: own.chunk(sides) for name, own in values.items()}
    return [{name: own[side] for name, own in parts.items()} for side in range(sides)]

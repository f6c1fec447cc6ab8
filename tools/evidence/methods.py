"""Ways to find which of a query's patches speak for a score of SA's feature. One of them each is taken (docs/reid.md).

A method gets a `Trial` and gives a map of the query's patches for the similarity and one for the margin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from dcal.analysis.maps import centre_map, random_map
from dcal.explain.relevance import Traced, trace, weighted_attention, with_gradients
from dcal.model.attention import attention_rows
from dcal.model.dcal import DCAL
from dcal.model.pooling import readout_weights
from dcal.model.rollout import HeadMean, QueriesKeys, class_rollout, normalise_rows, rollout_step

Images = Float[Tensor, "b 3 img_h img_w"]
PatchMap = Float[Tensor, "b p"]
Reading = Callable[[DCAL, Tensor], Float[Tensor, "b width"]]  # last tokens → the feature that is compared


@dataclass(frozen=True, eq=False)
class Trial:
    """Queries, the same blurred, and the unit features of their matches and of other vehicles' images."""

    model: DCAL
    queries: Images
    blank: Images
    match: Float[Tensor, "b width"]
    other: Float[Tensor, "b width"]
    numbers: Sequence[int]  # the queries' in their split: what the random order is drawn by

    def towards(self, target: str) -> Float[Tensor, "b width"]:
        """What the query's unit feature is multiplied with to give the target."""
        return self.match if target == "similarity" else self.match - self.other


Method = Callable[[Trial, str], PatchMap]  # (trial, "similarity" or "margin") → the query's patches


def feature(model: DCAL, tokens: Tensor) -> Float[Tensor, "b width"]:
    """SA's feature, of length 1."""
    return F.normalize(model.read_sa(tokens).sa_feature, dim=-1)


def after_neck(model: DCAL, tokens: Tensor) -> Float[Tensor, "b width"]:
    """The same after the Re-ID head's batch normalisation."""
    assert model.sa_classifier is not None
    return F.normalize(model.sa_classifier[0](model.read_sa(tokens).sa_feature), dim=-1)


# Steps of the relevance: what of A ∘ ∇A a layer carries on.
def positive(product: Tensor) -> Tensor:
    return product.clamp(min=0).mean(dim=1)


def signed(product: Tensor) -> Tensor:
    return product.mean(dim=1)


def heads_first(product: Tensor) -> Tensor:
    return product.mean(dim=1).clamp(min=0)


def relevance(
    keep: Callable[[Tensor], Tensor],
    start: int = 0,
    read: Reading = feature,
    scaled: bool = False,
    stations: Sequence[float] = (1.0,),
) -> Method:
    """Attention weighed with its gradient, carried down from the read-out to layer `start`.

    `scaled`: every layer's step sums to one. `stations`: averaged over images on the way from the blurred query (0) to
    the query itself (1), a backward pass each.
    """

    def method(trial: Trial, target: str) -> PatchMap:
        total = torch.zeros(())
        for station in stations:
            images = trial.blank + station * (trial.queries - trial.blank)
            layers, gradients, weights = gradients_of(trial, images, target, read)
            first = rows = weights
            for layer, gradient in zip(reversed(layers[start:]), reversed(gradients[start:]), strict=True):
                step = carried(layer, gradient, rows, keep)
                rows = rows + (step / step.abs().sum(dim=1, keepdim=True).clamp(min=1e-12) if scaled else step)
            total = total + (rows - first)
        return patches(trial.model, total / len(stations))

    return method


@torch.no_grad()
def carried(layer: Traced, gradient: Tensor, rows: Tensor, keep: Callable[[Tensor], Tensor]) -> Float[Tensor, "b n"]:
    total = torch.zeros_like(rows)
    values = layer.v.transpose(-2, -1)
    for where, block in attention_rows(layer.q, layer.k):
        total += torch.bmm(rows[:, None, where], keep((gradient[:, :, where] @ values).mul_(block)))[:, 0]
    return total


def gradients_of(
    trial: Trial, images: Images, target: str, read: Reading
) -> tuple[list[Traced], tuple[Tensor, ...], Float[Tensor, "b n"]]:
    """Every layer, the target's gradient at its attention output, and the read-out's weights."""
    with with_gradients():
        layers, tokens = trace(trial.model, trial.model.embed(images.clone()))
        towards = after(trial, target) if read is after_neck else trial.towards(target)
        score = (read(trial.model, tokens) * towards).sum()
        gradients = torch.autograd.grad(score, [layer.output for layer in layers])
    return layers, gradients, readout_weights(trial.model.backbone, tokens.detach())


def after(trial: Trial, target: str) -> Float[Tensor, "b width"]:
    """`towards` of features after the neck, which takes a feature's length into account: that of unit features."""
    assert trial.model.sa_classifier is not None
    neck = trial.model.sa_classifier[0]
    match, other = (F.normalize(neck(own), dim=-1) for own in (trial.match, trial.other))
    return (match if target == "similarity" else match - other).detach()


def smoothed(method: Method, sigma: float) -> Method:
    """A method's map, smoothed over the grid by a Gaussian of `sigma` patches."""

    def smooth(trial: Trial, target: str) -> PatchMap:
        layout, own = trial.model.layout, method(trial, target)
        grids = own.reshape(len(own), layout.rows, layout.cols).cpu().numpy()
        return torch.from_numpy(gaussian_filter(grids, sigma, mode="nearest", axes=(1, 2))).to(own).flatten(1)

    return smooth


def gradient_rollout(trial: Trial, target: str) -> PatchMap:
    """Rollout over max(0, mean over heads of A ∘ ∇A), rows scaled to one."""
    layers, gradients, weights = gradients_of(trial, trial.queries, target, feature)
    rows = weights[:, None]
    with torch.no_grad():
        for layer, gradient in zip(reversed(layers), reversed(gradients), strict=True):
            rows = rollout_step(rows, HeadMean(normalise_rows(weighted_attention(layer, gradient)[0])))
    return patches(trial.model, rows[:, 0])


def integrated(stations: Sequence[float]) -> Method:
    """Gradient × (embedded patch − blurred one), the gradient averaged over stations on the way between them."""

    def method(trial: Trial, target: str) -> PatchMap:
        with torch.no_grad():
            ends = trial.model.embed(trial.blank), trial.model.embed(trial.queries)
        total = torch.zeros_like(ends[0])
        for station in stations:
            with with_gradients():
                tokens = torch.lerp(*ends, station).clone().requires_grad_()
                _, last = trace(trial.model, tokens)
                score = (feature(trial.model, last) * trial.towards(target)).sum()
                total += torch.autograd.grad(score, tokens)[0] / len(stations)
        return patches(trial.model, (total * (ends[1] - ends[0])).sum(dim=-1))

    return method


@torch.no_grad()
def rollout(trial: Trial, _target: str) -> PatchMap:
    layers, _ = trace(trial.model, trial.model.embed(trial.queries))
    return patches(trial.model, class_rollout([QueriesKeys(layer.q, layer.k) for layer in layers]))


def centre(trial: Trial, _target: str) -> PatchMap:
    return torch.from_numpy(centre_map(trial.model.layout)).to(trial.queries).expand(len(trial.queries), -1)


def random(trial: Trial, _target: str) -> PatchMap:
    count = trial.model.layout.patches
    return torch.stack([torch.from_numpy(random_map(count, 0, number)).to(trial.queries) for number in trial.numbers])


def patches(model: DCAL, tokens: Float[Tensor, "b n"]) -> PatchMap:
    return tokens[:, model.layout.prefix :].detach()


MIDDLES = (1 / 6, 1 / 2, 5 / 6)
METHODS: dict[str, Method] = {
    "**relevance, positive part of every head: taken for the similarity**": relevance(positive),
    "**relevance, sign kept: taken for the margin**": relevance(signed),
    "relevance, heads averaged before the positive part": relevance(heads_first),
    "positive part, from the third layer on": relevance(positive, start=2),
    "positive part, from the fifth": relevance(positive, start=4),
    "positive part, from the ninth": relevance(positive, start=8),
    "sign kept, from the fifth": relevance(signed, start=4),
    "positive part, target after the Re-ID neck": relevance(positive, read=after_neck),
    "positive part, every layer's step scaled to sum to one": relevance(positive, scaled=True),
    "positive part, averaged over the image, its blurred self and the mean of both": relevance(
        positive, stations=(0.0, 0.5, 1.0)
    ),
    "positive part, smoothed by half a patch": smoothed(relevance(positive), 0.5),
    "positive part, smoothed by a patch": smoothed(relevance(positive), 1.0),
    "sign kept, smoothed by a patch": smoothed(relevance(signed), 1.0),
    "integrated gradients of the embedded patches from the blurred image, three points": integrated(MIDDLES),
    "the same, the middle point alone": integrated((1 / 2,)),
    "gradient × (patch − blurred patch)": integrated((1.0,)),
    "gradient-weighted rollout": gradient_rollout,
    "rollout": rollout,
    "centre prior": centre,
    "random order": random,
}

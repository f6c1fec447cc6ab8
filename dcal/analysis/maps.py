"""The maps under study, a batch at a time: one row over patches per image, none of them negative.

Another may be added from outside this package, by `register_map` or as an entry point of the group "dcal.maps"
(docs/extending.md): `dcal eval --analysis` then measures it as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError
from dcal.explain.relevance import class_relevance
from dcal.model.backbone import encode
from dcal.model.dcal import DCAL
from dcal.model.kinds import TokenLayout
from dcal.model.rollout import Layer, class_rollout, pooled_row
from dcal.registry import Registry

# What a reader is told of each map; `dcal.inspect` gives the same ones of a single image.
TITLES = {
    "raw": "raw attention of the last layer",
    "rollout": "rollout after the last layer (the SA map)",
    "glca": "GLCA map",
    "glca_input": "GLCA map, carried down to the input",
    "gradient_rollout": "gradient-weighted rollout",
    "relevance": "relevance",
    "random": "control: random",
    "centre": "control: centre prior",
}
CONTROLS = ("random", "centre")
CENTRE_WIDTH = 0.25  # the centre prior's standard deviation, in sides of the view

Maps = dict[str, Float[Tensor, "b p"]]


@dataclass(frozen=True)
class MapKind:
    """A further map. `make(model, images, targets)` gives a number of every patch, (b, p), none negative.

    `images` are (b, 3, height, width) as the model's preprocessing makes them, `targets` the class that each one's map
    may speak for. `title`: what a reader is told of it.
    """

    make: Callable[[DCAL, Tensor, Tensor], Tensor]
    title: str

    def of(self, model: DCAL, images: Tensor, targets: Tensor) -> Float[Tensor, "b p"]:
        """The map. Raises DCALError, with the shape that came, for what is none."""
        found, shape = self.make(model, images, targets), (len(images), model.layout.patches)
        if found.shape != shape or not (found >= 0).all():
            raise DCALError(f"the map {self.title!r} must be {shape}, and never negative; it is {tuple(found.shape)}")
        return found


FURTHER: Registry[MapKind] = Registry("dcal.maps", {})


def register_map(name: str, kind: MapKind) -> MapKind:
    """Make `kind` known as `name` for as long as this process runs. Raises DCALError for a name that is taken."""
    if name in TITLES:
        raise DCALError(f"{name!r} is a map already: choose another name than {', '.join(TITLES)}")
    return FURTHER.register(name, kind)


def titles() -> dict[str, str]:
    """Of every map by name, further ones last."""
    return TITLES | {name: kind.title for name, kind in FURTHER.items()}


def model_maps(model: DCAL, images: Float[Tensor, "b 3 img_h img_w"], targets: Int[Tensor, " b"]) -> Maps:
    """Every map of the model for the images; those with gradients speak for each image's class in `targets`.

    `raw`: what the class token attends to in the last layer, averaged over heads. `rollout`: row 0 of Ŝ_L, which is
    the SA map and what GLCA selects by. `glca`: what the class token attends to in the GLCA block; `glca_input` carries
    that down through the rollout. Without a GLCA branch these two are absent. Where a backbone reads no class token,
    what it pools stands for it (`dcal.model.pooling`). Those of `register_map` come last.
    """
    with torch.inference_mode():
        tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=True)
        maps = attention_maps(model, tokens, layers)
    weighted = class_relevance(model, images, targets)
    maps |= {"gradient_rollout": weighted.gradient_rollout, "relevance": weighted.relevance}
    own = {name: values[:, model.layout.prefix :] for name, values in maps.items()}
    return own | {name: kind.of(model, images, targets) for name, kind in FURTHER.items()}


def attention_maps(
    model: DCAL, tokens: Float[Tensor, "b n width"], layers: Sequence[Layer]
) -> dict[str, Float[Tensor, "b n"]]:
    """The maps of `model_maps` that need no gradient, over all tokens, from what `encode` gave."""
    pooled = model.pooled(tokens)
    rollout = class_rollout(layers, pooled)
    maps = {"raw": pooled_row(layers[-1], pooled), "rollout": rollout}
    if model.glca is not None:
        attention, carried = model.glca_maps(tokens, model.select(rollout[:, model.layout.prefix :]), layers)
        maps |= {"glca": attention[:, :, 0].mean(dim=1), "glca_input": carried}
    return maps


def random_map(patches: int, seed: int, index: int) -> Float[np.ndarray, " p"]:
    """The control that knows nothing: even noise, by (seed, index) alone, so that no batch size changes it."""
    return np.random.default_rng((seed, index)).random(patches)


def centre_map(layout: TokenLayout) -> Float[np.ndarray, " p"]:
    """The control that knows photographers: a Gaussian about the view's centre, `CENTRE_WIDTH` sides wide."""
    down, across = (((np.arange(count) + 0.5) / count - 0.5) / CENTRE_WIDTH for count in (layout.rows, layout.cols))
    return np.exp(-0.5 * (down[:, None] ** 2 + across[None] ** 2)).reshape(-1)

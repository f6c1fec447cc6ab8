"""Looking at one picture: every map that a face can draw, computed in one pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from dcal.errors import DCALError
from dcal.explain.inspection import Inspection, patch_part, within
from dcal.explain.relevance import class_relevance
from dcal.image import Source, read_image
from dcal.model.backbone import encode
from dcal.model.checkpoint import fingerprint
from dcal.model.config import ModelConfig
from dcal.model.dcal import DCAL, Output
from dcal.model.rollout import Layer, QueriesKeys, carry_down, layer_rollouts


def inspect(model: DCAL, image: Source, target: int | str | None = None, top_ratio: float | None = None) -> Inspection:
    """Look at one picture: a path, bytes, a pillow image or an array (see `read_image`).

    The model must be in evaluation mode. `target` (an index or a class name) adds the gradient-weighted rollout and the
    relevance for that class, for the price of a backward pass. `top_ratio` overrides the configured R. Raises
    ImageError for the picture, DCALError for the rest.
    """
    if model.training:
        raise DCALError("the model is in training mode, where dropout would blur every map: call model.eval() first")
    timings: dict[str, float] = {}
    config = model.config
    index = None if target is None else class_index(config, target)
    with timed(timings, "read"):
        picture = read_image(image)
        box = config.preprocess.box(picture.image.height, picture.image.width)
        view = config.preprocess.render(picture.image, box)
        images = config.preprocess.tensor(view)[None].to(next(model.parameters()).device)
    record: list[QueriesKeys] = []
    with torch.inference_mode(), timed(timings, "model"):
        tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=True, record=record)
        output = model.read_sa(tokens)
    with torch.inference_mode(), timed(timings, "rollout"):
        rollout = layer_rollouts(layers)[0]
    seen = Inspection(
        photo=np.asarray(picture.image),
        view=np.asarray(view),
        box=box,
        notes=picture.notes + _shape_notes(config, picture.image.width, picture.image.height),
        config=config,
        layout=model.layout,
        fingerprint=fingerprint(model),
        queries=_numpy(torch.cat([layer.queries for layer in record])),
        keys=_numpy(torch.cat([layer.keys for layer in record])),
        final_tokens=_numpy(tokens[0]),
        rollout=patch_part(_numpy(rollout), model.layout),
        sa_probabilities=_numpy(output.probabilities[0]),
        probabilities=_numpy(output.probabilities[0]),
        embedding=_numpy(output.embedding[0]),
        top_ratio=config.top_ratio if top_ratio is None else top_ratio,
        timings=timings,
    )
    if model.glca is not None:
        with timed(timings, "glca"):
            seen = replace(seen, **_glca_fields(model, tokens, output, rollout[-1], seen.top_ratio, layers))
    if index is not None:
        with timed(timings, "relevance"):
            maps = class_relevance(model, images, index)
        weighted, relevance = (patch_part(_numpy(m[0]), model.layout) for m in (maps.gradient_rollout, maps.relevance))
        seen = replace(seen, target=index, gradient_rollout=weighted, relevance=relevance)
    return seen


def reselect(model: DCAL, seen: Inspection, top_ratio: float) -> Inspection:
    """The same record under another R: GLCA selects and asks again; the backbone does not run.

    Raises DCALError if the model has no GLCA branch, R is outside (0, 1], or the record came from other weights.
    """
    model.require_glca()
    if fingerprint(model) != seen.fingerprint:
        raise DCALError("the record was made by another checkpoint: inspect the picture again with this one")
    device = next(model.parameters()).device
    tokens = torch.from_numpy(seen.final_tokens)[None].to(device)
    layers = [QueriesKeys(layer.queries.to(device), layer.keys.to(device)) for layer in seen.layers()]
    rollout = torch.zeros(seen.final_tokens.shape[0], device=device)
    rollout[seen.layout.prefix :] = torch.from_numpy(np.ascontiguousarray(seen.scores)).to(device)
    with torch.inference_mode():
        output = model.read_sa(tokens)
    return replace(seen, top_ratio=top_ratio, **_glca_fields(model, tokens, output, rollout, top_ratio, layers))


@torch.inference_mode()
def _glca_fields(
    model: DCAL,
    tokens: Float[torch.Tensor, "1 n width"],
    output: Output,
    rollout: Float[torch.Tensor, " n"],
    ratio: float,
    layers: Sequence[Layer],
) -> dict[str, Any]:
    selected = model.select(rollout[None, model.layout.prefix :], ratio)
    logits, feature = model.read_glca(tokens, selected)
    output = replace(output, glca_logits=logits, glca_feature=feature)
    attention = model.require_glca().attention(tokens, selected)
    carried = carry_down(attention[:, :, :1].mean(dim=1), layers)[0, 0]
    return {
        "glca_probabilities": _numpy(logits.softmax(dim=-1)[0]),
        "probabilities": _numpy(output.probabilities[0]),
        "embedding": _numpy(output.embedding[0]),
        "selected": selected[0].cpu().numpy(),
        "glca_attention": _numpy(attention[0]),
        "glca_input_map": patch_part(_numpy(carried), model.layout),
    }


def class_index(config: ModelConfig, target: int | str) -> int:
    """The index of a class given by name or index. Raises DCALError for one that the model does not have."""
    if isinstance(target, str):
        if target not in config.classes:
            close = [name for name in config.classes if target.lower() in name.lower()][:5]
            raise DCALError(f"the model has no class {target!r}; similar: {', '.join(close) or 'none'}")
        return config.classes.index(target)
    return within("class", int(target), config.num_classes)


def _shape_notes(config: ModelConfig, width: int, height: int) -> tuple[str, ...]:
    stretch = (width / height) / (config.img_size[1] / config.img_size[0])
    stretch = max(stretch, 1 / stretch)
    if stretch < 3:
        return ()
    shape = f"This picture is {width}×{height} pixels, {stretch:.0f} times as long as the model's view is."
    if config.preprocess.fit == "squash":
        return (f"{shape} The model saw it squashed, which it was not trained for: trust the maps less.",)
    return (f"{shape} The model saw only the part that is framed.",)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


@contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Writes the seconds that its body took to `timings[step]`."""
    start = time.perf_counter()
    yield
    timings[step] = time.perf_counter() - start

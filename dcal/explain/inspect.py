"""Inspecting one image: every map that a face can draw, computed in one pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from dcal.errors import DCALError
from dcal.explain.inspection import Inspection, patch_part, within
from dcal.explain.relevance import class_relevance
from dcal.image import Source, read_image
from dcal.model.backbone import encode
from dcal.model.checkpoint import fingerprint
from dcal.model.config import ModelConfig
from dcal.model.dcal import DCAL
from dcal.model.rollout import Layer, QueriesKeys, layer_rollouts


def inspect(model: DCAL, image: Source, target: int | str | None = None, top_ratio: float | None = None) -> Inspection:
    """Every map of one image: a path, bytes, a pillow image or an array (see `read_image`).

    The model must be in evaluation mode. `target` (an index or a class name) adds the gradient-weighted rollout and the
    relevance for that class, for the price of a backward pass. `top_ratio` overrides the configured R. Raises
    ImageError for the image, DCALError for the rest.
    """
    if model.training:
        raise DCALError("the model is in training mode, where dropout would blur every map: call model.eval() first")
    timings: dict[str, float] = {}
    config = model.config
    index = None if target is None else class_index(config, target)
    ratio = config.top_ratio if top_ratio is None else top_ratio
    with timed(timings, "read"):
        decoded = read_image(image)
        box = config.preprocess.box(decoded.image.height, decoded.image.width)
        view = config.preprocess.render(decoded.image, box)
        images = config.preprocess.tensor(view)[None].to(next(model.parameters()).device)
    record: list[QueriesKeys] = []
    with torch.inference_mode(), timed(timings, "model"):
        tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=True, record=record)
    with torch.inference_mode(), timed(timings, "rollout"):
        pooled = model.pooled(tokens)
        rollout = layer_rollouts(layers, pooled=pooled)
    with timed(timings, "glca" if model.glca is not None else "classifier"):
        answers = _answers(model, tokens, rollout[:, -1], ratio, layers)
    inspection = Inspection(
        image=np.asarray(decoded.image),
        view=np.asarray(view),
        box=box,
        notes=decoded.notes + _shape_notes(config, decoded.image.width, decoded.image.height),
        config=config,
        layout=model.layout,
        fingerprint=fingerprint(model),
        queries=_numpy(torch.cat([layer.queries for layer in record])),
        keys=_numpy(torch.cat([layer.keys for layer in record])),
        final_tokens=_numpy(tokens[0]),
        pooled=None if pooled is None else _numpy(pooled[0]),
        **_bias(record),
        rollout=patch_part(_numpy(rollout[0]), model.layout),
        timings=timings,
        **answers,
    )
    return inspection if index is None else explain_class(model, inspection, index)


def explain_class(model: DCAL, inspection: Inspection, target: int | str) -> Inspection:
    """The same record with the gradient-weighted rollout and the relevance for a class; nothing else is computed anew.

    Raises DCALError for an unknown class, or if the record came from other weights.
    """
    index = class_index(model.config, target)
    if fingerprint(model) != inspection.fingerprint:
        raise DCALError("the record was made by another checkpoint: inspect the image again with this one")
    images = model.config.preprocess.tensor(Image.fromarray(inspection.view))[None]
    images = images.to(next(model.parameters()).device)
    timings = dict(inspection.timings)
    with timed(timings, "relevance"):
        maps = class_relevance(model, images, index)
    weighted, relevance = (patch_part(_numpy(m[0]), model.layout) for m in (maps.gradient_rollout, maps.relevance))
    return replace(inspection, target=index, gradient_rollout=weighted, relevance=relevance, timings=timings)


def reselect(model: DCAL, inspection: Inspection, top_ratio: float) -> Inspection:
    """The same record under another R: only GLCA runs again, not the backbone.

    Raises DCALError if the model has no GLCA branch, R is outside (0, 1], or the record came from other weights.
    """
    model.require_glca()
    check_weights(model, inspection)
    device = next(model.parameters()).device
    tokens = torch.from_numpy(inspection.final_tokens)[None].to(device)
    layers = inspection.layers(device)
    rollout = torch.zeros(1, len(inspection.final_tokens), device=device)
    rollout[:, inspection.layout.prefix :] = torch.from_numpy(np.ascontiguousarray(inspection.scores)).to(device)
    return replace(inspection, **_answers(model, tokens, rollout, top_ratio, layers))


def check_weights(model: DCAL, inspection: Inspection) -> None:
    """Raises DCALError unless the record was made with the model's weights."""
    if fingerprint(model) != inspection.fingerprint:
        raise DCALError("the record was made by another checkpoint: inspect the image again with this one")


@torch.inference_mode()
def _answers(
    model: DCAL,
    tokens: Float[torch.Tensor, "1 n width"],
    rollout: Float[torch.Tensor, "1 n"],
    ratio: float,
    layers: Sequence[Layer],
) -> dict[str, Any]:
    """The fields of a record that follow from the last block's tokens and R."""
    output = model.read(tokens, rollout, ratio)
    fields = {
        "top_ratio": ratio,
        "sa_probabilities": _numpy(output.sa_logits.softmax(dim=-1)[0]),
        "probabilities": _numpy(output.probabilities[0]),
        "embedding": _numpy(output.embedding[0]),
    }
    further = [answer.logits[0].softmax(dim=-1) for answer in (output.more or {}).values() if answer.predicts]
    if further:
        fields["more_probabilities"] = _numpy(torch.stack(further))
    if output.glca_logits is None or output.selected is None:
        return fields
    attention, carried = model.glca_maps(tokens, output.selected, layers)
    return {
        **fields,
        "glca_probabilities": _numpy(output.glca_logits.softmax(dim=-1)[0]),
        "selected": output.selected[0].cpu().numpy(),
        "glca_attention": _numpy(attention[0]),
        "glca_input_map": patch_part(_numpy(carried[0]), model.layout),
    }


def _bias(record: Sequence[QueriesKeys]) -> dict[str, Any]:
    """The fields of a record that say what is added to the attention scores, if anything is."""
    biases = [layer.bias for layer in record if layer.bias is not None]
    if not biases:
        return {}
    tables = torch.stack([bias.table for bias in biases])
    return {"bias_tables": _numpy(tables), "bias_index": biases[0].index.cpu().numpy()}


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
    shape = f"This image is {width}×{height} pixels, {stretch:.0f} times as long as the model's input is."
    if config.preprocess.fit == "squash":
        return (f"{shape} It was squashed to fit, which the model was not trained for: trust the maps less.",)
    return (f"{shape} The model sees only the framed part.",)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


@contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Writes the seconds that its body took to `timings[step]`."""
    start = time.perf_counter()
    yield
    timings[step] = time.perf_counter() - start

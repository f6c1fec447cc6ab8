"""Inspecting one image: every map that a face can draw, computed in one pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from dcal.errors import DCALError
from dcal.explain.inspection import Inspection, patch_part, within
from dcal.explain.relevance import class_relevance
from dcal.image import DecodedImage, Source, read_image
from dcal.model.checkpoint import fingerprint
from dcal.model.config import ModelConfig
from dcal.model.dcal import DCAL
from dcal.model.exported_backbone import Encoder, encoded
from dcal.model.rollout import Layer, QueriesKeys, layer_rollouts
from dcal.preprocess import Box


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as it was read, and the part of it that a model of `size` sees; no model has run yet."""

    image: UInt8[np.ndarray, "image_height image_width 3"]
    view: UInt8[np.ndarray, "img_h img_w 3"]
    box: Box
    notes: tuple[str, ...]
    seconds: float  # that reading took


def prepare(config: ModelConfig, image: Source) -> Prepared:
    """Read an image (see `read_image`) and render what a model of this configuration sees. Raises ImageError."""
    return rendered(config, read_image, image)


def rendered(config: ModelConfig, read: Callable[[Source], DecodedImage], image: Source) -> Prepared:
    """`prepare` with another reader, one that ends in time for example (`dcal.decoder.Decoder.read`)."""
    start = time.perf_counter()
    decoded = read(image)
    box = config.preprocess.box(decoded.image.height, decoded.image.width)
    view = config.preprocess.render(decoded.image, box)
    notes = decoded.notes + _shape_notes(config, decoded.image.width, decoded.image.height)
    return Prepared(np.asarray(decoded.image), np.asarray(view), box, notes, time.perf_counter() - start)


def inspect(model: DCAL, image: Source, target: int | str | None = None, top_ratio: float | None = None) -> Inspection:
    """Every map of one image: a path, bytes, a pillow image or an array (see `read_image`).

    The model must be in evaluation mode. `target` (an index or a class name) adds the gradient-weighted rollout and the
    relevance for that class, for the price of a backward pass. `top_ratio` overrides the configured R. Raises
    ImageError for the image, DCALError for the rest.
    """
    check_evaluating(model)
    index = None if target is None else class_index(model.config, target)
    (inspection,) = inspect_prepared(model, [prepare(model.config, image)], top_ratio)
    return inspection if index is None else explain_class(model, inspection, index)


def inspect_prepared(
    model: DCAL, images: Sequence[Prepared], top_ratio: float | None = None, encoder: Encoder = encoded
) -> list[Inspection]:
    """Every map of several images, which pass through the model as one batch. Each record holds its own memory.

    A batch rounds otherwise than single images: float32's usual 1e-6. `encoder`: another engine for the backbone's pass
    (`dcal.model.exported_backbone`). `timings` are the batch's. Raises DCALError for a model in training mode, for an R
    outside (0, 1], and what `encoder` does.
    """
    check_evaluating(model)
    timings: dict[str, float] = {"read": max(image.seconds for image in images)}
    device, render = next(model.parameters()).device, model.config.preprocess.tensor
    batch = torch.stack([render(Image.fromarray(image.view)) for image in images]).to(device)
    with torch.inference_mode(), timed(timings, "model"):
        found = encoder(model, batch)
        tokens, record, layers = found.tokens, found.record, found.layers
    with torch.inference_mode(), timed(timings, "rollout"):
        pooled = model.pooled(tokens)
        rollout = layer_rollouts(layers, pooled=pooled)
    ratio = model.config.top_ratio if top_ratio is None else top_ratio
    with timed(timings, "glca" if model.glca is not None else "classifier"):
        answers = _answers(model, tokens, rollout[:, -1], ratio, layers)
    weights = fingerprint(model)
    return [
        Inspection(
            image=image.image,
            view=image.view,
            box=image.box,
            notes=image.notes,
            config=model.config,
            layout=model.layout,
            fingerprint=weights,
            queries=_numpy(torch.stack([layer.queries[i] for layer in record])),
            keys=_numpy(torch.stack([layer.keys[i] for layer in record])),
            final_tokens=_numpy(tokens[i]),
            pooled=None if pooled is None else _numpy(pooled[i]),
            **_bias(record),
            rollout=patch_part(_numpy(rollout[i]), model.layout),
            timings=dict(timings),
            **answers[i],
        )
        for i, image in enumerate(images)
    ]


def explain_class(model: DCAL, inspection: Inspection, target: int | str) -> Inspection:
    """The same record with the gradient-weighted rollout and the relevance for a class; nothing else is computed anew.

    Raises DCALError for an unknown class, or if the record came from other weights.
    """
    return explain_classes(model, [inspection], [target])[0]


def explain_classes(model: DCAL, inspections: Sequence[Inspection], targets: Sequence[int | str]) -> list[Inspection]:
    """`explain_class` of several records, each for a class of its own, as one batch."""
    indices = [class_index(model.config, target) for target in targets]
    for inspection in inspections:
        check_weights(model, inspection)
    device, render = next(model.parameters()).device, model.config.preprocess.tensor
    images = torch.stack([render(Image.fromarray(inspection.view)) for inspection in inspections]).to(device)
    timings: dict[str, float] = {}
    with timed(timings, "relevance"):
        maps = class_relevance(model, images, torch.tensor(indices))
    return [
        replace(
            inspection,
            target=index,
            gradient_rollout=patch_part(_numpy(maps.gradient_rollout[i]), model.layout),
            relevance=patch_part(_numpy(maps.relevance[i]), model.layout),
            timings={**inspection.timings, **timings},
        )
        for i, (inspection, index) in enumerate(zip(inspections, indices, strict=True))
    ]


def check_evaluating(model: DCAL) -> None:
    """Raises DCALError for a model in training mode."""
    if model.training:
        raise DCALError("the model is in training mode, where dropout would blur every map: call model.eval() first")


def reselect(model: DCAL, inspection: Inspection, top_ratio: float, input_map: bool = True) -> Inspection:
    """The same record under another R: only GLCA runs again, not the backbone.

    `input_map=False` leaves `glca_input_map` out (None): carrying it down through all layers takes most of the time.

    Raises DCALError if the model has no GLCA branch, R is outside (0, 1], or the record came from other weights.
    """
    model.require_glca()
    check_weights(model, inspection)
    device = next(model.parameters()).device
    tokens = torch.from_numpy(inspection.final_tokens)[None].to(device)
    layers = inspection.layers(device)
    rollout = torch.zeros(1, len(inspection.final_tokens), device=device)
    rollout[:, inspection.layout.prefix :] = torch.from_numpy(np.ascontiguousarray(inspection.scores)).to(device)
    answers = _answers(model, tokens, rollout, top_ratio, layers if input_map else ())[0]
    return replace(inspection, **answers | ({} if input_map else {"glca_input_map": None}))


def check_weights(model: DCAL, inspection: Inspection) -> None:
    """Raises DCALError unless the record was made with the model's weights."""
    if fingerprint(model) != inspection.fingerprint:
        raise DCALError("the record was made by another checkpoint: inspect the image again with this one")


@torch.inference_mode()
def _answers(
    model: DCAL,
    tokens: Float[torch.Tensor, "b n width"],
    rollout: Float[torch.Tensor, "b n"],
    ratio: float,
    layers: Sequence[Layer],
) -> list[dict[str, Any]]:
    """The fields of each record that follow from the last block's tokens and R."""
    output, images = model.read(tokens, rollout, ratio), range(len(tokens))
    fields = {
        "sa_probabilities": output.sa_logits.softmax(dim=-1),
        "probabilities": output.probabilities,
        "embedding": output.embedding,
    }
    further = [answer.logits.softmax(dim=-1) for answer in (output.more or {}).values() if answer.predicts]
    if further:
        fields["more_probabilities"] = torch.stack(further, dim=1)
    if output.glca_logits is None or output.selected is None:
        return [{"top_ratio": ratio} | {name: _numpy(value[i]) for name, value in fields.items()} for i in images]
    attention, carried = model.glca_maps(tokens, output.selected, layers)
    fields |= {"glca_probabilities": output.glca_logits.softmax(dim=-1), "glca_attention": attention}
    return [
        {
            **{name: _numpy(value[i]) for name, value in fields.items()},
            "top_ratio": ratio,
            "selected": output.selected[i].cpu().numpy().copy(),
            "glca_input_map": patch_part(_numpy(carried[i]), model.layout),
        }
        for i in images
    ]


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
    """A copy: part of a batch would keep the whole batch in memory."""
    return tensor.detach().float().cpu().clone(memory_format=torch.contiguous_format).numpy()


@contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Writes the seconds that its body took to `timings[step]`."""
    start = time.perf_counter()
    yield
    timings[step] = time.perf_counter() - start

"""A checkpoint as one file that other programs can run: ONNX, or a graph of torch.export."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dcal.errors import DCALError
from dcal.model.backbone import encode
from dcal.model.checkpoint import fingerprint
from dcal.model.dcal import DCAL
from dcal.model.exported import CONFIG_KEY, ENDING, FINGERPRINT_KEY, INPUT, ExportedModel, onnx_module
from dcal.model.rollout import layer_rollouts

OUTPUTS = ("probabilities", "embedding", "rollout")
GRAPH_ENDING = ".pt2"
CHECKED = (1, 3)  # batches of so many images that a file must answer as the model does
TOLERANCE = 1e-4  # of every number of the outputs, which are at most 1
Outputs = tuple[Tensor, ...]


class Answering(nn.Module):
    """A model as a function of images alone: probabilities (b, c), embedding (b, d) and, with `maps`, the rollout.

    The rollout is (b, layers, rows, cols), each patch's contribution to the class token by each layer.
    """

    def __init__(self, model: DCAL, maps: bool) -> None:
        super().__init__()
        self.model, self.maps = model, maps

    def forward(self, images: Float[Tensor, "b 3 img_h img_w"]) -> Outputs:
        model, layout = self.model, self.model.layout
        keep = self.maps or model.glca is not None or len(model.more) > 0
        tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=keep)
        rollout = layer_rollouts(layers, pooled=model.pooled(tokens)) if keep else None
        answers = model.read(tokens, None if rollout is None else rollout[:, -1])
        if not self.maps or rollout is None:
            return answers.probabilities, answers.embedding
        maps = rollout[:, :, layout.prefix :].unflatten(2, (layout.rows, layout.cols))
        return answers.probabilities, answers.embedding, maps


def export(model: DCAL, path: str | Path, maps: bool = False) -> Path:
    """Write `model` to a file, by its ending ONNX (.onnx) or torch.export (.pt2), and return its path.

    It takes `images` (b, 3, height, width), for any b, as the model's `preprocess` makes them, and gives
    `probabilities`, `embedding` and, with `maps`, `rollout` (see `Answering`). The configuration and the weights'
    fingerprint are in its metadata. Written whole or not at all, after the file has answered batches of one and of
    three images as the model does. Raises DCALError if it does not, for another ending, a model in training mode, and
    where a library is missing.
    """
    path = Path(path)
    if path.suffix not in (ENDING, GRAPH_ENDING):
        raise DCALError(f"{path}: the name must end in {ENDING} (ONNX) or {GRAPH_ENDING} (torch.export)")
    if model.training:
        raise DCALError("the model is in training mode: call model.eval() first")
    if model.more:
        raise DCALError(f"further branches ({', '.join(model.more)}) cannot be exported: their part is not known")
    if model.config.selection == "random":
        raise DCALError("a control with randomly selected patches cannot be exported: its draws are no part of a graph")
    if path.suffix == ENDING:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            onnx_module(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    answering = Answering(model, maps).eval()
    graph = traced(answering, sample(model, 2))
    about = {CONFIG_KEY: json.dumps(model.config.to_dict()), FINGERPRINT_KEY: fingerprint(model)}
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        beside = Path(folder) / path.name
        run = write_onnx(graph, beside, about) if path.suffix == ENDING else write_graph(graph, beside, about)
        check(answering, run, path)
        os.replace(beside, path)
    return path


def sample(model: DCAL, count: int) -> Float[Tensor, "b 3 img_h img_w"]:
    """Images of noise, the same at every call."""
    device = next(model.parameters()).device
    return torch.randn(count, 3, *model.config.img_size, generator=torch.Generator().manual_seed(count)).to(device)


@torch.no_grad()
def traced(answering: Answering, images: Float[Tensor, "b 3 img_h img_w"]) -> torch.export.ExportedProgram:
    """The graph of a forward pass for any number of images: a batch of one would be frozen into it."""
    return torch.export.export(answering, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)


def write_onnx(graph: torch.export.ExportedProgram, path: Path, about: dict[str, str]) -> Callable[[Tensor], Outputs]:
    """Write the graph as ONNX; how to run what was written."""
    names = OUTPUTS[: len(graph.graph_signature.user_outputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its libraries
        program: Any = torch.onnx.export(
            graph, dynamo=True, input_names=[INPUT], output_names=list(names), verbose=False
        )
    program.model.metadata_props.update(about)
    program.save(str(path), include_initializers=True)
    written = ExportedModel(path)

    def run(images: Tensor) -> Outputs:
        answers = written(images.cpu())
        return tuple(own for name in names if (own := getattr(answers, name)) is not None)

    return run


def write_graph(graph: torch.export.ExportedProgram, path: Path, about: dict[str, str]) -> Callable[[Tensor], Outputs]:
    """Write the graph as PyTorch does; how to run what was written."""
    torch.export.save(graph, path, extra_files=dict(about))
    return torch.export.load(path).module()  # what this function wrote: a file of somebody else is never loaded so


@torch.inference_mode()
def check(answering: Answering, run: Callable[[Tensor], Outputs], path: Path) -> None:
    """Raises DCALError unless what was written answers as the model does."""
    for count in CHECKED:
        images = sample(answering.model, count)
        for name, own, written in zip(OUTPUTS, answering(images), run(images), strict=False):
            if own.shape != written.shape or not torch.allclose(own.cpu(), written.cpu(), rtol=0, atol=TOLERANCE):
                difference = (own.cpu() - written.cpu()).abs().max() if own.shape == written.shape else written.shape
                raise DCALError(
                    f"{path} was not written: of {count} images its {name} differ from the model's by {difference}, "
                    f"more than {TOLERANCE}"
                )

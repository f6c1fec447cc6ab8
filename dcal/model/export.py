"""A checkpoint as one file that other programs can run: ONNX, or a graph of torch.export."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dcal.errors import DCALError
from dcal.model.backbone import encode
from dcal.model.checkpoint import fingerprint
from dcal.model.dcal import DCAL
from dcal.model.exported import CONFIG_KEY, ENDING, FINGERPRINT_KEY, INPUT, onnx_module, opened
from dcal.model.exported_backbone import OUTPUTS as ENCODED
from dcal.model.exported_backbone import Encoding
from dcal.model.rollout import layer_rollouts

OUTPUTS = ("probabilities", "embedding", "rollout")
GRAPH_ENDING = ".pt2"
CHECKED = (1, 3)  # batches of so many images that a file must answer as the model does
TOLERANCE = 1e-4  # of every number of an output, relative to the output's largest if that is above 1
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


Graphed = Answering | Encoding  # what is exported: a model's answers, or what its backbone gives an inspection


def export(model: DCAL, path: str | Path, maps: bool = False, inspection: bool = False) -> Path:
    """Write `model` to a file, by its ending ONNX (.onnx) or torch.export (.pt2), and return its path.

    It takes `images` (b, 3, height, width), for any b, as the model's `preprocess` makes them, and gives
    `probabilities`, `embedding` and, with `maps`, `rollout` (see `Answering`); or, with `inspection`, what the
    backbone gives an inspection (`Encoding`). The configuration and the weights' fingerprint are in its metadata.
    Written whole or not at all, after the file has answered batches of one and of three images as the model does.
    Raises DCALError if it does not, for another ending, a model in training mode, and where a library is missing.
    """
    path = Path(path)
    if path.suffix not in (ENDING, GRAPH_ENDING):
        raise DCALError(f"{path}: the name must end in {ENDING} (ONNX) or {GRAPH_ENDING} (torch.export)")
    if model.training:
        raise DCALError("the model is in training mode: call model.eval() first")
    graphed = encoding(model, path, maps) if inspection else answering(model, maps)
    if path.suffix == ENDING:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            onnx_module(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ENCODED if inspection else OUTPUTS
    graph = traced(graphed, sample(model, 2))
    about = {CONFIG_KEY: json.dumps(model.config.to_dict()), FINGERPRINT_KEY: fingerprint(model)}
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        beside = Path(folder) / path.name
        run = write_onnx(graph, beside, about, names) if path.suffix == ENDING else write_graph(graph, beside, about)
        check(graphed, run, path, names)
        os.replace(beside, path)
    return path


def answering(model: DCAL, maps: bool) -> Answering:
    """What is exported of a model that answers. Raises DCALError for one whose answers no graph can give."""
    if model.more:
        raise DCALError(f"further branches ({', '.join(model.more)}) cannot be exported: their part is not known")
    if model.config.selection == "random":
        raise DCALError("a control with randomly selected patches cannot be exported: its draws are no part of a graph")
    return Answering(model, maps).eval()


def encoding(model: DCAL, path: Path, maps: bool) -> Encoding:
    """What is exported for inspections. Raises DCALError for another format, or with the maps of a model's answers."""
    if path.suffix != ENDING:
        raise DCALError(f"{path}: what an inspection needs is written as ONNX alone, to a name that ends in {ENDING}")
    if maps:
        raise DCALError("--maps adds the rollout to answers; --inspection gives what every map is made of: choose one")
    return Encoding(model).eval()


def sample(model: DCAL, count: int) -> Float[Tensor, "b 3 img_h img_w"]:
    """Images of noise, the same at every call."""
    device = next(model.parameters()).device
    return torch.randn(count, 3, *model.config.img_size, generator=torch.Generator().manual_seed(count)).to(device)


@torch.no_grad()
def traced(graphed: Graphed, images: Float[Tensor, "b 3 img_h img_w"]) -> torch.export.ExportedProgram:
    """The graph of a forward pass for any number of images: a batch of one would be frozen into it."""
    return torch.export.export(graphed, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)


def write_onnx(
    graph: torch.export.ExportedProgram, path: Path, about: dict[str, str], names: Sequence[str]
) -> Callable[[Tensor], Outputs]:
    """Write the graph as ONNX, its outputs called by the first of `names`; how to run what was written."""
    names = list(names[: len(graph.graph_signature.user_outputs)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its libraries
        program: Any = torch.onnx.export(graph, dynamo=True, input_names=[INPUT], output_names=names, verbose=False)
    program.model.metadata_props.update(about)
    program.save(str(path), include_initializers=True)
    session, _, _ = opened(path, None)
    return lambda images: tuple(map(torch.from_numpy, session.run(None, {INPUT: images.cpu().numpy()})))


def write_graph(graph: torch.export.ExportedProgram, path: Path, about: dict[str, str]) -> Callable[[Tensor], Outputs]:
    """Write the graph as PyTorch does; how to run what was written."""
    torch.export.save(graph, path, extra_files=dict(about))
    return torch.export.load(path).module()  # what this function wrote: a file of somebody else is never loaded so


@torch.inference_mode()
def check(graphed: Graphed, run: Callable[[Tensor], Outputs], path: Path, names: Sequence[str]) -> None:
    """Raises DCALError unless what was written answers as the model does."""
    for count in CHECKED:
        images = sample(graphed.model, count)
        for name, own, written in zip(names, graphed(images), run(images), strict=False):
            allowed = TOLERANCE * max(1.0, float(own.abs().max()))
            if own.shape != written.shape or not torch.allclose(own.cpu(), written.cpu(), rtol=0, atol=allowed):
                difference = (own.cpu() - written.cpu()).abs().max() if own.shape == written.shape else written.shape
                raise DCALError(
                    f"{path} was not written: of {count} images its {name} differ from the model's by {difference}, "
                    f"more than {allowed:.2g}"
                )

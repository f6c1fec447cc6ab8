"""An exported checkpoint (`dcal.model.export`) that ONNX Runtime runs in the place of the model."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dcal.errors import CheckpointError, DCALError
from dcal.model.config import ModelConfig
from dcal.model.dcal import DCAL
from dcal.model.shapes import describe

ENDING = ".onnx"
CONFIG_KEY, FINGERPRINT_KEY = "dcal.config", "dcal.fingerprint"  # of the file's metadata
INPUT = "images"


@dataclass(frozen=True, repr=False)
class Answers:
    """What an exported model gives: class probabilities, embedding and, if it was exported with maps, the rollout."""

    probabilities: Float[Tensor, "b c"]
    embedding: Float[Tensor, "b d"]
    rollout: Float[Tensor, "b l rows cols"] | None = None
    __repr__ = describe


class ExportedModel:
    """A model in an ONNX file: what it answers in evaluation mode, on the CPU.

    `config` and `fingerprint` are those of the checkpoint that it was exported from. `threads`: of one forward pass;
    None leaves the choice to ONNX Runtime. Raises CheckpointError for a file that is none of ours, DCALError where
    ONNX Runtime is not installed.
    """

    training = False
    device = torch.device("cpu")

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.session, self.config, self.fingerprint = opened(Path(path), threads)
        if self.session.get_outputs()[0].name != "probabilities":
            raise CheckpointError(
                f"{path} gives what an inspection needs (--inspection), no answers: export the checkpoint without it"
            )

    def __call__(self, images: Float[Tensor, "b 3 img_h img_w"]) -> Answers:
        """The answers to a batch of images, as `Preprocess` makes them. Raises DCALError for another size."""
        check_images(images, self.config)
        return Answers(*(torch.from_numpy(own) for own in self.session.run(None, {INPUT: images.numpy()})))

    @property
    def width(self) -> int:
        """Of the embedding."""
        return int(self.session.get_outputs()[1].shape[1])

    def __repr__(self) -> str:
        return f"ExportedModel({self.config.backbone}, {self.config.task}, weights {self.fingerprint[:12]})"


def opened(path: Path, threads: int | None) -> tuple[Any, ModelConfig, str]:
    """ONNX Runtime's session of a file that `dcal export` wrote, and its checkpoint's configuration and fingerprint.

    Raises CheckpointError for another file, DCALError where ONNX Runtime is not installed.
    """
    runtime = onnx_module("onnxruntime")
    options = runtime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}: `dcal export` writes one")
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no common class
        raise CheckpointError(f"{path} cannot be run by ONNX Runtime ({error}): export it again") from error
    about = session.get_modelmeta().custom_metadata_map
    try:
        return session, ModelConfig.from_dict(json.loads(about[CONFIG_KEY])), about[FINGERPRINT_KEY]
    except (KeyError, ValueError) as error:  # DCALError is a ValueError
        raise CheckpointError(f"{path} was not written by `dcal export` of this release: {error!r}") from error


def check_images(images: Float[Tensor, "b 3 img_h img_w"], config: ModelConfig) -> None:
    """Raises DCALError for images of another size than the exported model's."""
    expected = (3, *config.img_size)
    if images.ndim != 4 or tuple(images.shape[1:]) != expected:
        raise DCALError(f"the model takes a batch of images (b, {expected}), got {tuple(images.shape)}")


Model = DCAL | ExportedModel  # what answers images: a checkpoint's model, or an exported one


def device_of(model: Model) -> torch.device:
    """Where the model computes."""
    return model.device if isinstance(model, ExportedModel) else next(model.parameters()).device


def is_exported(source: str | Path) -> bool:
    """Whether a checkpoint's name is that of an exported file."""
    return Path(source).suffix == ENDING


def onnx_module(name: str) -> Any:
    """A library of the extra `onnx`. Raises DCALError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DCALError(f'{name} is not installed: pip install "dcal[onnx]"') from error

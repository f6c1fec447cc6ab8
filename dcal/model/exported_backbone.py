"""The backbone's pass in an ONNX file, which ONNX Runtime runs for an inspection in the place of PyTorch.

What an inspection needs of the pass is little: tokens, queries and keys, head-means. All that follows from them (the
rollout, any patch's attention, the branches' answers under any R) and all that needs gradients stays with the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dcal.errors import CheckpointError
from dcal.model.backbone import encode
from dcal.model.checkpoint import fingerprint
from dcal.model.dcal import DCAL
from dcal.model.exported import INPUT, check_images, opened
from dcal.model.positions import placed_blocks
from dcal.model.rollout import HeadMean, Layer, QueriesKeys
from dcal.model.shapes import describe

OUTPUTS = ("tokens", "queries", "keys", "means")  # of the graph; without `means` where there are none


@dataclass(frozen=True, repr=False)
class Encoded:
    """The last block's tokens, each block's queries and keys, and the layers of the rollout (see `encode`)."""

    tokens: Float[Tensor, "b n width"]
    record: list[QueriesKeys]
    layers: list[Layer]
    __repr__ = describe


Encoder = Callable[[DCAL, Tensor], Encoded]  # of a model and its images (b, 3, height, width)


def encoded(model: DCAL, images: Float[Tensor, "b 3 img_h img_w"]) -> Encoded:
    """What an inspection needs of the backbone, by PyTorch."""
    record: list[QueriesKeys] = []
    tokens, layers = encode(model.backbone, model.embed(images), keep_rollout=True, record=record)
    return Encoded(tokens, record, layers)


class Encoding(nn.Module):
    """`encoded` as a function of images alone, each output with the images first: what is exported.

    tokens (b, n, width), queries and keys (b, layers, h, n, d), and the head-means of all layers but the last
    (b, layers - 1, n, n) if the model's size has them kept.
    """

    def __init__(self, model: DCAL) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "b 3 img_h img_w"]) -> tuple[Tensor, ...]:
        found = encoded(self.model, images)
        queries, keys = ([getattr(layer, name) for layer in found.record] for name in ("queries", "keys"))
        means = [layer.matrix for layer in found.layers if isinstance(layer, HeadMean)]
        kept = (queries, keys, means) if means else (queries, keys)
        return found.tokens, *(torch.stack(parts, dim=1) for parts in kept)


class ExportedBackbone:
    """An `Encoder` in a file that `dcal export --inspection` wrote; on the CPU.

    `config` and `fingerprint` are those of the checkpoint that it was exported from. `threads`: of one pass; None: as
    many as PyTorch has. Raises CheckpointError for another file, DCALError where ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = Path(path)
        self.session, self.config, self.fingerprint = opened(self.path, threads or torch.get_num_threads())
        if self.session.get_outputs()[0].name != OUTPUTS[0]:
            raise CheckpointError(
                f"{path} gives answers, not what an inspection needs: export the checkpoint with --inspection"
            )

    def __call__(self, model: DCAL, images: Float[Tensor, "b 3 img_h img_w"]) -> Encoded:
        """What `encoded` gives, rounded otherwise. Raises CheckpointError for a model of other weights, DCALError for
        images of another size."""
        self.check(fingerprint(model))
        check_images(images, self.config)
        found = self.session.run(None, {INPUT: images.cpu().numpy()})
        tokens, queries, keys, *means = (torch.from_numpy(output).to(images.device) for output in found)
        record = [
            QueriesKeys(queries[:, index], keys[:, index], placed.positions.bias and placed.positions.bias.detach())
            for index, placed in enumerate(placed_blocks(model.backbone))
        ]
        layers: list[Layer] = [HeadMean(matrix) for kept in means for matrix in kept.unbind(1)]
        return Encoded(tokens, record, [*layers, record[-1]] if layers else [*record])

    def check(self, weights: str) -> None:
        """Raises CheckpointError unless the file was exported from a checkpoint with this fingerprint."""
        if weights != self.fingerprint:
            raise CheckpointError(
                f"{self.path} was exported from another checkpoint (weights {self.fingerprint[:12]}, here "
                f"{weights[:12]}): export this one with `dcal export --inspection`"
            )

    def __repr__(self) -> str:
        return f"ExportedBackbone({self.config.backbone}, weights {self.fingerprint[:12]})"

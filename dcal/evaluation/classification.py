"""Top-1 and top-5 of every branch, from one pass over a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcal.errors import DCALError
from dcal.model.dcal import DCAL
from dcal.model.output import Output


@dataclass(frozen=True)
class Evaluation:
    """Per-image probabilities of the branches, in the loader's order; accuracies are fractions of the n images.

    `fused` is the mean of the SA and GLCA probabilities (the paper adds them, which ranks alike); without GLCA it
    is SA's. `top1` and `top5` are the fused figures, what inference answers.
    """

    labels: Int[np.ndarray, " n"]
    fused: Float[np.ndarray, "n c"]
    sa: Float[np.ndarray, "n c"]
    glca: Float[np.ndarray, "n c"] | None

    @classmethod
    def interleaved(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """One of several, each a process's share of the images as `interleaved` has them."""
        if len(parts) == 1:
            return parts[0]
        glca = [part.glca for part in parts if part.glca is not None]
        labels, fused, sa = (interleaved([getattr(part, name) for part in parts]) for name in ("labels", "fused", "sa"))
        return cls(labels, fused, sa, interleaved(glca) if glca else None)

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def top1(self) -> float:
        return accuracy(self.fused, self.labels, 1)

    @property
    def top5(self) -> float:
        return accuracy(self.fused, self.labels, 5)

    def summary(self) -> dict[str, float | int]:
        """{n, top1, top5, sa_top1, sa_top5 and, with the branch, glca_top1, glca_top5}."""
        found: dict[str, float | int] = {"n": self.n, "top1": self.top1, "top5": self.top5}
        for name, probabilities in (("sa", self.sa), ("glca", self.glca)):
            if probabilities is not None:
                found |= {f"{name}_top{k}": accuracy(probabilities, self.labels, k) for k in (1, 5)}
        return found


def interleaved(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One array of several, the k-th of which holds the rows k, k + len(parts), k + 2·len(parts) …"""
    joined = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for start, part in enumerate(parts):
        joined[start :: len(parts)] = part
    return joined


def evaluate(
    model: DCAL, loader: Iterable[tuple[Tensor, Tensor]], forward: Callable[[Tensor], Output] | None = None
) -> Evaluation:
    """Run `model` in evaluation mode over batches (images (b, 3, h, w), labels (b,)); its mode is restored after.

    Runs on the device that holds the model, in float32. `forward` stands in for `model(images)`, e.g. to keep maps
    (`MapRecorder`). Raises DCALError on an empty loader, on labels outside the head and on probabilities that are not
    finite.
    """
    device, training = next(model.parameters()).device, model.training
    model.eval()
    columns: dict[str, list[np.ndarray]] = {"labels": [], "fused": [], "sa": [], "glca": []}
    try:
        with torch.inference_mode():
            for images, labels in loader:
                out = (forward or model)(images.to(device))
                columns["labels"].append(labels.numpy())
                columns["fused"].append(out.probabilities.float().cpu().numpy())
                columns["sa"].append(out.sa_logits.float().softmax(-1).cpu().numpy())
                if out.glca_logits is not None:
                    columns["glca"].append(out.glca_logits.float().softmax(-1).cpu().numpy())
    finally:
        model.train(training)
    if not columns["labels"]:
        raise DCALError("Nothing to evaluate: the loader gave no batch.")
    joined = {name: np.concatenate(parts) for name, parts in columns.items() if parts}
    return Evaluation(joined["labels"], joined["fused"], joined["sa"], joined.get("glca"))


def accuracy(probabilities: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"], k: int) -> float:
    """The fraction of rows whose label is among the k most probable classes; equals go by index."""
    n, classes = probabilities.shape
    if labels.min() < 0 or labels.max() >= classes:
        raise DCALError(f"Labels {labels.min()} to {labels.max()} do not fit a head of {classes} classes (from 0).")
    if not np.isfinite(probabilities).all():
        bad = int((~np.isfinite(probabilities)).any(1).sum())
        raise DCALError(f"The probabilities of {bad} of {n} images are not finite: the weights are broken.")
    own = probabilities[np.arange(n), labels][:, None]
    before = (probabilities > own) | ((probabilities == own) & (np.arange(classes) < labels[:, None]))
    return float((before.sum(1) < k).mean())

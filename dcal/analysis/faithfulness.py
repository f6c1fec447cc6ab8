"""Faithfulness of one map of one image: does the model need the patches that the map ranks highest?

Deletion and insertion (see `dcal.analysis.perturbation`) in the map's order, against random orders and the centre
prior. The computation is a generator: it reports progress, and closing it cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dcal.analysis.maps import centre_map, random_map
from dcal.analysis.perturbation import area, filled, patch_order, perturbations, step_counts
from dcal.errors import DCALError, check_choice
from dcal.explain.class_maps import model_input
from dcal.explain.inspect import class_index
from dcal.explain.inspection import Inspection
from dcal.model.dcal import DCAL
from dcal.model.shapes import describe

Curves = dict[str, Float[np.ndarray, " steps_and_one"]]
CURVES = ("deletion", "insertion")
RANDOM_ORDERS = 5


@dataclass(frozen=True, eq=False, repr=False)
class Faithfulness:
    """Curves of the answer over the share of patches changed, by order: "map", "random" (the mean), "centre".

    A faithful map has a small area under deletion and a large one under insertion; `score` is insertion − deletion.
    """

    shares: Float[np.ndarray, " steps_and_one"]  # of the patches, from 0 to 1
    deletion: Curves
    insertion: Curves
    patches: int
    random_scores: tuple[float, ...]  # of each random order: how far chance alone reaches
    __repr__ = describe

    def score(self, order: str = "map") -> float:
        """Insertion's area minus deletion's, in [-1, 1] for a probability: larger is better, 0 is about chance."""
        return _score(self.deletion[order], self.insertion[order], self.patches)

    def area(self, curve: str, order: str = "map") -> float:
        """The area under a curve, "deletion" or "insertion": the mean answer on the way."""
        values = {"deletion": self.deletion, "insertion": self.insertion}[check_choice("curve", curve, CURVES)]
        return float(area(values[order][None], self.patches)[0])


@dataclass(frozen=True, eq=False)
class Progress:
    """How far the computation is; `result` comes with the last one."""

    done: int  # model passes
    total: int
    result: Faithfulness | None = None


def faithfulness(
    model: DCAL,
    inspection: Inspection,
    values: Float[np.ndarray, "rows cols"],
    target: int | str | None = None,
    steps: int = 10,
    fill: str = "blur",
    seed: int = 0,
    answer: Callable[[Float[Tensor, "b 3 img_h img_w"]], Float[Tensor, " b"]] | None = None,
) -> Iterator[Progress]:
    """Progress after every pass of a batch of all orders, 2·(steps − 1) + 2 passes in all; the last has the result.

    The answer is the fused probability of `target` (default: the most probable class), or any other, such as the
    similarity to another image. `values` ranks the image's patches; negative ones are allowed and come last. Raises
    DCALError, before the first pass, for a map of another grid, for values that are not finite, and whatever the parts
    raise (an unknown class or fill, more steps than patches, a record of other weights).
    """
    layout = inspection.layout
    if values.shape != (layout.rows, layout.cols) or not np.isfinite(values).all():
        raise DCALError(f"the map must be {layout.rows}×{layout.cols} finite numbers, got {values.shape}")
    if model.training:
        raise DCALError("the model is in training mode, where its answers are noisy: call model.eval() first")
    step_counts(layout.patches, steps)  # do they fit?
    chosen = int(inspection.probabilities.argmax()) if target is None else class_index(model.config, target)

    def probability(images: Tensor) -> Tensor:
        return model(images).probabilities[:, chosen]

    noise = [random_map(layout.patches, seed, index) for index in range(RANDOM_ORDERS)]
    maps = torch.from_numpy(np.stack([values.reshape(-1).astype(np.float64), centre_map(layout), *noise]))
    image = model_input(model, inspection)
    return _run(
        answer or probability, image, filled(image, fill), patch_order(maps, seed).to(image.device), inspection, steps
    )


def own_similarity(model: DCAL, inspection: Inspection) -> Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, " b"]]:
    """The answer for a model without classes: the cosine of an image's embedding with the whole image's, in [-1, 1]."""
    own = torch.nn.functional.normalize(torch.from_numpy(inspection.embedding), dim=0)

    def similarity(images: Tensor) -> Tensor:
        embeddings = torch.nn.functional.normalize(model(images).embedding.float(), dim=1)
        return embeddings @ own.to(embeddings.device)

    return similarity


def _run(
    answer: Callable[[Tensor], Tensor],
    image: Float[Tensor, "1 3 img_h img_w"],
    blank: Float[Tensor, "1 3 img_h img_w"],
    order: Tensor,
    inspection: Inspection,
    steps: int,
) -> Iterator[Progress]:
    orders, layout = len(order), inspection.layout
    views = perturbations(image.expand(orders, -1, -1, -1), blank.expand(orders, -1, -1, -1), order, layout, steps)
    total = 2 * (steps - 1) + 2
    done = 0
    ends: list[Tensor] = []
    deletion: list[Tensor] = []
    insertion: list[Tensor] = []
    for end in (image, blank):
        with torch.inference_mode():
            ends.append(answer(end).expand(orders).cpu().double())
        done += 1
        if done < total:
            yield Progress(done, total)
    for deleted, inserted in views:
        for images, curve in ((deleted, deletion), (inserted, insertion)):
            with torch.inference_mode():
                curve.append(answer(images).cpu().double())
            done += 1
            if done < total:
                yield Progress(done, total)
    down = torch.stack([ends[0], *deletion, ends[1]], dim=1).numpy()
    up = torch.stack([ends[1], *insertion, ends[0]], dim=1).numpy()
    yield Progress(total, total, _result(down, up, layout.patches))


def _result(
    deletion: Float[np.ndarray, "orders steps_and_one"], insertion: Float[np.ndarray, "orders steps_and_one"], p: int
) -> Faithfulness:
    def named(curves: Float[np.ndarray, "orders steps_and_one"]) -> Curves:
        return {"map": curves[0], "centre": curves[1], "random": curves[2:].mean(axis=0)}

    scores = tuple(_score(down, up, p) for down, up in zip(deletion[2:], insertion[2:], strict=True))
    shares = np.array(step_counts(p, deletion.shape[1] - 1)) / p
    return Faithfulness(shares, named(deletion), named(insertion), p, scores)


def _score(deletion: Float[np.ndarray, " n"], insertion: Float[np.ndarray, " n"], patches: int) -> float:
    return float(area(insertion[None], patches)[0] - area(deletion[None], patches)[0])

"""The answer to each of many images: the most probable classes, or the nearest images of a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dcal.errors import DCALError
from dcal.gallery import Gallery, rank
from dcal.gallery.embed import reader
from dcal.model.exported import Model, device_of
from dcal.progress import OnProgress, silent

Answer = tuple[str, float]  # a class and its probability, or an identity and the cosine of its nearest image


@dataclass(frozen=True)
class Prediction:
    """The answers to one image, best first; or none, and why it cannot be read."""

    image: Path
    answers: tuple[Answer, ...]
    problem: str = ""


def predict(
    model: Model,
    images: Sequence[Path],
    top: int = 5,
    gallery: Gallery | None = None,
    batch_size: int = 32,
    workers: int = 0,
    on_progress: OnProgress = silent,
) -> Iterator[Prediction]:
    """The `top` answers to each image, in order; an image that cannot be read has a `problem` instead.

    A classifier answers with its classes, by name or by number, and their probabilities. Re-identification answers with
    the identities of a gallery's nearest images (an image of unknown identity: its path) and the cosines of theirs.
    Raises DCALError for a Re-ID model without a gallery, a classifier with one, and a gallery of other weights.
    """
    check_task(model, gallery)
    if top < 1 or batch_size < 1:
        raise DCALError(f"top and batch_size must be at least 1, got {top} and {batch_size}")
    numbers = [list(range(start, min(start + batch_size, len(images)))) for start in range(0, len(images), batch_size)]
    done, device = 0, device_of(model)
    for own, batch in zip(numbers, reader(images, model.config.preprocess, numbers, workers), strict=True):
        found: dict[int, tuple[Answer, ...]] = {}
        if batch.images is not None:
            answers = answered(model, batch.images.to(device), top, gallery)
            found = dict(zip(batch.numbers, answers, strict=True))
        for number in own:
            yield Prediction(images[number], found.get(number, ()), batch.failed.get(number, ""))
        done += len(own)
        on_progress("images", done, len(images))


def check_task(model: Model, gallery: Gallery | None) -> None:
    task = model.config.task
    if model.training:
        raise DCALError("the model is in training mode: call model.eval() first")
    if task == "reid" and gallery is None:
        raise DCALError("this checkpoint compares images and predicts no class: name a gallery to search (--gallery)")
    if task == "fgvc" and gallery is not None:
        raise DCALError("this checkpoint predicts classes: leave the gallery away, or use `dcal index search`")
    if gallery is not None:
        gallery.check_model(model)


def answered(
    model: Model, images: Float[Tensor, "b 3 img_h img_w"], top: int, gallery: Gallery | None
) -> list[tuple[Answer, ...]]:
    with torch.inference_mode():
        output = model(images)
    if gallery is None:
        return [by_class(model, row, top) for row in output.probabilities.float().cpu().numpy()]
    return [by_identity(gallery, row, top) for row in output.embedding.float().cpu().numpy()]


def by_class(model: Model, probabilities: Float[np.ndarray, " c"], top: int) -> tuple[Answer, ...]:
    names = model.config.classes or tuple(map(str, range(len(probabilities))))
    return tuple((names[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable")[:top])


def by_identity(gallery: Gallery, embedding: Float[np.ndarray, " d"], top: int) -> tuple[Answer, ...]:
    """The nearest image's identity, then the nearest of another one, …"""
    best: dict[str, float] = {}
    asked = top
    while True:
        hits = rank(gallery, embedding, k=asked).hits
        for hit in hits:
            best.setdefault(hit.item.identity or hit.item.path, hit.similarity)
        if len(best) >= top or len(hits) < asked:
            return tuple(best.items())[:top]
        asked *= 4

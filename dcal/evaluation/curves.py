"""What `dcal visualize --paper_figures` draws of a test split: figures under other R, and ranked lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcal.data.samples import ImageSamples, ReIDSamples
from dcal.evaluation.run import ClassificationEvaluation, Evaluation, ReIDEvaluation, batches
from dcal.model.backbone import encode
from dcal.model.dcal import DCAL
from dcal.model.embeddings import Embeddings, embed, unit
from dcal.model.output import Output
from dcal.model.rollout import class_rollout
from dcal.progress import OnProgress, silent

RATIOS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
MOST = 500  # test images of a classifier's curve, evenly over the split


@dataclass(frozen=True)
class RatioCurve:
    """One figure ("top1", or "mAP") of the whole model and of GLCA alone, for R at inference; `images` were used."""

    figure: str
    ratios: tuple[float, ...]
    whole: tuple[float, ...]
    glca: tuple[float, ...]
    images: int


@dataclass(frozen=True)
class RankedList:
    """A query and its first images by the joined embedding, without the protocol's junk: (path, cosine, right?)."""

    query: Path
    hits: tuple[tuple[Path, float, bool], ...]


def ratio_curve(
    evaluation: Evaluation, ratios: Sequence[float] = RATIOS, most: int = MOST, on_progress: OnProgress = silent
) -> RatioCurve:
    """The model's figure under every R. The backbone runs once an image, and GLCA once a ratio.

    R is what GLCA selects at inference: the model was trained under its own. Raises DCALError for a model without GLCA.
    """
    evaluation.model.require_glca()
    if isinstance(evaluation, ReIDEvaluation):
        return mean_precision_curve(evaluation, tuple(ratios), on_progress)
    return accuracy_curve(evaluation, tuple(ratios), most, on_progress)


def accuracy_curve(
    evaluation: ClassificationEvaluation, ratios: tuple[float, ...], most: int, on_progress: OnProgress
) -> RatioCurve:
    records = evaluation.data.records
    chosen = records[:: max(1, -(-len(records) // most))]
    samples = ImageSamples(chosen, evaluation.model.config.preprocess)
    hits = np.zeros((2, len(ratios)))
    for images, labels in batches(evaluation.config, samples, on_progress):
        for place, output in enumerate(answers_by_ratio(evaluation.model, images, ratios)):
            assert output.glca_logits is not None, "the model has GLCA"
            hits[0, place] += (output.probabilities.argmax(dim=-1) == labels).sum().item()
            hits[1, place] += (output.glca_logits.argmax(dim=-1) == labels).sum().item()
    whole, glca = (tuple(row.tolist()) for row in hits / len(chosen))
    return RatioCurve("top1", ratios, whole, glca, len(chosen))


def mean_precision_curve(evaluation: ReIDEvaluation, ratios: tuple[float, ...], on_progress: OnProgress) -> RatioCurve:
    sides = evaluation.sides
    samples = ReIDSamples(sides.images, evaluation.model.config.preprocess)
    sa: list[Tensor] = []
    glca: list[list[Tensor]] = [[] for _ in ratios]
    for images, _ in batches(evaluation.config, samples, on_progress):
        for place, output in enumerate(answers_by_ratio(evaluation.model, images, ratios)):
            assert output.glca_feature is not None, "the model has GLCA"
            glca[place].append(output.glca_feature)
            if place == 0:
                sa.append(output.sa_feature)
    own = unit(sa)
    found = [sides.judge(Embeddings(own, unit(features))).summary() for features in glca]
    whole, alone = (tuple(float(each[name]) for each in found) for name in ("mAP", "glca_mAP"))
    return RatioCurve("mAP", ratios, whole, alone, len(sides.images))


@torch.inference_mode()
def answers_by_ratio(model: DCAL, images: Tensor, ratios: Sequence[float]) -> list[Output]:
    """The model's output for the same images under each ratio."""
    x = model.embed(images.to(next(model.parameters()).device))
    tokens, layers = encode(model.backbone, x, keep_rollout=True)
    rollout = class_rollout(layers)
    return [model.read(tokens, rollout, ratio) for ratio in ratios]


def ranked_lists(
    evaluation: ReIDEvaluation, queries: int = 5, length: int = 10, on_progress: OnProgress = silent
) -> list[RankedList]:
    """The first images of the gallery for some queries, evenly over them."""
    sides = evaluation.sides
    samples = ReIDSamples(sides.images, evaluation.model.config.preprocess)
    loaded = batches(evaluation.config, samples, on_progress)
    joined = embed(evaluation.model, (images for images, _ in loaded)).joined
    joined = joined / np.linalg.norm(joined, axis=1, keepdims=True)  # each branch is of length 1, both are not
    rows, columns = sides.rows()
    identities, cameras = np.array([record.identity for record in sides.images]), sides.cameras
    lists = []
    for row in rows[:: max(1, len(rows) // queries)][:queries]:
        junk = (identities[columns] == identities[row]) & (cameras[columns] == cameras[row])
        kept = columns[~junk]
        cosines = joined[kept] @ joined[row]
        first = np.argsort(-cosines, kind="stable")[:length]
        hits = tuple(
            (sides.images[kept[i]].path, float(cosines[i]), bool(identities[kept[i]] == identities[row])) for i in first
        )
        lists.append(RankedList(sides.images[row].path, hits))
    return lists

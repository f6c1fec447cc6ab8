"""Pairs of images whose evidence is measured, and every map of the query that is held against the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dcal.analysis.maps import centre_map, random_map
from dcal.analysis.perturbation import filled, pixel_mask
from dcal.data.reid.base import ReIDRecord
from dcal.errors import DCALError
from dcal.explain.pair_relevance import pair_relevance
from dcal.model.backbone import encode
from dcal.model.dcal import DCAL
from dcal.model.rollout import class_rollout

TARGETS = ("similarity", "margin")
CONTROLS = ("random", "centre", "rollout")  # the query's maps that know of no match
FILL = "blur"  # what stands in for a patch that is taken out

Images = Float[Tensor, "b 3 img_h img_w"]
Features = dict[str, Float[Tensor, "b width"]]
Columns = tuple[tuple[str, str], ...]  # (target, branch) of the scores
Maps = dict[str, dict[tuple[str, str], Float[Tensor, "b p"]] | Float[Tensor, "b p"]]  # by column, or one for all
Score = Callable[[Tensor], Float[Tensor, "b s"]]


@dataclass(frozen=True)
class Triple:
    """A query, an image of the same identity by another camera, and one of another identity."""

    number: int  # of the query in its split: what the random control is drawn by
    query: ReIDRecord
    match: ReIDRecord
    other: ReIDRecord


@dataclass(frozen=True)
class PairBatch:
    """Some triples as the model sees them. `maps[name]` is of the query, by column where it differs between them."""

    queries: Images
    blank: Images  # the queries with every patch taken out
    score: Score  # the columns' scores of changed queries
    columns: Columns
    maps: Maps
    for_other: dict[str, Float[Tensor, "b p"]]  # the relevance of the similarity to the other image, by branch


def draw_triples(
    query: Sequence[ReIDRecord], gallery: Sequence[ReIDRecord], count: int, seed: int, one_camera: bool = False
) -> list[Triple]:
    """`count` queries that have a match, drawn by `seed`; each one's match and image of another identity are drawn too.

    0 means all. Smaller draws are part of larger ones. Matches are by other cameras, unless all are of `one_camera`;
    others are too where there are any. Raises DCALError where no query has a match and a wrong image.
    """
    identities, cameras = (np.array([getattr(own, name) for own in gallery]) for name in ("identity", "camera"))
    paths = np.array([str(own.path) for own in gallery])
    found: list[Triple] = []
    for number in np.random.default_rng(seed).permutation(len(query)).tolist():
        own = query[number]
        elsewhere = paths != str(own.path) if one_camera else cameras != own.camera
        right, wrong = np.flatnonzero(elsewhere & (identities == own.identity)), identities != own.identity
        wrong = np.flatnonzero(wrong & elsewhere if (wrong & elsewhere).any() else wrong)
        if len(right) and len(wrong):
            random = np.random.default_rng((seed, number))
            match, other = (gallery[int(random.choice(side))] for side in (right, wrong))
            found.append(Triple(number, own, match, other))
            if len(found) == count:
                break
    if not found:
        raise DCALError("the evidence cannot be measured: no query has a match and an image of another identity")
    return found


def pair_batches(
    model: DCAL, triples: Sequence[Triple], seed: int, batch_size: int, occluded: int = 0
) -> Iterator[PairBatch]:
    """The triples in their order; the first `occluded` come in batches of their own, with the map "occlusion" too."""
    cuts = sorted({*range(0, occluded, batch_size), *range(occluded, len(triples), batch_size), len(triples)})
    for start, end in pairwise(cuts):
        batch = pair_batch(model, triples[start:end], seed)
        if end <= occluded:
            batch.maps["occlusion"] = by_column(occlusion(batch, model), batch.columns)
        yield batch


def pair_batch(model: DCAL, triples: Sequence[Triple], seed: int) -> PairBatch:
    """The triples' images, scores and maps, but occlusion, which costs a forward pass a patch."""
    queries, matches, others = (
        images_of(model, [getattr(own, side) for own in triples]) for side in ("query", "match", "other")
    )
    score, columns = scores_to(model, matches, others)
    similar, rather = pair_relevance(model, queries, matches), pair_relevance(model, queries, matches, others)
    relevance = {column: {"similarity": similar, "margin": rather}[column[0]].query[column[1]] for column in columns}
    layout = model.layout
    with torch.inference_mode():
        tokens, layers = encode(model.backbone, model.embed(queries), keep_rollout=True)
        rollout = class_rollout(layers, model.pooled(tokens))[:, layout.prefix :]
    noise = np.stack([random_map(layout.patches, seed, own.number) for own in triples])
    centre = np.tile(centre_map(layout), (len(triples), 1))
    maps: Maps = {"relevance": relevance, "rollout": rollout}
    maps |= {"random": torch.from_numpy(noise).to(queries), "centre": torch.from_numpy(centre).to(queries)}
    for_other = pair_relevance(model, queries, others).query
    return PairBatch(queries, filled(queries, FILL), score, columns, maps, for_other)


def scores_to(model: DCAL, matches: Images, others: Images) -> tuple[Score, Columns]:
    """(changed queries → the similarity to their match and the margin over the other image by every branch, names)."""
    kept, against = features_of(model, matches), features_of(model, others)

    def score(queries: Tensor) -> Float[Tensor, "b s"]:
        own = features_of(model, queries)
        similar = with_mean([(own[name] * kept[name]).sum(dim=1) for name in own])
        other = with_mean([(own[name] * against[name]).sum(dim=1) for name in own])
        return torch.stack([*similar, *(one - two for one, two in zip(similar, other, strict=True))], dim=1)

    branches = (*kept, "fused") if len(kept) > 1 else tuple(kept)
    return score, tuple((target, branch) for target in TARGETS for branch in branches)


@torch.no_grad()
def features_of(model: DCAL, images: Images) -> Features:
    """Every branch's features, of length 1."""
    output = model(images)
    found = {"sa": output.sa_feature, "glca": output.glca_feature}
    return {name: F.normalize(own, dim=-1) for name, own in found.items() if own is not None}


def with_mean(scores: list[Tensor]) -> list[Tensor]:
    """The branches' scores and, of several, their mean: the fused embedding's."""
    return scores if len(scores) == 1 else [*scores, torch.stack(scores).mean(dim=0)]


@torch.no_grad()
def occlusion(batch: PairBatch, model: DCAL) -> Float[Tensor, "b p s"]:
    """How far every score falls when one patch alone is taken out."""
    patches, whole = model.layout.patches, batch.score(batch.queries)
    alone = torch.eye(patches, dtype=torch.bool, device=whole.device)
    falls = []
    for patch in range(patches):
        mask = pixel_mask(alone[patch].expand(len(whole), -1), model.layout, batch.queries)
        falls.append(whole - batch.score(torch.where(mask, batch.blank, batch.queries)))
    return torch.stack(falls, dim=1)


def by_column(values: Float[Tensor, "b p s"], columns: Columns) -> dict[tuple[str, str], Float[Tensor, "b p"]]:
    return {column: values[..., index] for index, column in enumerate(columns)}


def images_of(model: DCAL, records: Sequence[ReIDRecord]) -> Images:
    """What the model sees of the records, on its device."""
    preprocess = model.config.preprocess
    views = [preprocess.tensor(preprocess.render(record.open())) for record in records]
    return torch.stack(views).to(next(model.parameters()))

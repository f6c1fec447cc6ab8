"""Why two images match: what in either speaks for their similarity, and which patches correspond.

The maps are relevance (`dcal.explain.pair_relevance`), whose worth is measured (`dcal.analysis.pairs`). The links are
patches of the two images that are each other's nearest by their final tokens, weighed by both sides' relevance, as
PAIR-X (Shrack et al. 2025) has them for convolutional networks. Tokens share one large component that says nothing
about what they show, so they are centred first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor

from dcal.errors import DCALError, check_choice
from dcal.explain.inspect import inspect
from dcal.explain.inspection import Inspection
from dcal.explain.pair_relevance import PairRelevance, pair_relevance
from dcal.image import Source
from dcal.model.checkpoint import fingerprint
from dcal.model.dcal import DCAL

Map = Float32[np.ndarray, "rows cols"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for one branch's `score`: its similarity or, against another image, the margin between two.

    Maps hold the relevance of patches and are comparable on one scale. Of a similarity they are never negative; of a
    margin they are signed: positive speaks for the match, negative for the other image.
    """

    similarity: float  # cosine of the query's and the match's feature, in [-1, 1]
    query_map: Map
    match_map: Map
    likeness: Float32[np.ndarray, "p p"]  # cosine of the query's patches' centred tokens and the match's
    against: float | None = None  # cosine of the query's and the other image's feature
    other_map: Map | None = None

    @property
    def score(self) -> float:
        """What the maps speak for: the similarity, or the margin `similarity` − `against`."""
        return self.similarity if self.against is None else self.similarity - self.against

    @property
    def signed(self) -> bool:
        return self.against is not None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the patches of either image."""
        return self.query_map.shape[0], self.query_map.shape[1]

    def links(self, k: int = 10) -> list[tuple[int, int, float]]:
        """The k strongest links, best first: (the query's patch, the match's patch, the link's weight > 0).

        Two patches are linked if each is the other's nearest. The weight is the product of their relevances, negative
        ones as 0, and of their cosine.
        """
        weights = self._relevant(self.query_map)[:, None] * self._relevant(self.match_map) * self.likeness.clip(min=0)
        nearest, back = self.likeness.argmax(axis=1), self.likeness.argmax(axis=0)
        mutual = [i for i, j in enumerate(nearest) if back[j] == i and weights[i, j] > 0]
        best = sorted(mutual, key=lambda i: -weights[i, nearest[i]])[:k]
        return [(i, int(nearest[i]), float(weights[i, nearest[i]])) for i in best]

    def partner(self, patch: int) -> Map:
        """What in the match is like one of the query's patches: cosines of centred tokens, negative ones as 0."""
        if not 0 <= patch < len(self.likeness):
            raise DCALError(f"there is no patch {patch}: the model has {len(self.likeness)}, counted from 0")
        return self.likeness[patch].clip(min=0).reshape(self.shape)

    @staticmethod
    def _relevant(map: Map) -> Float32[np.ndarray, " p"]:
        return map.reshape(-1).clip(min=0)


@dataclass(frozen=True, eq=False)
class Match:
    """Two inspected images and the evidence of each branch: "sa" and, where the model has it, "glca" and "fused".

    `other` is the image that the match is held against, if one was given.
    """

    query: Inspection
    match: Inspection
    all_evidence: dict[str, Evidence]
    other: Inspection | None = None

    @property
    def branches(self) -> dict[str, Evidence]:
        """The evidence of "sa" and "glca" alone."""
        return {name: own for name, own in self.all_evidence.items() if name != "fused"}

    @property
    def similarity(self) -> float:
        """The cosine of the two embeddings: the mean over branches, whose features weigh the same there."""
        return self.evidence().similarity

    def evidence(self, branch: str = "fused") -> Evidence:
        """A branch's evidence; "fused" is the embedding's, which without GLCA is SA's own."""
        check_choice("branch", branch, tuple(dict.fromkeys(("fused", *self.all_evidence))))
        return self.all_evidence["sa" if len(self.all_evidence) == 1 else branch]


def explain_match(
    model: DCAL,
    query: Source | Inspection,
    match: Source | Inspection,
    against: Source | Inspection | None = None,
    *,
    token_mean: Float32[np.ndarray, " width"] | None = None,
) -> Match:
    """Why `match` is similar to `query`, or more similar to it than `against` is.

    Takes images as `inspect` does, or records of this model. `token_mean`, what links centre tokens by, is best the
    mean of a gallery's (`mean_token`); by itself it is the mean over both images' patches. Raises DCALError for records
    of other weights or different R and for a model in training mode, ImageError for an image.
    """
    given = [query, match] + ([] if against is None else [against])
    seen = [item if isinstance(item, Inspection) else inspect(model, item) for item in given]
    check_records(model, seen)
    one, two, *other = (pixels(model, record) for record in seen)
    found = pair_relevance(model, one, two, other[0] if other else None, seen[0].top_ratio)
    likeness = patch_cosines(model, seen[0], seen[1], token_mean)
    own = {name: evidence_of(found, name, likeness, seen[0]) for name in found.similarity}
    return Match(seen[0], seen[1], own, seen[2] if against is not None else None)


def check_records(model: DCAL, records: Sequence[Inspection]) -> None:
    """Raises DCALError unless all records are this model's, under one R, and it is in evaluation mode."""
    if model.training:
        raise DCALError("the model is in training mode, where dropout would blur the evidence: call model.eval() first")
    if {record.fingerprint for record in records} != {fingerprint(model)}:
        raise DCALError("the records were made by another checkpoint: inspect the images again with this one")
    if len(ratios := {record.top_ratio for record in records}) > 1:
        raise DCALError(
            f"the records were made with different R, {sorted(ratios)}: inspect the images with the same one"
        )


def evidence_of(found: PairRelevance, branch: str, likeness: Float32[np.ndarray, "p p"], seen: Inspection) -> Evidence:
    """A branch's evidence for the first pair of `found`."""

    def map_of(side: dict[str, Tensor]) -> Map:
        return side[branch][0].float().cpu().numpy().reshape(seen.layout.rows, seen.layout.cols)

    return Evidence(
        float(found.similarity[branch][0]),
        map_of(found.query),
        map_of(found.match),
        likeness,
        None if found.against is None else float(found.against[branch][0]),
        None if found.other is None else map_of(found.other),
    )


def pixels(model: DCAL, seen: Inspection) -> Float32[Tensor, "1 3 img_h img_w"]:
    """What the model saw of a record's image, as its input."""
    tensor = model.config.preprocess.tensor(Image.fromarray(seen.view))
    return tensor[None].to(next(model.parameters()).device)


def patch_tokens(model: DCAL, seen: Inspection) -> Float32[Tensor, "p width"]:
    """The patches' final, normed tokens."""
    with torch.no_grad():
        tokens = torch.from_numpy(seen.final_tokens).to(next(model.parameters()).device)
        return model.backbone.norm(tokens)[seen.layout.prefix :]


def mean_token(model: DCAL, records: Sequence[Inspection]) -> Float32[np.ndarray, " width"]:
    """The mean over the patches' tokens of some records, by which links centre tokens."""
    return torch.cat([patch_tokens(model, seen) for seen in records]).mean(dim=0).cpu().numpy()


def patch_cosines(
    model: DCAL, first: Inspection, second: Inspection, token_mean: Float32[np.ndarray, " width"] | None = None
) -> Float32[np.ndarray, "p p"]:
    """The cosine of every patch's centred token of the one image with every one's of the other."""
    tokens = [patch_tokens(model, seen) for seen in (first, second)]
    mean = torch.cat(tokens).mean(dim=0) if token_mean is None else torch.from_numpy(token_mean).to(tokens[0])
    one, other = (torch.nn.functional.normalize(own - mean, dim=-1) for own in tokens)
    return (one @ other.T).cpu().numpy()

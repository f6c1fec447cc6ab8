"""Why two pictures match: which patches of the one and of the other made their embeddings similar.

A branch's similarity s is the cosine of its two features. It is laid on pairs of patches, E_ij = s · r_i ĉ_ij r'_j / Z:
r_i is how much of the query's patch i is in its feature (the rollout), r'_j the same of the match, ĉ_ij the cosine of
the two patches' final tokens, negative ones as 0, and Z makes E sum to s. So a patch counts that was looked at AND has
something like it in the other picture. That is a way of sharing s out, not a proof: the layers between are not linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from dcal.errors import DCALError, check_choice
from dcal.explain.inspect import inspect
from dcal.explain.inspection import Inspection
from dcal.image import Source
from dcal.model.checkpoint import fingerprint
from dcal.model.dcal import DCAL
from dcal.model.rollout import carry_down

Map = Float32[np.ndarray, "rows cols"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """One branch's share of a match. `pairs` sums to `similarity`, and so do the two maps made from it."""

    similarity: float  # cosine of the two features, in [-1, 1]
    pairs: Float32[np.ndarray, "p p"]  # the query's patches × the match's
    shape: tuple[int, int]  # (rows, cols) of the patches of either picture

    @property
    def query_map(self) -> Map:
        """How much each of the query's patches adds to the similarity."""
        return self.pairs.sum(axis=1).reshape(self.shape)

    @property
    def match_map(self) -> Map:
        """How much each of the match's patches adds to the similarity."""
        return self.pairs.sum(axis=0).reshape(self.shape)

    def links(self, k: int = 10) -> list[tuple[int, int, float]]:
        """The k pairs that add most, best first: (the query's patch, the match's patch, what they add)."""
        order = np.argsort(-self.pairs, axis=None, kind="stable")[:k]
        rows, cols = np.unravel_index(order, self.pairs.shape)
        return [(int(i), int(j), float(self.pairs[i, j])) for i, j in zip(rows, cols, strict=True)]

    def partner(self, patch: int) -> Map:
        """What one of the query's patches found in the match: its row of `pairs`."""
        if not 0 <= patch < len(self.pairs):
            raise DCALError(f"there is no patch {patch}: the model has {len(self.pairs)}, counted from 0")
        return self.pairs[patch].reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Match:
    """Two inspected pictures and what made them similar, per branch: "sa", and "glca" where the model has it."""

    query: Inspection
    match: Inspection
    branches: dict[str, Evidence]

    @property
    def similarity(self) -> float:
        """The cosine of the two embeddings: the mean over branches, whose features weigh the same there."""
        return float(np.mean([evidence.similarity for evidence in self.branches.values()]))

    def evidence(self, branch: str = "fused") -> Evidence:
        """A branch's evidence, or, of "fused", the branches' mean, which sums to `similarity`."""
        check_choice("branch", branch, ("fused", *self.branches))
        if branch != "fused":
            return self.branches[branch]
        parts = list(self.branches.values())
        return Evidence(self.similarity, np.mean([part.pairs for part in parts], axis=0), parts[0].shape)


def explain_match(model: DCAL, query: Source | Inspection, match: Source | Inspection) -> Match:
    """Why `match` is similar to `query`: both pictures' records, and every branch's evidence.

    Takes pictures as `inspect` does, or records of this model. Raises DCALError for records of other weights and for a
    model in training mode, ImageError for a picture.
    """
    seen = [item if isinstance(item, Inspection) else inspect(model, item) for item in (query, match)]
    fingerprints = {record.fingerprint for record in seen} | {fingerprint(model)}
    if len(fingerprints) > 1:
        raise DCALError("the records were made by another checkpoint: inspect both pictures again with this one")
    first, second = seen
    names = ("sa",) if model.glca is None else ("sa", "glca")
    size = (first.layout.rows, first.layout.cols)
    likeness = patch_cosines(model, first, second).clip(min=0)
    features = [record.embedding.reshape(len(names), -1) for record in seen]  # a branch a row
    shares = [patch_shares(model, record) for record in seen]
    branches = {}
    for index, name in enumerate(names):
        similarity = float(features[0][index] @ features[1][index])  # both of length 1
        weights = shares[0][name][:, None] * likeness * shares[1][name][None]
        branches[name] = Evidence(similarity, laid_out(similarity, weights), size)
    return Match(first, second, branches)


def patch_shares(model: DCAL, seen: Inspection) -> dict[str, Float32[np.ndarray, " p"]]:
    """How much of each patch is in each branch's feature: {"sa": the rollout, "glca": …}, tokens beside patches apart.

    GLCA's block is one more layer of the rollout, ½ attention + ½ identity, whose queries' rows are weighed as the
    readout weighs their outputs, and carried down to the input.
    """
    shares = {"sa": seen.scores}
    if seen.glca_attention is None or seen.selected is None:
        return shares
    attention = torch.from_numpy(seen.glca_attention.mean(axis=0))
    own = torch.zeros_like(attention)
    asked = torch.cat([torch.zeros(1, dtype=torch.long), torch.from_numpy(seen.selected) + seen.layout.prefix])
    own[torch.arange(len(asked)), asked] = 1
    rows = 0.5 * (attention + own)
    weights = torch.zeros(len(rows))
    weights[0] = 1.0
    if model.config.readout == "mean":
        weights[:] = 0.5 / (len(rows) - 1)
        weights[0] = 0.5
    carried = carry_down((weights @ rows)[None, None], seen.layers())[0, 0]
    return {**shares, "glca": carried[seen.layout.prefix :].numpy()}


@torch.inference_mode()
def patch_cosines(model: DCAL, first: Inspection, second: Inspection) -> Float32[np.ndarray, "p p"]:
    """The cosine of every patch's final, normed token of the one picture with every one's of the other."""

    def unit(seen: Inspection) -> Tensor:
        tokens = torch.from_numpy(seen.final_tokens).to(next(model.parameters()).device)
        return torch.nn.functional.normalize(model.backbone.norm(tokens)[seen.layout.prefix :], dim=-1)

    return (unit(first) @ unit(second).T).cpu().numpy()


def laid_out(similarity: float, weights: Float32[np.ndarray, "p p"]) -> Float32[np.ndarray, "p p"]:
    """`weights`, none negative, scaled to sum to `similarity`; where all are zero, nothing can be laid anywhere."""
    total = weights.sum()
    return weights * (similarity / total) if total > 0 else np.zeros_like(weights)

"""A further branch: an attention mechanism beside SA, GLCA and PWCA, in one file of its own.

It is a module that makes a feature of what SA has computed; classifier, loss, checkpoint and command line follow from
its `BranchKind` (`dcal.model.ablation`). docs/architecture.md shows one.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dcal.model.kinds import TokenLayout
from dcal.model.shapes import describe


@dataclass(frozen=True, repr=False)
class BranchInput:
    """What SA has computed of a batch: the last block's tokens, and the class row of the rollout over patches."""

    tokens: Float[Tensor, "b n width"]
    scores: Float[Tensor, "b p"]
    layout: TokenLayout
    __repr__ = describe


@dataclass(frozen=True, repr=False)
class Answer:
    """A further branch's logits and feature. `predicts`: whether they count in what the model answers."""

    logits: Float[Tensor, "b c"]
    feature: Float[Tensor, "b width"]
    predicts: bool = True
    __repr__ = describe

    def detach(self) -> Answer:
        return Answer(self.logits.detach(), self.feature.detach(), self.predicts)

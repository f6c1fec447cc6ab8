"""What a forward pass of DCAL returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dcal.model.ablation import PAPER
from dcal.model.branch import Answer
from dcal.model.shapes import describe


@dataclass(frozen=True, repr=False)
class Output:
    """What a forward returns, in training and inference. Absent branches are None, PWCA also without a distractor.

    Features are the branches' embeddings before any neck or classifier. `scores` is the class row of the rollout over
    patches, `selected` the indices of the patches that GLCA selected by it, best first.
    """

    sa_logits: Float[Tensor, "b c"]
    sa_feature: Float[Tensor, "b width"]
    glca_logits: Float[Tensor, "b c"] | None = None
    glca_feature: Float[Tensor, "b width"] | None = None
    pwca_logits: Float[Tensor, "b c"] | None = None
    pwca_feature: Float[Tensor, "b width"] | None = None
    scores: Float[Tensor, "b p"] | None = None
    selected: Int[Tensor, "b k"] | None = None
    more: Mapping[str, Answer] | None = None  # further branches, by name

    @property
    def probabilities(self) -> Float[Tensor, "b c"]:
        """PAPER adds the class probabilities of SA and GLCA; ours is their mean, a distribution again."""
        parts = [answer.logits.softmax(dim=-1) for answer in self.predicting().values()]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0) / len(parts)

    @property
    def embedding(self) -> Float[Tensor, "b d"]:
        """PAPER concatenates SA's and GLCA's; each is L2-normalised first, so that both weigh the same."""
        return torch.cat([F.normalize(answer.feature, dim=-1) for answer in self.predicting().values()], dim=-1)

    def predicting(self) -> dict[str, Answer]:
        """The branches that count in what the model answers, by name: SA, GLCA, further ones."""
        found = {"sa": Answer(self.sa_logits, self.sa_feature)}
        if self.glca_logits is not None and self.glca_feature is not None:
            found["glca"] = Answer(self.glca_logits, self.glca_feature)
        return found | {name: answer for name, answer in (self.more or {}).items() if answer.predicts}

    def logits(self, branch: str) -> Float[Tensor, "b c"] | None:
        """A branch's logits by its name; None if they were not computed."""
        return self._of(branch, "logits")

    def feature(self, branch: str) -> Float[Tensor, "b width"] | None:
        """A branch's feature by its name; None if it was not computed."""
        return self._of(branch, "feature")

    def _of(self, branch: str, kind: str) -> Tensor | None:
        if branch in PAPER["full"]:
            return getattr(self, f"{branch}_{kind}")
        further = (self.more or {}).get(branch)
        return None if further is None else getattr(further, kind)

    __repr__ = describe

    def detach(self) -> Output:
        """The same numbers without the graph that they came from."""
        own = {name: value.detach() for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **own, more=self.more and {name: answer.detach() for name, answer in self.more.items()})

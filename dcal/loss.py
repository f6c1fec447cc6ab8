"""The joint loss of the branches, weighted by learned uncertainty (Kendall, Gal and Cipolla, CVPR 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dcal.config import ABLATIONS
from dcal.errors import DCALError, known
from dcal.model import Output


class DCALLoss(nn.Module):
    """L = ½ Σ ( L_branch · e^{-w} + w ), one learned w per branch: PAPER's L_SA, L_GLCA, L_PWCA and w1, w2, w3.

    L_branch is cross-entropy. PAPER is silent on the initial w; ours is 0 (equal weights). Put the parameters in the
    optimizer, without weight decay. PWCA's target is image 1's label, so all branches share `targets`. A single branch
    needs no weighing: its loss is plain cross-entropy and there are no parameters. Raises DCALError for unknown names,
    and for none at all.
    """

    def __init__(self, branches: Sequence[str], label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.branches = tuple(known("branch", branch, ABLATIONS["full"]) for branch in branches)
        if not self.branches:
            raise DCALError(f"a loss needs at least one branch of {', '.join(map(repr, ABLATIONS['full']))}")
        self.label_smoothing = label_smoothing
        self.weights = nn.Parameter(torch.zeros(len(self.branches))) if len(self.branches) > 1 else None

    def forward(
        self, out: Output, targets: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """(the joint loss, each branch's own cross-entropy by name, detached).

        Raises ValueError if the model gave no logits for a branch: the model's ablation differs, or no distractor was
        given.
        """
        parts = {branch: self._cross_entropy(out, branch, targets) for branch in self.branches}
        losses = torch.stack(list(parts.values()))
        total = losses[0] if self.weights is None else 0.5 * (losses * torch.exp(-self.weights) + self.weights).sum()
        return total, {branch: loss.detach() for branch, loss in parts.items()}

    def _cross_entropy(self, out: Output, branch: str, targets: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        logits = getattr(out, f"{branch}_logits")
        if logits is None:
            raise ValueError(
                f"the output has no {branch} logits: does the model's ablation have that branch, and PWCA a distractor?"
            )
        return F.cross_entropy(logits.float(), targets, label_smoothing=self.label_smoothing)

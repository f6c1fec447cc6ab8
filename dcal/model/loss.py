"""Losses: the branches' joint loss, weighted by learned uncertainty (Kendall et al., CVPR 2018); the triplet loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dcal.errors import DCALError, check_choice
from dcal.model.ablation import known_branches
from dcal.model.output import Output


class DCALLoss(nn.Module):
    """L = ½ Σ ( L_branch · e^{-w} + w ), one learned w per branch: PAPER's L_SA, L_GLCA, L_PWCA and w1, w2, w3.

    L_branch is cross-entropy, and for re-identification `triplet` times the triplet loss of the branch's feature, which
    is taken before the neck as the logits are after it (TransReID's baseline adds them alike, `triplet` = 1). PAPER is
    silent on the initial w; ours is 0 (equal weights). Put the parameters in the optimizer, without weight decay.
    PWCA's target is image 1's label, so all branches share `targets`. A single branch needs no weighing: its loss is
    L_branch itself and there are no parameters. Nor are there without `uncertainty`: then L = ½ Σ L_branch, as with
    every w at 0. `triplet_margin`: see `triplet_loss`. Raises DCALError for unknown names, and for none at all.
    """

    def __init__(
        self,
        branches: Sequence[str],
        label_smoothing: float = 0.0,
        triplet: float = 0.0,
        triplet_margin: float | None = None,
        uncertainty: bool = True,
    ) -> None:
        super().__init__()
        self.branches = tuple(check_choice("branch", branch, known_branches()) for branch in branches)
        if not self.branches:
            raise DCALError(f"a loss needs at least one branch of {', '.join(map(repr, known_branches()))}")
        self.label_smoothing, self.triplet, self.triplet_margin = label_smoothing, triplet, triplet_margin
        learned = uncertainty and len(self.branches) > 1
        self.weights = nn.Parameter(torch.zeros(len(self.branches))) if learned else None

    def forward(
        self, out: Output, targets: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """(the joint loss, each branch's own loss by name, detached).

        Raises ValueError if the model gave no logits for a branch: the model's ablation differs, or no distractor was
        given.
        """
        losses = {branch: self.branch_loss(out, branch, targets) for branch in self.branches}
        return self.joint(losses), {branch: loss.detach() for branch, loss in losses.items()}

    def branch_loss(self, out: Output, branch: str, targets: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """L_branch by itself, unweighted; the errors are those of `forward`."""
        logits, feature = out.logits(branch), out.feature(branch)
        if logits is None:
            raise ValueError(
                f"the output has no {branch} logits: does the model's ablation have that branch, and PWCA a distractor?"
            )
        precise = torch.promote_types(logits.dtype, torch.float32)  # not in half precision
        loss = F.cross_entropy(logits.to(precise), targets, label_smoothing=self.label_smoothing)
        if self.triplet == 0:
            return loss
        if feature is None:
            raise ValueError(f"the output has {branch} logits but no feature, which the triplet loss compares")
        return loss + self.triplet * triplet_loss(feature.to(precise), targets, self.triplet_margin)

    def joint(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """½ Σ ( L_branch · e^{-w} + w ) over the branches given, which may be some of them: the terms simply add up."""
        if len(self.branches) == 1:
            return losses[self.branches[0]]
        if self.weights is None:
            return 0.5 * torch.stack(list(losses.values())).sum()
        weights = dict(zip(self.branches, self.weights, strict=True))
        return torch.stack([0.5 * (loss * torch.exp(-weights[b]) + weights[b]) for b, loss in losses.items()]).sum()


def triplet_loss(
    features: Float[Tensor, "b width"], identities: Int[Tensor, " b"], margin: float | None = None
) -> Float[Tensor, ""]:
    """The mean over images of log(1 + exp(d_p - d_n)): batch-hard with a soft margin (Hermans et al., 2017).

    With a `margin` m, the mean of max(0, d_p - d_n + m) instead.

    d_p is the Euclidean distance to the farthest image of the same identity, d_n to the nearest of another one, both
    within the batch. An image that is the only one of its identity has d_p = 0. Features are not normalised, as in
    TransReID. Raises DCALError if there is one identity only: then nothing is a negative.
    """
    same = identities[:, None] == identities[None]
    if bool(same.all()):
        raise DCALError(
            f"the triplet loss compares identities, but all {len(identities)} images of this part of the batch show "
            "one: raise batch_size, or lower instances or accumulate"
        )
    # differences, not |a|² + |b|² - 2ab: that loses the small distances, and under autocast would be in half precision
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    farthest = distances.masked_fill(~same, 0.0).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    gap = farthest - nearest
    return (F.softplus(gap) if margin is None else F.relu(gap + margin)).mean()

"""Which attentions a model is trained with. Needs no torch, so that a command line can check a name at once."""

from __future__ import annotations

from dcal.errors import check_choice

# PAPER: SA always; GLCA adds a branch; PWCA regularises the shared blocks.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "sa_only": ("sa",),
    "sa_glca": ("sa", "glca"),
    "sa_pwca": ("sa", "pwca"),
    "full": ("sa", "glca", "pwca"),
}


def branches(ablation: str) -> tuple[str, ...]:
    """The branches that `ablation` trains, in the paper's order of loss weights w1, w2, w3.

    Raises DCALError for an unknown name; the message lists the known ones.
    """
    return ABLATIONS[check_choice("ablation", ablation, ABLATIONS)]

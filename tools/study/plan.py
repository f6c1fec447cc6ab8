"""The runs of the study: a visible table. `python -m tools.study.queue --list` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dcal.errors import DCALError

ABLATIONS = ("full", "sa_only", "sa_glca", "sa_pwca")  # in the order in which the runs are started
SEEDS = (0, 1, 2)
BASE = "base"


@dataclass(frozen=True)
class Run:
    """One training run and what it is judged on.

    `tier` groups runs that may be compared: same data, same image size, same epochs. `recipe` names what differs from
    the tier's base recipe, `options` says it to `dcal train`. `per_class`: so many training images of each class, drawn
    by the seed, and the others held out (`few_shot`); None: the official training split, nothing held out.
    """

    tier: str
    ablation: str
    seed: int
    recipe: str = BASE
    options: tuple[str, ...] = ()
    per_class: int | None = None

    @property
    def name(self) -> str:
        return "-".join(part for part in (self.tier, self.ablation, self.recipe, f"s{self.seed}") if part != BASE)


# --- few: little data at low resolution, so that recipes can be compared in minutes on one core -----------------------
# 10 of the 30 training images of each class at 112 px (49 patches), 12 epochs of 31 steps. The other 1,000 training
# images are held out and choose the recipe; the official test images are for the report alone.
FEW = ("--img-size", "112", "--epochs", "12", "--eval-every", "4")
PER_CLASS = 10


def few(ablation: str, seed: int, recipe: str = BASE, *options: str) -> Run:
    return Run("few", ablation, seed, recipe, FEW + options, PER_CLASS)


SMALL = tuple(few(ablation, seed) for seed in SEEDS for ablation in ABLATIONS)
TRIALS = (  # one thing varied at a time, seed 0
    few("full", 0, "rate_4e-4", "--learning-rate", "4e-4"),
    few("full", 0, "stream_sa", "--distractor-stream", "sa"),
    few("full", 0, "equal_losses", "--loss-weight-rate", "1e-9"),  # the loss weights stay 0: PWCA is not turned down
)

# --- final: cub50 at 224 px, 30 epochs, the official training split ---------------------------------------------------
FINAL = tuple(
    Run("final", ablation, seed, options=("--epochs", "30", "--eval-every", "5"))
    for seed in SEEDS
    for ablation in ABLATIONS
)

PLAN = (*SMALL, *TRIALS, *FINAL)


def chosen(patterns: Sequence[str], plan: Sequence[Run] = PLAN) -> list[Run]:
    """The runs whose name begins with one of `patterns`, in the plan's order; all if there are none.

    Raises DCALError for a pattern that no run's name begins with.
    """
    for pattern in patterns:
        if not any(run.name.startswith(pattern) for run in plan):
            raise DCALError(f"no run's name begins with {pattern!r}; there are {', '.join(run.name for run in plan)}")
    return [run for run in plan if not patterns or run.name.startswith(tuple(patterns))]

"""Which attentions a model is trained with. Needs no torch, so that a command line can check a name at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dcal.errors import check_choice
from dcal.registry import Registry


@dataclass(frozen=True)
class BranchKind:
    """How a further branch is made, and what it is for.

    `make` gets the backbone, which it may copy blocks of, and the model's configuration. Its module maps a
    `BranchInput` (`dcal.model.branch`) to a feature as wide as the backbone's. `trained_only`: it is left out of
    evaluation, as PWCA is.
    """

    make: Callable[[Any, Any], Any]
    about: str  # for cards: "… trained with self-attention, and <about>"
    trained_only: bool = False


# PAPER: SA always; GLCA adds a branch; PWCA regularises the shared blocks.
PAPER: dict[str, tuple[str, ...]] = {
    "sa_only": ("sa",),
    "sa_glca": ("sa", "glca"),
    "sa_pwca": ("sa", "pwca"),
    "full": ("sa", "glca", "pwca"),
}
# Further branches, a line each: name → where its `BranchKind` is, as "module:name". Each adds two ablations,
# "sa_<name>" (SA and it) and "full_<name>" (PAPER's three and it).
BRANCHES: Registry[BranchKind] = Registry("dcal.branches", {})


class Ablations(Mapping[str, tuple[str, ...]]):
    """The branches of every ablation: PAPER's, and those of further branches."""

    def __getitem__(self, name: str) -> tuple[str, ...]:
        if name in PAPER:
            return PAPER[name]
        base, _, further = name.partition("_")
        if base not in ("sa", "full") or further not in BRANCHES:
            raise KeyError(name)
        return (*PAPER["full" if base == "full" else "sa_only"], further)

    def __iter__(self) -> Iterator[str]:
        yield from PAPER
        for name in BRANCHES:
            yield from (f"sa_{name}", f"full_{name}")

    def __len__(self) -> int:
        return len(PAPER) + 2 * len(BRANCHES)


ABLATIONS: Mapping[str, tuple[str, ...]] = Ablations()


def branches(ablation: str) -> tuple[str, ...]:
    """The branches that `ablation` trains, in the paper's order of loss weights w1, w2, w3.

    Raises DCALError for an unknown name; the message lists the known ones.
    """
    return ABLATIONS[check_choice("ablation", ablation, ABLATIONS)]


def register_branch(name: str, kind: BranchKind) -> BranchKind:
    """Make `kind` known as `name` for as long as this process runs: ablations "sa_<name>" and "full_<name>".

    Checkpoints with it load where it is registered, or announced as an entry point of "dcal.branches". Raises DCALError
    for a name that is taken.
    """
    return BRANCHES.register(name, kind)


def known_branches() -> tuple[str, ...]:
    """PAPER's three, and further ones."""
    return (*PAPER["full"], *BRANCHES)

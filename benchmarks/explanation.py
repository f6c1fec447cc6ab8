"""What the evidence of a match costs, in forward passes of the images that it explains.

    python -m benchmarks.explanation [--quick] [--json PATH]

DeiT-Tiny at the yard's 256 px, one thread, float32, random weights; every ablation's branches. `forward` is the model's
own forward pass of the two images (with another one: three), features included, one batch. `relevance` is
`pair_relevance`; `explain` is `dcal.explain_match`, from two arrays of pixels to records, maps and links. Not a test.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dcal
from benchmarks.clock import Ratio, interleaved, ratio
from benchmarks.inspection import machine, met
from benchmarks.worker import Worker
from dcal.explain.pair_relevance import pair_relevance

BACKBONE, SIZE = "deit_tiny_patch16_224", 256
GOAL = 6.0  # `explain` over `forward`


@dataclass(frozen=True)
class Case:
    """An ablation's branches, of a similarity (two images) or a margin (three)."""

    ablation: str
    images: int


@dataclass(frozen=True)
class Measured:
    """One case; ratios are to the forward pass of as many images."""

    case: Case
    rounds: int
    disturbed: bool
    forward_seconds: float
    ratios: dict[str, Ratio]

    def judged(self, variant: str) -> float:
        """The ratio that counts: of medians, or of minima when the processor was shared, which inflates the medians."""
        return self.ratios[variant].of_minima if self.disturbed else self.ratios[variant].of_medians

    @property
    def in_time(self) -> bool:
        return self.judged("explain") <= GOAL


def variants(case: Case) -> dict[str, Callable[[], Any]]:
    """Calls without arguments, outside inference mode, because relevance needs gradients."""
    torch.manual_seed(0)
    model = dcal.create_model(BACKBONE, 50, ablation=case.ablation, img_size=SIZE, task="reid", top_ratio=0.3).eval()
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(case.images)]
    images = torch.randn(case.images, 3, SIZE, SIZE)
    return {
        "forward": lambda: forward(model, images),
        "relevance": lambda: pair_relevance(model, *images.split(1)),
        "explain": lambda: dcal.explain_match(model, *pixels),
    }


@torch.inference_mode()
def forward(model: dcal.DCAL, images: torch.Tensor) -> torch.Tensor:
    return model(images).embedding


def measure(case: Case, seconds: float, least_rounds: int) -> Measured:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(call, gradients=True)) for name, call in variants(case).items()}
        times = interleaved(workers, seconds, least_rounds)
    own, disturbed = times.pop("forward"), any(t.disturbed for t in times.values())
    return Measured(
        case,
        len(own.cpu),
        disturbed,
        min(own.cpu) if disturbed else sorted(own.cpu)[len(own.cpu) // 2],
        {name: ratio(t, own) for name, t in times.items()},
    )


HEADER = """\
| branches | images | forward ms | relevance × | explain × | goal |
|---|---|---|---|---|---|"""


def table_row(row: Measured) -> str:
    cells = [row.case.ablation, str(row.case.images), f"{row.forward_seconds * 1e3:.0f}{'*' if row.disturbed else ''}"]
    cells += [f"{row.judged(name):.2f} ({of.least:.2f}–{of.most:.2f})" for name, of in row.ratios.items()]
    return "| " + " | ".join([*cells, f"≤ {GOAL:g} {met(row.in_time)}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: a minute")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(), HEADER, sep="\n\n", flush=True)
    rows = []
    for ablation in ("sa_only", "sa_glca"):
        for images in (2, 3):
            rows.append(measure(Case(ablation, images), seconds=4 if options.quick else 25, least_rounds=5))
            print(table_row(rows[-1]), flush=True)
    if any(row.disturbed for row in rows):
        print("\n* Others had the processor at times: ratios of minima of processor time, else of medians.")
    print(f"\nGoal met in {sum(row.in_time for row in rows)} of {len(rows)}.")
    if options.json:
        report = {"machine": machine(), "command": sys.argv, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

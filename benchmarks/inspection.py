"""Inspection against a plain forward and against the usual way, in time and memory, and which goals are met.

    python -m benchmarks.inspection [--quick] [--json PATH]

One image, one thread, float32, random weights. Not a test: nothing fails for being slow, only for being wrong.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import timm
import torch

from benchmarks.clock import Ratio, interleaved, ratio
from benchmarks.memory import peaks
from benchmarks.variants import MODELS, SIZES, variants
from benchmarks.worker import Worker

TIME_GOAL = {224: 1.08, 448: 1.15}  # `rollouts` over `plain`
MEMORY_GOAL = 1 / 3  # extra bytes of `rollouts` over those of `usual`
SAME = 1e-5  # the most that two ways to the same rollouts may differ


@dataclass(frozen=True)
class Measured:
    """One model at one size. Extra bytes are those above the plain forward's peak."""

    model: str
    size: int
    rounds: int
    disturbed: bool
    plain_seconds: float
    ratios: dict[str, Ratio]
    extra_bytes: dict[str, int]
    difference: float

    def judged(self, variant: str) -> float:
        """The ratio that counts: of medians, or of minima when the processor was shared, which inflates the medians."""
        return self.ratios[variant].of_minima if self.disturbed else self.ratios[variant].of_medians

    @property
    def share(self) -> float:
        return self.extra_bytes["rollouts"] / self.extra_bytes["usual"]

    @property
    def in_time(self) -> bool:
        return self.judged("rollouts") <= TIME_GOAL[self.size]

    @property
    def in_memory(self) -> bool:
        return self.share <= MEMORY_GOAL


def measure(model: str, size: int, seconds: float, least_rounds: int) -> Measured:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(call)) for name, call in variants(model, size).items()}
        times = interleaved(workers, seconds, least_rounds)
        difference = disagreement(workers)
    bytes_at_peak = peaks(model, size)
    plain, disturbed = times.pop("plain"), any(t.disturbed for t in times.values())
    return Measured(
        model=model,
        size=size,
        rounds=len(plain.cpu),
        disturbed=disturbed,
        plain_seconds=min(plain.cpu) if disturbed else sorted(plain.cpu)[len(plain.cpu) // 2],
        ratios={name: ratio(t, plain) for name, t in times.items()},
        extra_bytes={name: bytes_at_peak[name] - bytes_at_peak["plain"] for name in times},
        difference=difference,
    )


def disagreement(workers: dict[str, Worker]) -> float:
    """The largest difference between our rollouts and the usual way's. AssertionError if they are not the same."""
    difference = float((workers["rollouts"].answer() - workers["usual"].answer()).abs().max())
    assert difference < SAME, f"the two ways differ by {difference:.1e}, more than {SAME:.0e}: one of them is wrong"
    return difference


HEADER = """\
| | px | plain ms | rollouts × | usual × | inspect × | rollouts MB | usual MB | inspect MB | ratio | diff | goals |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def table_row(row: Measured) -> str:
    cells = [row.model, str(row.size), f"{row.plain_seconds * 1e3:.1f}{'*' if row.disturbed else ''}"]
    for name, of in row.ratios.items():
        cells.append(f"{row.judged(name):.2f} ({of.least:.2f}–{of.most:.2f})")
    cells += [f"{extra / 1e6:.1f}" for extra in row.extra_bytes.values()]
    goals = f"time ≤ {TIME_GOAL[row.size]} {met(row.in_time)}, memory ≤ ⅓ {met(row.in_memory)}"
    return "| " + " | ".join([*cells, f"{row.share:.2f}", f"{row.difference:.0e}", goals]) + " |"


def met(reached: bool) -> str:
    return "met" if reached else "MISSED"


def machine() -> str:
    """The hardware and versions that the figures belong to."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpus = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{date.today()}, {cpus[0]} ({len(cpus)} cores, {torch.backends.cpu.get_cpu_capability()}), one thread, "
        f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="DeiT-Tiny alone, few rounds: under a minute")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(), HEADER, sep="\n\n", flush=True)
    rows = []
    for model in MODELS[:1] if options.quick else MODELS:
        for size in SIZES:
            rows.append(measure(model, size, seconds=4 if options.quick else 25, least_rounds=5))
            print(table_row(rows[-1]), flush=True)
    if any(row.disturbed for row in rows):
        print("\n* Others had the processor at times: ratios of minima of processor time, else of medians.")
    in_time, in_memory = sum(r.in_time for r in rows), sum(r.in_memory for r in rows)
    print(f"\nGoals met, of {len(rows)}: time {in_time}, memory {in_memory}.")
    if options.json:
        report = {"machine": machine(), "command": sys.argv, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A training step of every ablation against a plain step of the same backbone, in time and memory.

    python -m benchmarks.training [--quick] [--options] [--device cuda] [--peak-tflops 989] [--json PATH]

On a CPU one thread; each variant has a process of its own. Random weights and images, AdamW, stochastic depth 0.1.
`--options` asks whether channels-last and torch.compile pay: plain and full steps with each, against the plain one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import dcal
from benchmarks.clock import interleaved, ratio
from benchmarks.inspection import machine, met
from benchmarks.memory import EXACT, MEASURED, WARM_UP
from benchmarks.steps import CLASSES, same_losses, steps
from benchmarks.worker import Worker

TIME_GOAL, MEMORY_GOAL = 2.4, 1.4  # `full` over `plain`
SAME = 1e-3  # the most that the naive way's logits may differ from ours, float32
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


COMPILED = ", compiled"
OPTIONS: dict[str, dict[str, bool]] = {  # what is appended to a way's name, and what it says to `steps`
    "": {},
    ", channels last": {"channels_last": True},
    COMPILED: {"compiled": True},
}


@dataclass(frozen=True)
class Case:
    """One backbone at one size (pixels), batch and precision. With `options`, two ways under each of OPTIONS."""

    model: str
    size: int
    batch: int
    precision: str
    device: str = "cpu"
    options: bool = False

    def calls(self) -> dict[str, Any]:
        make = partial(steps, self.model, self.size, self.batch, PRECISIONS[self.precision], torch.device(self.device))
        if not self.options:
            return make()
        made = {option: make(("plain", "full"), **told) for option, told in OPTIONS.items()}
        return {f"{way}{option}": calls[way] for way in ("plain", "full") for option, calls in made.items()}


QUICK = (Case("deit_tiny_patch16_224", 224, 8, "float32"),)
ON_CPU = (
    *(Case("deit_tiny_patch16_224", 224, 8, precision) for precision in PRECISIONS),
    Case("deit_tiny_patch16_224", 448, 4, "float32"),
    Case("deit_small_patch16_224", 224, 8, "float32"),
)
ON_GPU = tuple(
    Case(model, size, batch, "bfloat16", "cuda")
    for model, size, batch in (("deit_tiny_patch16_224", 224, 128), ("vit_base_patch16_224", 448, 16))
)


@dataclass(frozen=True)
class Measured:
    """Of every variant: the time and peak memory as multiples of the plain step's, and images per second."""

    case: Case
    times: dict[str, float]
    spread: dict[str, tuple[float, float]]  # of a round's ratio; absent on a GPU
    memory: dict[str, float]
    images_per_second: dict[str, float]
    flops: dict[str, int]  # of one step, counted by torch; fused attention included


def measure_on_cpu(case: Case, seconds: float, rounds: int) -> Measured:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(call, gradients=True)) for name, call in case.calls().items()}
        times = interleaved(workers, seconds, rounds)
    ratios = {name: ratio(of, times["plain"]) for name, of in times.items()}
    shared = any(of.disturbed for of in times.values())
    best = min if shared else median
    return Measured(
        case,
        {name: of.of_minima if shared else of.of_medians for name, of in ratios.items()},
        {name: (of.least, of.most) for name, of in ratios.items()},
        over_plain(peaks(case)),
        {name: case.batch / best(of.cpu) for name, of in times.items()},
        flops(case.calls()),
    )


def measure_on_gpu(case: Case, rounds: int) -> Measured:
    calls, seconds, peak = case.calls(), {}, {}
    for name, call in calls.items():
        for _ in range(3):
            call()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        resting, taken = torch.cuda.memory_allocated(), []
        for _ in range(rounds):
            start = time.perf_counter()
            call()
            torch.cuda.synchronize()
            taken.append(time.perf_counter() - start)
        seconds[name], peak[name] = median(taken), torch.cuda.max_memory_allocated() - resting
    speed = {name: case.batch / value for name, value in seconds.items()}
    return Measured(case, over_plain(seconds), {}, over_plain(peak), speed, flops(calls))


def over_plain(values: dict[str, Any]) -> dict[str, float]:
    return {name: value / values["plain"] for name, value in values.items()}


def peaks(case: Case) -> dict[str, int]:
    """Bytes at each variant's peak above the resting process, in a fresh interpreter; see benchmarks.memory."""
    command = [sys.executable, "-m", "benchmarks.training", "--peaks", json.dumps(asdict(case))]
    done = subprocess.run(command, env=os.environ | EXACT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def print_peaks(case: Case) -> None:
    found = {}
    for name, call in case.calls().items():
        if name.endswith(COMPILED):  # in torch 2.15 its backward ends a process under EXACT: "Invalid thread pool"
            continue
        with Worker(call, gradients=True) as worker:
            found[name] = max([worker.peak() for _ in range(WARM_UP + MEASURED)][WARM_UP:])
    print(json.dumps(found))


def flops(calls: dict[str, Any]) -> dict[str, int]:
    """Floating-point operations of one step, each variant run once under torch's counter.

    The counter does not see into what is compiled, which computes the same: that has the eager step's figure.
    """
    found: dict[str, int] = {}
    for name, call in calls.items():
        if name.endswith(COMPILED):
            found[name] = found[name.removesuffix(COMPILED)]
            continue
        with FlopCounterMode(display=False) as counter:
            call()
        found[name] = counter.get_total_flops()
    return found


def check_naive() -> None:
    """AssertionError if the naive way computes something else."""
    torch.manual_seed(0)
    model = dcal.create_model("deit_tiny_patch16_224", CLASSES, img_size=64, top_ratio=0.3).eval()
    found = same_losses(model, torch.randn(4, 3, 64, 64), dcal.random_matching(4))
    assert max(found.values()) < SAME, f"the naive way is another computation: its logits differ by {found}"


def rows(found: Measured, peak_tflops: float | None) -> list[str]:
    case, lines = found.case, []
    for name, times in found.times.items():
        spread = f" ({found.spread[name][0]:.2f}–{found.spread[name][1]:.2f})" if found.spread else ""
        rate = found.flops[name] / case.batch * found.images_per_second[name]
        used = f"{rate / 1e12 / peak_tflops:.0%}" if peak_tflops else "–"
        cells = [case.model, str(case.size), str(case.batch), case.precision, name, f"{times:.2f}{spread}"]
        memory = f"{found.memory[name]:.2f}" if name in found.memory else "–"
        cells += [memory, f"{found.images_per_second[name]:.1f}"]
        cells += [f"{found.flops[name] / found.flops['plain']:.2f}", used]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


HEADER = """\
| model | px | batch | precision | step | time × | memory × | images/s | FLOPs × | MFU |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="DeiT-Tiny at 224 px in float32, few rounds")
    parser.add_argument("--options", action="store_true", help="do channels-last and torch.compile pay?")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--peak-tflops", type=float, help="the GPU's bfloat16 peak without sparsity, for MFU")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured there as well")
    parser.add_argument("--peaks", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peaks:
        print_peaks(Case(**json.loads(options.peaks)))
        return
    check_naive()
    cases, measure = QUICK if options.quick else ON_CPU, partial(measure_on_cpu, seconds=10, rounds=5)
    if options.device == "cuda":
        cases, measure = ON_GPU, partial(measure_on_gpu, rounds=20)
        print(torch.cuda.get_device_name(), end="; ")
    print(machine(), HEADER, sep="\n\n", flush=True)
    found = []
    for case in cases:
        found.append(measure(replace(case, options=options.options)))
        print("\n".join(rows(found[-1], options.peak_tflops)), flush=True)
    for one in found:
        time_met, memory_met = one.times["full"] <= TIME_GOAL, one.memory["full"] <= MEMORY_GOAL
        goals = f"time ≤ {TIME_GOAL} × plain's {met(time_met)}, memory ≤ {MEMORY_GOAL} × {met(memory_met)}"
        print(f"\n{one.case}: full: {goals}")
    if options.json:
        report = {"machine": machine(), "command": sys.argv, "rows": [asdict(row) for row in found]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Timing on a machine that is not ours alone: interleaved rounds, processor time beside wall time."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from statistics import median

from benchmarks.worker import Worker

DISTURBED = 1.03  # wall time over processor time from which on somebody else had the processor


@dataclass(frozen=True)
class Times:
    """Seconds of each round's call of one variant."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def disturbed(self) -> bool:
        return sum(self.wall) > DISTURBED * sum(self.cpu)


@dataclass(frozen=True)
class Ratio:
    """How many times as long one variant takes as another: `of_medians` and `of_minima` of the rounds' processor times,
    and the `median`, `least` and `most` of the rounds' own ratios."""

    of_medians: float
    of_minima: float
    median: float
    least: float
    most: float


def interleaved(workers: dict[str, Worker], seconds: float, least_rounds: int, warm_up: int = 2) -> dict[str, Times]:
    """Every worker's call once a round, each round in another order, until `seconds` and `least_rounds` are reached.

    A drifting clock and another's load then meet all alike, and nobody always runs after the same one. `warm_up` calls
    of each come first and do not count.
    """
    times = {name: Times() for name in workers}
    order, shuffle = list(workers), random.Random(0).shuffle
    for worker in warm_up * list(workers.values()):
        worker.seconds()
    end = time.perf_counter() + seconds
    while len(times[order[0]].cpu) < least_rounds or time.perf_counter() < end:
        shuffle(order)
        for name in order:
            cpu, wall = workers[name].seconds()
            times[name].cpu.append(cpu)
            times[name].wall.append(wall)
    return times


def ratio(times: Times, reference: Times) -> Ratio:
    rounds = [a / b for a, b in zip(times.cpu, reference.cpu, strict=True)]
    return Ratio(
        of_medians=median(times.cpu) / median(reference.cpu),
        of_minima=min(times.cpu) / min(reference.cpu),
        median=median(rounds),
        least=min(rounds),
        most=max(rounds),
    )

"""Ranking and re-ranking against the usual way and against public code, in time and memory, and which goals are met.

    python -m benchmarks.retrieval [--quick] [--torchreid PATH] [--fastreid PATH] [--json PATH]

PATH is a checkout of the project with its Cython code built. One thread, float32, random features. Not a test: nothing
fails for being slow, only for being wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import scipy
import torch
from threadpoolctl import threadpool_limits

from benchmarks import rivals
from benchmarks.clock import Ratio, interleaved, ratio
from benchmarks.crowd import MARKET, MSMT17, Size, crowd
from benchmarks.inspection import machine, met
from benchmarks.memory import EXACT
from benchmarks.rivals import Calls, Figures, Peers
from benchmarks.worker import Kept, Worker

SAME = 1e-6  # the most that two ways may differ
# From features, single precision decides who is nearer, but not for ours, which must give double precision's figures.
SINGLE = 1e-4
# In re-ranking, the share of the distances that may differ by more: sets of neighbours in which single precision puts
# two equally near images in another order. Ours decides such cases in double precision; dense code does not.
ROUNDED = 1e-4
TASKS = {
    "ranking": rivals.ranking,
    "features": rivals.from_features,
    "ours from features": rivals.ours_from_features,
    "re-ranking": rivals.reranking,
}
TIMES_GOALS = {
    "ranking": {"torchreid": 10, "fastreid": 6},
    "features": {"torchreid": 3},
    "re-ranking": {"torchreid": 6},
}
BYTES_GOAL = 300e6  # of ours at MSMT17's size, beside the features
SHARE_GOAL = 1 / 20  # of ours in re-ranking's bytes
GOOD, POOR = 2.45, 3.0  # noise: an mAP near 0.8 and near 0.3 at Market-1501's size


@dataclass(frozen=True)
class Case:
    """A task at a size, for the first `queries` of it only if they are given."""

    task: str
    size: Size
    noise: float = GOOD
    queries: int | None = None
    rounds: int = 7

    def calls(self, peers: Peers) -> Calls:
        """Everybody who has room; the others are named on stderr."""
        whole = crowd(self.size, self.noise)
        calls = TASKS[self.task](whole.first(self.queries or self.size.queries), peers)
        if self.others_need > 0.8 * available():
            left_out = ", ".join(name for name in calls if name != "ours")
            print(f"{self}: without {left_out}, who need {self.others_need / 1e9:.1f} GB of memory", file=sys.stderr)
            return {"ours": calls["ours"]}
        return calls

    @property
    def others_need(self) -> float:
        """Bytes, about: a distance, an index and two labels a pair; for re-ranking six matrices of all pairs."""
        queries = self.queries or self.size.queries
        if self.task == "re-ranking":
            return 24 * (queries + self.size.gallery) ** 2
        return 28 * queries * self.size.gallery if self.task != "ours from features" else 0


FULL = (
    Case("ranking", MARKET),
    Case("ranking", MARKET, POOR),
    Case("features", MARKET),
    Case("features", MSMT17, queries=1000, rounds=3),
    Case("ours from features", MSMT17, rounds=1),
    Case("re-ranking", MARKET, rounds=2),
)
QUICK = (Case("ranking", MARKET, rounds=3), Case("features", MARKET, rounds=3), Case("re-ranking", MARKET.divided(5)))


@dataclass(frozen=True)
class Measured:
    """Seconds are medians; ratios are the others' over ours; `differences` are the largest to ours."""

    case: Case
    cpu: dict[str, float]
    wall: dict[str, float]
    ratios: dict[str, Ratio] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    beyond: dict[str, float] = field(default_factory=dict)  # the share of re-ranked distances that differ by over SAME

    def goals(self) -> list[str]:
        """Which are met, of those that this case decides."""
        found: list[str] = []
        ours = self.bytes["ours"]
        if self.case.size not in (MARKET, MSMT17):
            return found
        for name, goal in TIMES_GOALS.get(self.case.task, {}).items():
            if name in self.ratios:
                found.append(f"{goal} × faster than {name} {met(self.ratios[name].median >= goal)}")
        if self.case.size == MSMT17 and self.case.queries is None:
            found.append(f"under {BYTES_GOAL / 1e6:.0f} MB {met(ours < BYTES_GOAL)}")
        if self.case.task == "re-ranking":
            found += [f"1/20 of {n}'s memory {met(ours <= SHARE_GOAL * self.bytes[n])}" for n in self.ratios]
        return found


def measure(case: Case, peers: Peers) -> Measured:
    with ExitStack() as stack:
        calls = case.calls(peers)
        workers = {name: stack.enter_context(Worker(Kept(call))) for name, call in calls.items()}
        times = interleaved(workers, 0, case.rounds, warm_up=1 if case.rounds > 2 else 0)
        found = {name: worker.latest() for name, worker in workers.items()}
    if case.task == "features":
        settled(case, found["ours"])
    others = [name for name in times if name != "ours"]
    return Measured(
        case,
        {name: median(of.cpu) for name, of in times.items()},
        {name: median(of.wall) for name, of in times.items()},
        {name: ratio(times[name], times["ours"]) for name in others},
        peaks(case, peers),
        {name: difference(case, name, found[name], found["ours"]) for name in others},
        {name: beyond(found[name], found["ours"]) for name in others} if case.task == "re-ranking" else {},
    )


def settled(case: Case, ours: Figures) -> None:
    """AssertionError unless ours are the figures of double precision."""
    truth = rivals.in_double_precision(crowd(case.size, case.noise).first(case.queries or case.size.queries))
    off = {what: float(np.abs(value - ours[what]).max()) for what, value in truth.items()}
    assert max(off.values()) < 1e-12, f"{case}: ours and double precision differ by {off}"


def difference(case: Case, name: str, theirs: Figures, ours: Figures) -> float:
    """The largest in any figure that both have. AssertionError if it is more than SAME (see SINGLE, ROUNDED)."""
    found = {what: float(np.abs(value - ours[what]).max()) for what, value in theirs.items()}
    most = SINGLE if case.task == "features" else SAME
    fine = beyond(theirs, ours) <= ROUNDED if case.task == "re-ranking" else max(found.values()) <= most
    assert fine, f"{case}: ours and {name} differ by {found}: one of them is wrong"
    return max(found.values())


def beyond(theirs: Figures, ours: Figures) -> float:
    """The share of distances that differ by more than SAME."""
    return float((np.abs(theirs["distances"] - ours["distances"]) > SAME).mean())


def peaks(case: Case, peers: Peers) -> dict[str, int]:
    """Bytes at each call's peak above the resting process, which holds its input; see benchmarks.memory."""
    given = json.dumps({"case": asdict(case), "peers": asdict(peers)})
    command = [sys.executable, "-m", "benchmarks.retrieval", "--peaks", given]
    done = subprocess.run(command, env=os.environ | EXACT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return json.loads(done.stdout)


def print_peaks(case: Case, peers: Peers) -> None:
    for call in TASKS[case.task](crowd(MARKET.divided(50), case.noise), peers).values():
        call()  # loads the libraries, which are nobody's memory
    found = {}
    for name, call in case.calls(peers).items():
        with Worker(call) as worker:
            found[name] = worker.peak()
    print(json.dumps(found))


def available() -> int:
    """Bytes that the system could give."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024


HEADER = """\
| task | size | noise | who | CPU s | wall s | times ours | MB | ours : its MB | difference |
|---|---|---|---|---|---|---|---|---|---|"""


def rows(found: Measured) -> list[str]:
    case, lines = found.case, []
    size = case.size.name + (f", {case.queries} queries" if case.queries else "")
    for name, cpu in found.cpu.items():
        cells = [case.task, size, f"{case.noise:g}", name, f"{cpu:.2f}", f"{found.wall[name]:.2f}"]
        of = found.ratios.get(name)
        cells.append(f"{of.median:.1f} ({of.least:.1f}–{of.most:.1f})" if of else "1")
        cells += [f"{found.bytes[name] / 1e6:.0f}", f"{found.bytes['ours'] / found.bytes[name]:.3f}"]
        more = f" ({found.beyond[name]:.0e} of all over {SAME:.0e})" if found.beyond.get(name) else ""
        cells.append(f"{found.differences[name]:.0e}{more}" if of else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without MSMT17, re-ranking at a fifth of the size")
    parser.add_argument("--torchreid", metavar="PATH", help="a checkout of KaiyangZhou/deep-person-reid")
    parser.add_argument("--fastreid", metavar="PATH", help="a checkout of JDAI-CV/fast-reid")
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one (may be repeated)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything measured there as well")
    parser.add_argument("--peaks", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    if options.peaks:
        given = json.loads(options.peaks)
        size = Size(**given["case"].pop("size"))
        print_peaks(Case(size=size, **given["case"]), Peers(**given["peers"]))
        return
    peers = Peers(options.torchreid, options.fastreid)
    peers.load()
    print(f"{machine()}, numpy {np.__version__}, scipy {scipy.__version__}", HEADER, sep="\n\n", flush=True)
    found = []
    for case in QUICK if options.quick else FULL:
        if not options.task or case.task in options.task:
            found.append(measure(case, peers))
            print("\n".join(rows(found[-1])), flush=True)
    for one in found:
        print(
            f"\n{one.case.task}, {one.case.size.name}, noise {one.case.noise:g}: {', '.join(one.goals()) or 'no goal'}"
        )
    if options.json:
        report = {"machine": machine(), "command": sys.argv, "rows": [asdict(row) for row in found]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

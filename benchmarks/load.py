"""The demo under many visitors: calls a second, waiting times, memory, and whether every answer is one's own.

    python -m benchmarks.load --visitors 30 --seconds 60

Each visitor inspects an image of its own, makes six light calls (layer, heads, token, compare, select), and begins
again. Every image bears a mark; an answer with another one is foreign. Visitors never pause (`--think 0`), so the
server is always as busy as it can be.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.visitor import LIGHT, Call, Visitor, chance, endpoints, predictions
from dcal.provenance import hardware

LIGHT_CALLS = 6  # between two inspections
IMAGES = 2  # of each visitor, inspected in turn
START = 120  # seconds that the demo may take to start


@dataclass(frozen=True)
class Load:
    """What all visitors met, the server's processor time, seconds, and its resident memory, MiB, second by second."""

    calls: list[Call]
    seconds: float
    processor: float
    memory: list[int]

    def times(self, *names: str) -> list[float]:
        """Seconds of the answered calls of some endpoints, in rising order."""
        return sorted(call.seconds for call in self.calls if call.name in names and not call.wrong)

    def count(self, wrong: str) -> int:
        return sum(call.wrong.startswith(wrong) for call in self.calls if call.wrong)

    def summary(self) -> dict[str, float]:
        inspect, light = self.times("inspect"), self.times(*LIGHT)
        answered = len(inspect) + len(light) + len(self.times("evidence"))
        later = self.memory[60:] or self.memory[-1:]
        return {
            "calls a second": round(answered / self.seconds, 1),
            "inspections a second": round(len(inspect) / self.seconds, 2),
            "processor time of the server a call (s)": round(self.processor / max(1, answered), 4),
            "inspect p50 (s)": quantile(inspect, 0.5),
            "inspect p95 (s)": quantile(inspect, 0.95),
            "light p50 (s)": quantile(light, 0.5),
            "light p95 (s)": quantile(light, 0.95),
            "evidence p95 (s)": quantile(self.times("evidence"), 0.95),
            "refused politely": self.count("refused"),
            "errors": self.count("error"),
            "foreign answers": self.count("foreign"),
            "memory at most (MiB)": max(self.memory),
            "memory growth after the first minute (MiB)": later[-1] - later[0],
        }


def quantile(rising: list[float], share: float) -> float:
    """The value below which `share` of the sorted values lie; 0 without any."""
    return round(rising[min(len(rising) - 1, int(share * len(rising)))], 3) if rising else 0.0


@contextmanager
def demo(*options: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """(port, process) of a demo of its own, which is ended afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "dcal_explorer.demo", "--no-browser", "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:  # it says where it is once it serves
            said.append(line)
            if line.startswith("DCAL Explorer is at") and str(port) in line:
                break
        else:
            raise RuntimeError(f"the demo did not start: {''.join(said)!r}")
        yield port, process
    finally:
        end_server(process)
        if process.stdout is not None:
            process.stdout.close()


def end_server(process: subprocess.Popen[Any]) -> None:
    """End a server, by force if it takes more than 20 s."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def resident(pid: int) -> int:
    """A process's resident memory, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) // 1024


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def visit(visitor: Visitor, end: float, think: float, evidence: bool, checkpoint: str, expected: list[dict]) -> None:
    """One visitor's calls until `end`."""
    random, images = chance(visitor.number), [visitor.upload(mark_of(visitor.number, own)) for own in range(IMAGES)]
    turn = 0
    while time.perf_counter() < end:
        own, turn = turn % IMAGES, turn + 1
        mark = mark_of(visitor.number, own)
        visitor.timed("inspect", mark, expected[own], image=images[own], checkpoint=checkpoint)
        if visitor.calls[-1].wrong:  # refused: come back later, as the page says
            time.sleep(1 + random.random())
            continue
        if evidence:
            visitor.timed("evidence", mark, target=next(iter(expected[own]["SA"])))
        for _ in range(LIGHT_CALLS):
            name = random.choice(list(LIGHT))
            visitor.timed(name, mark, **LIGHT[name](random))
            time.sleep(think)
            if time.perf_counter() > end:
                return


def mark_of(number: int, own: int) -> int:
    return (number * IMAGES + own + 1) * 2654435761 % 65521  # scattered bits


def load(port: int, pid: int, visitors: int, seconds: float, think: float, evidence: bool, checkpoint: str) -> Load:
    """Let so many visitors call for so many seconds, after each one's images were inspected once in peace."""
    inputs = endpoints(port)
    crowd = [Visitor(port, number, inputs) for number in range(visitors)]
    expected = []
    for visitor in crowd:
        images = [visitor.upload(mark_of(visitor.number, own)) for own in range(IMAGES)]
        expected.append([predictions(visitor.call("inspect", image=own, checkpoint=checkpoint)) for own in images])
    start, used = time.perf_counter(), processor_seconds(pid)
    threads = [
        threading.Thread(target=visit, args=(visitor, start + seconds, think, evidence, checkpoint, own))
        for visitor, own in zip(crowd, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    memory = [resident(pid)]
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        memory.append(resident(pid))
    calls = [call for visitor in crowd for call in visitor.calls]
    return Load(calls, time.perf_counter() - start, processor_seconds(pid) - used, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=0, help="seconds between two light calls")
    parser.add_argument("--evidence", action="store_true", help="a class's evidence after each inspection as well")
    parser.add_argument("--checkpoint", default="cub50-full")
    parser.add_argument(
        "--onnx", action="append", default=[], help="files of `dcal export --inspection`, as the demo's"
    )
    options = parser.parse_args()
    with demo(*(word for file in options.onnx for word in ("--onnx", file))) as (port, process):
        found = load(
            port,
            process.pid,
            options.visitors,
            options.seconds,
            options.think,
            options.evidence,
            options.checkpoint,
        )
    report = {
        "machine": hardware(torch.device("cpu")),
        "load average": os.getloadavg()[0],
        **vars(options),
        **found.summary(),
    }
    print(json.dumps(report, indent=1))
    for wrong, count in sorted({call.wrong: 0 for call in found.calls if call.wrong}.items())[:5]:
        print(wrong, count)


if __name__ == "__main__":
    main()

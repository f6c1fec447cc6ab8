"""An exported model against the checkpoint's own forward: milliseconds an image, one image at a time.

    python -m benchmarks.exported --checkpoint checkpoints/cub50-full --threads 2

All ways take turns, so that whatever else the machine does meets all alike; the least of all rounds counts, which is
what the machine can do when it is left alone, and the median is beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import dcal
from dcal.model.export import Answering, export, sample
from dcal.model.exported import ExportedModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/cub50-full")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = dcal.load(options.checkpoint)
    image = sample(model, 1)
    with tempfile.TemporaryDirectory() as folder:
        files = {maps: export(model, Path(folder) / f"maps-{maps}.onnx", maps) for maps in (False, True)}
        exported = {maps: ExportedModel(path, options.threads) for maps, path in files.items()}
        ways: dict[str, Callable[[], object]] = {
            "PyTorch, answers": lambda: Answering(model, False)(image),
            "PyTorch, answers and rollout": lambda: Answering(model, True)(image),
            "ONNX Runtime, answers": lambda: exported[False](image),
            "ONNX Runtime, answers and rollout": lambda: exported[True](image),
        }
        print(f"{options.checkpoint}, {options.threads} threads, {options.rounds} rounds: ms an image, least (median)")
        for name, seconds in timed(ways, options.rounds).items():
            print(f"{name:<34} {1000 * min(seconds):6.1f} ({1000 * statistics.median(seconds):.1f})")


@torch.inference_mode()
def timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The seconds of every way in every round, after three rounds that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 3):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number >= 3:
                seconds[name].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()

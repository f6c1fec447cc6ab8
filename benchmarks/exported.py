"""An exported model against the checkpoint's own forward: milliseconds an image, one image at a time.

    python -m benchmarks.exported --checkpoint checkpoints/cub50-full --threads 2

"Inspection" is all that the demo computes of an image that is read: the backbone by either engine, then the rollout,
GLCA and the record by PyTorch. All ways take turns, so that whatever else the machine does meets all alike; the least
of all rounds counts, which is what the machine can do when it is left alone, and the median is beside it. The ratio is
of the two ways in the same round. The rate of a large matrix product says what a float32 engine could reach on this
machine, as busy as it is.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import dcal
from dcal.explain.inspect import inspect_prepared, prepare
from dcal.model.export import Answering, export, sample
from dcal.model.exported import ExportedModel
from dcal.model.exported_backbone import ExportedBackbone


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
        backbone = ExportedBackbone(export(model, Path(folder) / "inspection.onnx", inspection=True), options.threads)
        prepared = [prepare(model.config, noise())]
        exported = {maps: ExportedModel(path, options.threads) for maps, path in files.items()}
        ways: dict[str, Callable[[], object]] = {
            "PyTorch, answers": lambda: Answering(model, False)(image),
            "PyTorch, answers and rollout": lambda: Answering(model, True)(image),
            "ONNX Runtime, answers": lambda: exported[False](image),
            "ONNX Runtime, answers and rollout": lambda: exported[True](image),
            "PyTorch, inspection": lambda: inspect_prepared(model, prepared),
            "ONNX Runtime, inspection": lambda: inspect_prepared(model, prepared, encoder=backbone),
        }
        print(f"{options.checkpoint}, {options.threads} threads, {options.rounds} rounds: ms an image, least (median)")
        found = timed(ways, options.rounds)
        for name, seconds in found.items():
            print(f"{name:<34} {1000 * min(seconds):6.1f} ({1000 * statistics.median(seconds):.1f})")
        for what in ("answers", "answers and rollout", "inspection"):
            pairs = zip(found[f"PyTorch, {what}"], found[f"ONNX Runtime, {what}"], strict=True)
            least, middle, most = quartiles([eager / exported for eager, exported in pairs])
            print(f"PyTorch / ONNX Runtime, {what}: {middle:.2f} (half of the rounds {least:.2f}–{most:.2f})")
        work, rate = operations(model, image), product_rate()
        print(
            f"a product of 1024 × 1024 matrices runs at {rate / 1e9:.0f} GFLOP/s; the pass is {work / 1e9:.2f} GFLOP,"
        )
        print(f"which takes {1000 * work / rate:.1f} ms at that rate")


def noise() -> np.ndarray:
    """An image of 480 × 640 pixels."""
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)


def quartiles(values: list[float]) -> list[float]:
    return statistics.quantiles(values, n=4)


@torch.inference_mode()
def operations(model: dcal.DCAL, image: torch.Tensor) -> int:
    """Floating-point operations of a forward pass with the rollout, counted by torch."""
    with FlopCounterMode(display=False) as counter:
        Answering(model, True)(image)
    return counter.get_total_flops()


def product_rate(size: int = 1024, rounds: int = 20) -> float:
    """Operations a second of the best of some matrix products, in float32, by PyTorch with its present threads."""
    left, right = torch.randn(2, size, size)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


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

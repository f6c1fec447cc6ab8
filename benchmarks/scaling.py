"""How time grows with tokens, with the batch and with a gallery: three curves, as figures and as a picture of them.

    python -m benchmarks.scaling [--quick] [--rounds 15] [--json PATH] [--figure PATH]

DeiT-Tiny, one thread, float32, random weights; embeddings of width 384, one query. The least processor time of the
rounds, which are interleaved; every way in a process of its own. Not a test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
import torch

import dcal
from benchmarks import gallery
from benchmarks.clock import interleaved
from benchmarks.inspection import machine
from benchmarks.variants import variants
from benchmarks.worker import Worker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BACKBONE, WIDTH = "deit_tiny_patch16_224", 384
SIZES = (112, 224, 336, 448, 560)
BATCHES = (1, 2, 4, 8, 16)
IMAGES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
WAYS = {"plain": "plain forward", "rollouts": "with every rollout", "usual": "usual way", "inspect": "whole inspection"}
SEARCHES = {"ours": "Gallery.search", "product": "product with all rows"}

Curve = dict[str, dict[str, float]]  # {way: {x: seconds}}


def least(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """{way: the least processor time of a call, in seconds}"""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(call)) for name, call in calls.items()}
        return {name: min(times.cpu) for name, times in interleaved(workers, 0, rounds).items()}


def by_tokens(sizes: tuple[int, ...], rounds: int) -> Curve:
    """An image of so many patches, and the class token."""
    return turned({(size // 16) ** 2 + 1: least(variants(BACKBONE, size), rounds) for size in sizes})


def by_batch(batches: tuple[int, ...], rounds: int) -> Curve:
    """One image of a batch, at 224 px."""
    torch.manual_seed(0)
    model = dcal.create_model(BACKBONE, num_classes=50, ablation="sa_only").eval()
    found = {}
    for count in batches:
        images = torch.randn(count, 3, 224, 224)
        calls = {"plain": lambda x=images: model.backbone(x), "rollouts": lambda x=images: model.rollouts(x)}
        found[count] = {name: seconds / count for name, seconds in least(calls, rounds).items()}
    return turned(found)


def by_gallery(images: tuple[int, ...], rounds: int) -> Curve:
    """A query's 50 best of so many images."""
    found = {}
    for count in images:
        calls = gallery.variants(gallery.made(count, WIDTH), queries(), filtered=False)
        found[count] = least({name: calls[name] for name in SEARCHES}, rounds)
    return turned(found)


def queries() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((1, WIDTH), dtype=np.float32)


def turned(found: Mapping[int, Mapping[str, float]]) -> Curve:
    """{x: {way: seconds}} as {way: {x: seconds}}"""
    ways = next(iter(found.values()))
    return {way: {str(x): seconds[way] for x, seconds in found.items()} for way in ways}


def draw(results: Mapping[str, Any], place: Path) -> None:
    """The three curves side by side, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.9), layout="constrained")
    tokens, batch, size = figure.subplots(1, 3)
    lines(tokens, results["tokens"], WAYS, "tokens of one image", "ms an image")
    lines(batch, results["batch"], WAYS, "images in a batch, 224 px", "ms an image")
    lines(size, results["gallery"], SEARCHES, "images in the gallery", "ms a query")
    figure.suptitle(results["machine"], fontsize=8, color="#555")
    figure.savefig(place, dpi=110)


def lines(axes: Axes, curve: Curve, names: Mapping[str, str], x: str, y: str) -> None:
    for way, found in curve.items():
        axes.plot([int(at) for at in found], [1000 * s for s in found.values()], marker="o", ms=4, label=names[way])
    points = [seconds for found in curve.values() for seconds in found.values()]
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    if max(points) < 3 * min(points):
        axes.set(yscale="linear", ylim=(0, None))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(which="major", color="#ddd")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="the smallest two of each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="a PNG or SVG")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    few = 2 if chosen.quick else None
    results = {
        "machine": machine(),
        "gallery": by_gallery(IMAGES[:few], chosen.rounds),
        "tokens": by_tokens(SIZES[:few], chosen.rounds),
        "batch": by_batch(BATCHES[:few], chosen.rounds),
    }
    print(json.dumps(results, indent=1))
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    if chosen.figure:
        draw(results, chosen.figure)


if __name__ == "__main__":
    main()

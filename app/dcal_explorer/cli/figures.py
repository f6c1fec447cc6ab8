"""Figures as papers have them, drawn with matplotlib, each as PDF and as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dcal import Inspection
    from dcal.evaluation.comparison import Evaluated
    from dcal.evaluation.curves import RankedList, RatioCurve

LAYERS = 5  # of the rollout that are drawn, evenly, the last one always
SIDE = 320  # pixels of an image's longer side
INCHES = 1.5  # of one image
RIGHT, WRONG = "#2a9d4b", "#d1352b"  # borders of a ranked list
NAMES = {"top1": "top-1 accuracy", "mAP": "mAP"}


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure as `name`.pdf and `name`.png; the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("pdf", "png")]
    for path in paths:
        figure.savefig(path, dpi=200, bbox_inches="tight")
    return paths


def sheet(rows: Sequence[Sequence[np.ndarray]], above: Sequence[str] = (), left: Sequence[str] = ()) -> Figure:
    """Images in rows, with headings above the columns and before the rows."""
    from matplotlib.figure import Figure

    columns = max(map(len, rows))
    figure = Figure(figsize=(INCHES * columns, INCHES * len(rows)))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for place, (axes, images) in enumerate(zip(grid, rows, strict=True)):
        for column, own in enumerate(axes):
            blank(own)
            if column < len(images):
                own.imshow(images[column])
            if place == 0 and column < len(above):
                own.set_title(above[column], fontsize=8)
        if place < len(left):
            axes[0].set_ylabel(left[place], fontsize=8)
    figure.subplots_adjust(wspace=0.04, hspace=0.04)
    return figure


def blank(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def rollout_figure(seen: Sequence[Inspection]) -> Figure:
    """The rollout after some layers, an image a row."""
    from dcal import draw

    layers = sorted({round(place) for place in np.linspace(0, seen[0].num_layers - 1, LAYERS)})
    rows = [
        [draw.base_image(own, SIDE), *(draw.overlay(own, own.rollout[layer], max_side=SIDE) for layer in layers)]
        for own in seen
    ]
    return sheet(rows, ["image", *(f"layer {layer + 1}" for layer in layers)])


def attention_rows(seen: Inspection) -> tuple[list[np.ndarray], list[str]]:
    """(an image's maps: SA's and, where the model has GLCA, the selected patches and GLCA's; their names)."""
    from dcal import draw

    maps, names = [draw.base_image(seen, SIDE), draw.overlay(seen, seen.sa_map, max_side=SIDE)], ["image", "SA"]
    if seen.glca_map is not None and seen.selected_mask is not None:
        maps += [draw.selection(seen, seen.selected_mask, SIDE), draw.overlay(seen, seen.glca_map, max_side=SIDE)]
        names += [f"selected, R = {seen.top_ratio:.0%}", "GLCA"]
    return maps, names


def attention_figure(seen: Sequence[Inspection]) -> Figure:
    """SA against GLCA with the selected patches, an image a row."""
    rows = [attention_rows(own) for own in seen]
    return sheet([maps for maps, _ in rows], rows[0][1])


def checkpoints_figure(seen: Mapping[str, Sequence[Inspection]]) -> Figure:
    """The same images by several checkpoints, each a row an image: the baseline against DCAL."""
    rows, left, above = [], [], []
    for images in zip(*seen.values(), strict=True):
        for name, own in zip(seen, images, strict=True):
            maps, names = attention_rows(own)
            rows.append(maps)
            left.append(name)
            above = names if len(names) > len(above) else above
    return sheet(rows, above, left)


def rankings_figure(lists: Sequence[RankedList]) -> Figure:
    """Queries and their ranked lists, right images with a green border, wrong ones with a red, dashed one."""
    rows = [[thumbnail(own.query), *(thumbnail(path) for path, _, _ in own.hits)] for own in lists]
    length = max(len(own.hits) for own in lists)
    figure = sheet(rows, ["query", *(str(rank) for rank in range(1, length + 1))])
    for number, own in enumerate(lists):
        for column, (_, cosine, right) in enumerate(own.hits, 1):
            axes = figure.axes[number * (length + 1) + column]
            axes.set_xlabel(f"{cosine:.3f}", fontsize=6)
            for side in axes.spines.values():
                side.set(visible=True, color=RIGHT if right else WRONG, linewidth=2, linestyle="-" if right else "--")
    figure.subplots_adjust(hspace=0.25)
    return figure


def thumbnail(path: Path) -> np.ndarray:
    from dcal import read_image

    image = read_image(path).image
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def curve_figure(curve: RatioCurve, trained: float) -> Figure:
    """A figure under every R at inference; a line marks the R of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot(np.multiply(curve.ratios, 100), np.multiply(curve.whole, 100), "o-", label="SA and GLCA")
    axes.plot(np.multiply(curve.ratios, 100), np.multiply(curve.glca, 100), "s--", label="GLCA alone")
    axes.axvline(100 * trained, color="0.6", linewidth=1, label="R of training")
    axes.set_xlabel("R at inference, % of the patches")
    axes.set_ylabel(f"{NAMES[curve.figure]}, % ({curve.images:,} images)")
    axes.legend(fontsize=7)
    return figure


def ablation_figure(found: Sequence[Evaluated]) -> Figure:
    """The main figure of every ablation, with its 95 % interval."""
    from matplotlib.figure import Figure

    name = next(iter(found[0].figures))
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    for place, own in enumerate(found):
        value = 100 * own.figures[name]
        low, high = (100 * end for end in own.intervals.get(name, (own.figures[name], own.figures[name])))
        axes.errorbar(place, value, [[max(0.0, value - low)], [max(0.0, high - value)]], fmt="o", capsize=4, color="C0")
    axes.set_xticks(range(len(found)), [own.ablation for own in found])
    axes.set_xlim(-0.5, len(found) - 0.5)
    axes.set_ylabel(f"{NAMES[name]}, %, 95 % interval")
    return figure


def relatives(checkpoint: Path) -> Iterator[Path]:
    """The checkpoints beside this one that differ from it in the ablation alone, itself included, baseline first."""
    from dcal.errors import CheckpointError
    from dcal.model.ablation import ABLATIONS
    from dcal.model.checkpoint import read_config, read_metrics

    own, metrics = read_config(checkpoint), read_metrics(checkpoint)
    found = {own.ablation: checkpoint}
    for path in sorted(checkpoint.resolve().parent.iterdir()):
        try:
            other = read_config(path)
        except (CheckpointError, NotADirectoryError):
            continue  # something else that lies there
        alike = all(getattr(other, name) == getattr(own, name) for name in ("backbone", "task", "img_size", "classes"))
        if alike and read_metrics(path).get("dataset") == metrics.get("dataset"):
            found.setdefault(other.ablation, path)
    yield from (found[name] for name in ABLATIONS if name in found)

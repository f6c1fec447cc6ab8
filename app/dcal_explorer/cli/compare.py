"""`dcal compare`: the kept evaluations of several checkpoints side by side, and their maps of the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from dcal.errors import DCALError
from dcal_explorer.cli.parsing import parsed, show_json

if TYPE_CHECKING:
    from dcal.evaluation.comparison import Change, Evaluated

DESCRIPTION = """The figures of several checkpoints side by side, from the evaluation.json that `dcal eval` keeps:
with their 95 % intervals, and which classes (cameras) the others gain and lose against the first. With --images, also
the maps of all checkpoints on the same images, as maps.pdf and maps.png.

examples:
  dcal compare checkpoints/cub50-sa_only checkpoints/cub50-full
  dcal compare checkpoints/reid-sa_only checkpoints/reid-full --json
  dcal compare checkpoints/cub50-sa_only checkpoints/cub50-full --images image.jpg --out compared
"""
SHOWN = 3  # classes or cameras gained, and lost
TITLES = {
    **{"top1": "top-1", "top5": "top-5", "sa_top1": "SA top-1", "glca_top1": "GLCA top-1"},
    **{"mAP": "mAP", "rank1": "rank-1", "sa_mAP": "SA mAP", "glca_mAP": "GLCA mAP"},
}


def run(name: str, words: Sequence[str]) -> int:
    return parsed(compare, words, name, DESCRIPTION)


def compare(
    checkpoints: tyro.conf.Positional[tuple[Path, ...]],
    images: tuple[Path, ...] = (),
    out: Path = Path("compared"),
    json: bool = False,
) -> int:
    """Compare.

    Args:
        checkpoints: two or more checkpoint directories
        images: image files whose maps are drawn as well
        out: the folder for these
        json: print one JSON object instead of tables
    """
    from dcal.evaluation.comparison import evaluated

    if len(checkpoints) < 2:
        raise DCALError("which checkpoints? Name at least two directories")
    found = evaluated(checkpoints)
    if json:
        show_json({"checkpoints": [dataclasses.asdict(own) for own in found]})
    else:
        show(found)
    if images:
        for path in draw(checkpoints, images, out):
            if not json:
                print(f"written: {path}")
    return 0


def show(found: Sequence[Evaluated]) -> None:
    """The table, and what each checkpoint gains and loses against the first."""
    from rich.console import Console

    from dcal_explorer.cli.tables import plain_table, share

    names = [name for name in TITLES if any(name in own.figures for own in found)]
    table = plain_table("checkpoint", "ablation", *(TITLES[name] for name in names))
    for own in found:
        cells = (share(own.figures[n], *own.intervals.get(n, ())) if n in own.figures else "–" for n in names)
        table.add_row(own.checkpoint, own.ablation, *cells)
    Console(highlight=False, markup=False, width=160).print(table, soft_wrap=True)
    for own in found[1:]:
        if overlap := own.overlaps(found[0], names[0]):
            print(f"{own.checkpoint}: its interval of {TITLES[names[0]]} overlaps that of {found[0].checkpoint}")
        elif overlap is False:
            print(f"{own.checkpoint}: its interval of {TITLES[names[0]]} is apart from that of {found[0].checkpoint}")
        print(*gains(found[0], own), sep="\n")


def gains(first: Evaluated, other: Evaluated) -> list[str]:
    """What `other` gains and loses against `first`, by class or camera, in words."""
    from dcal.evaluation.comparison import changes
    from dcal.model.checkpoint import read_json

    records = [read_json(Path(own.checkpoint) / "evaluation.json") for own in (first, other)]
    group = "per_class" if "per_class" in records[0] else "per_camera"
    ranked = changes(*records, group)
    ends = {
        "gains": [own for own in ranked if own.gain > 0],
        "loses": [own for own in reversed(ranked) if own.gain < 0],
    }

    def words(own: Change) -> str:
        return f"{own.name} {own.before:.1%} → {own.after:.1%} (of {own.n})"

    return [f"  {what}: " + (", ".join(map(words, some[:SHOWN])) or "nothing") for what, some in ends.items()]


def draw(checkpoints: Sequence[Path], images: Sequence[Path], out: Path) -> list[Path]:
    """The maps of every image by every checkpoint in one figure, in `out` as PDF and PNG; the two files."""
    from dcal import inspect, load
    from dcal_explorer.cli.figures import checkpoints_figure, save

    models = {path.name: load(path) for path in checkpoints}
    seen = {name: [inspect(model, image) for image in images] for name, model in models.items()}
    return save(checkpoints_figure(seen), out, "maps")

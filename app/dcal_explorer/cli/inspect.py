"""`dcal inspect`: the maps of an image, as PNG files and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from dcal_explorer.cli.parsing import parsed

if TYPE_CHECKING:
    from dcal.explain.inspection import Inspection

DESCRIPTION = """What a model attends to in an image: writes layers.png, sa.png, glca.png, selected.png, inspection.npz.

example:
  dcal inspect image.jpg --checkpoint checkpoints/cub50-full --out maps
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(inspect, words, name, DESCRIPTION)


def inspect(
    image: tyro.conf.Positional[Path],
    checkpoint: str,
    out: Path,
    target: str | None = None,
    top_ratio: float | None = None,
) -> int:
    """The maps of one image.

    Args:
        image: an image file
        checkpoint: a checkpoint directory, or a Hugging Face repository id
        out: the folder to write to
        target: a class by name, for the gradient-weighted rollout and the relevance
        top_ratio: another R than the checkpoint's, in (0, 1]
    """
    from dcal.explain.inspect import inspect
    from dcal.model.checkpoint import load_checkpoint

    seen = inspect(load_checkpoint(checkpoint), image, target=target, top_ratio=top_ratio)
    out.mkdir(parents=True, exist_ok=True)
    seen.to_npz(out / "inspection.npz")
    written = [out / "inspection.npz", *draw_all(seen, out)]
    for note in seen.notes:
        print(note)
    for name, probability in seen.top(5):
        print(f"  {probability:6.1%}  {name}")
    print("written:", ", ".join(str(path) for path in written))
    return 0


def draw_all(seen: Inspection, out: Path) -> list[Path]:
    """Write the maps of a record to the folder `out`; the files written."""
    from PIL import Image

    from dcal import draw

    names = [f"layer {layer + 1}" for layer in range(seen.num_layers)]
    drawn = {"layers": draw.strip(seen, seen.rollout, names), "sa": draw.overlay(seen, seen.sa_map)}
    if seen.glca_map is not None and seen.selected_mask is not None:
        drawn["glca"] = draw.overlay(seen, seen.glca_map)
        drawn["selected"] = draw.selection(seen, seen.selected_mask)
    if seen.relevance is not None and seen.gradient_rollout is not None:
        drawn["gradient_rollout"] = draw.overlay(seen, seen.gradient_rollout)
        drawn["relevance"] = draw.overlay(seen, seen.relevance)
    for name, pixels in drawn.items():
        Image.fromarray(pixels).save(out / f"{name}.png")
    return [out / f"{name}.png" for name in drawn]

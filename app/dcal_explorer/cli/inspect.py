"""`dcal inspect` and `dcal visualize`: the maps of images, as PNG files and arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from dcal.errors import DCALError
from dcal_explorer.cli.parsing import parsed, show_json, without_effect

if TYPE_CHECKING:
    from dcal import DCAL, Inspection

DESCRIPTION = """What a model attends to: writes layers.png, sa.png, glca.png, selected.png, inspection.npz.

Several images each get a folder of their own. With --backbone, any vision transformer of timm that `dcal models`
lists: its self-attention, and its classes if its weights have a classifier. Exit status 1 if an image cannot be read;
the others are drawn.

examples:
  dcal inspect image.jpg --checkpoint checkpoints/cub50-full --out maps
  dcal inspect image.jpg --backbone deit_tiny_patch16_224 --weights deit_tiny.safetensors --out maps
"""
VISUALIZE = """The maps of images (as `dcal inspect`), or of some test images of a data set.

examples:
  dcal visualize --checkpoint checkpoints/cub50-full --dataset cub --images a.jpg b.jpg
  dcal visualize --checkpoint checkpoints/cub50-full --dataset cub --data-root CUB_200_2011
  dcal visualize --checkpoint checkpoints/cub50-full --dataset cub --paper_figures --data_root CUB_200_2011
  dcal visualize --checkpoint checkpoints/cub50-full --interactive
"""
TEST_IMAGES = 8  # of a data set, evenly over its test split


def run(name: str, words: Sequence[str]) -> int:
    if name == "visualize":
        return parsed(visualize, words, name, VISUALIZE)
    return parsed(inspect, words, name, DESCRIPTION)


def inspect(
    images: tyro.conf.Positional[tuple[Path, ...]],
    out: Path,
    checkpoint: str | None = None,
    backbone: str | None = None,
    weights: Path | None = None,
    target: str | None = None,
    top_ratio: float | None = None,
    json: bool = False,
) -> int:
    """Inspect.

    Args:
        images: image files
        out: the folder to write to
        checkpoint: a checkpoint directory, or a Hugging Face repository id
        backbone: instead of a checkpoint, a model of timm by its name
        weights: the backbone's weights, a local file; by itself, timm's from the hub
        target: a class by name, for the gradient-weighted rollout and the relevance
        top_ratio: another R than the checkpoint's, in (0, 1]
        json: print one JSON object instead of lines
    """
    if not images:
        raise DCALError("which images? Name at least one file")
    if (checkpoint is None) == (backbone is None):
        raise DCALError("which model? Give a --checkpoint, or a --backbone of timm (`dcal models` lists them)")
    if backbone is None:
        without_effect({"weights": weights}, "they are a --backbone's; a checkpoint has its own")
    else:
        without_effect({"top_ratio": top_ratio}, "a bare backbone has no GLCA")
    from dcal.model.bare import bare_model
    from dcal.model.checkpoint import load_checkpoint

    model = bare_model(backbone, weights) if backbone is not None else load_checkpoint(str(checkpoint))
    return draw(model, images, out, target, top_ratio, json)


def visualize(
    checkpoint: str,
    dataset: str | None = None,
    data_root: Path | None = None,
    images: tuple[Path, ...] = (),
    out: Path = Path("maps"),
    interactive: bool = False,
    paper_figures: bool = False,
    json: bool = False,
) -> int:
    """Visualize.

    Args:
        checkpoint: a checkpoint directory, or a Hugging Face repository id
        dataset: the data set; images that are no files here are looked for in its test split
        data_root: the folder that holds it
        images: which images; none: some test images of the data set
        out: the folder to write to
        interactive: open the demo with this checkpoint instead
        paper_figures: draw figures as papers have them instead, as PDF and PNG: rollout across layers, SA against GLCA
            with the selected patches, the baseline against this checkpoint, figures by R, ranked lists, ablations
        json: print one JSON object instead of lines
    """
    if interactive:
        if json:
            raise DCALError("--json prints what was written, and --interactive writes nothing: give one of them")
        without_effect({"images": images or None}, "the demo of --interactive takes images in the browser")
        from dcal_explorer.cli.faces import demo

        return demo(["--checkpoint", checkpoint])
    from dcal.evaluation.config import EvalConfig
    from dcal.evaluation.run import open_evaluation
    from dcal.model.checkpoint import load_checkpoint

    chosen = list(images)
    if paper_figures:
        from dcal_explorer.cli.paper import paper_figures as draw_figures

        evaluation = open_evaluation(EvalConfig(checkpoint=checkpoint, dataset=dataset, data_root=data_root))
        return draw_figures(evaluation, among(evaluation.images, chosen), Path(checkpoint), out, json)
    if not chosen or not all(path.is_file() for path in chosen):
        evaluation = open_evaluation(EvalConfig(checkpoint=checkpoint, dataset=dataset, data_root=data_root))
        chosen = among(evaluation.images, chosen)
    return draw(load_checkpoint(checkpoint), chosen, out, json=json)


def among(test: Sequence[Path], names: Sequence[Path]) -> list[Path]:
    """The named images of a test split; without names, some of it. Raises DCALError for a name that is not there."""
    if not names:
        return list(test[:: max(1, len(test) // TEST_IMAGES)][:TEST_IMAGES])
    by_name = {path.name: path for path in test}
    missing = [str(path) for path in names if not path.is_file() and path.name not in by_name]
    if missing:
        raise DCALError(f"{', '.join(missing[:3])}: neither a file nor an image of the data set's test split")
    return [path if path.is_file() else by_name[path.name] for path in names]


def draw(
    model: DCAL,
    images: Sequence[Path],
    out: Path,
    target: str | None = None,
    top_ratio: float | None = None,
    json: bool = False,
) -> int:
    """Inspect and draw each image; one that cannot be read is named, and the next one drawn."""
    from dcal import ImageError, inspect

    drawn: list[dict[str, Any]] = []
    for image, folder in zip(images, folders(images, out), strict=True):
        try:
            seen = inspect(model, image, target=target, top_ratio=top_ratio)
        except ImageError as error:
            if len(images) == 1:
                raise
            print(f"dcal: {error}", file=sys.stderr)
            drawn.append({"image": str(image), "problem": str(error)})
            continue
        answers = seen.top(5) if seen.config.task == "fgvc" else []
        files = [str(path) for path in write(seen, folder)]
        drawn.append(
            {"image": str(image), "answers": answers, "notes": list(seen.notes), "files": files, "problem": ""}
        )
        if not json:
            print(*lines(drawn[-1]), sep="\n")
    if json:
        show_json({"images": drawn})
    return 1 if any(own["problem"] for own in drawn) else 0


def folders(images: Sequence[Path], out: Path) -> list[Path]:
    """Where each image's maps go: `out` itself for one, else a folder in it that is named after the image."""
    if len(images) == 1:
        return [out]
    taken: dict[str, int] = {}
    names = []
    for image in images:
        taken[image.stem] = taken.get(image.stem, 0) + 1
        names.append(image.stem if taken[image.stem] == 1 else f"{image.stem}-{taken[image.stem]}")
    return [out / name for name in names]


def write(seen: Inspection, folder: Path) -> list[Path]:
    """Write the record and the maps of one image; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    seen.to_npz(folder / "inspection.npz")
    return [folder / "inspection.npz", *draw_all(seen, folder)]


def lines(drawn: dict[str, Any]) -> list[str]:
    """What there is to say about one image, for people."""
    classes = [f"  {probability:6.1%}  {name}" for name, probability in drawn["answers"]]
    return [*drawn["notes"], *classes, "written: " + ", ".join(drawn["files"])]


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

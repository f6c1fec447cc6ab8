"""The models that a face is started with: single checkpoints, or a backbone of timm, gathered into one folder."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcal.errors import DCALError


def add_models(parser: argparse.ArgumentParser) -> None:
    """The options `--checkpoint`, `--backbone` and `--weights`."""
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", default=[], help="these checkpoints alone, by their folders"
    )
    parser.add_argument("--backbone", help="a model of timm as it is, without training (`dcal models` lists them)")
    parser.add_argument(
        "--weights", type=Path, help="the backbone's weights, a local file; by itself, timm's from the hub"
    )


@contextmanager
def gathered(checkpoints: list[Path], backbone: str | None, weights: Path | None) -> Iterator[Path | None]:
    """A temporary folder that holds the checkpoints, as links, and the backbone; None where none of them is given.

    Raises DCALError for folders without a checkpoint, for two of one name, and for weights without a backbone.
    """
    if weights is not None and backbone is None:
        raise DCALError("--weights are a --backbone's: name it, or leave them away; a checkpoint has its own")
    if not checkpoints and backbone is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="dcal-models-") as name:
        folder = Path(name)
        for checkpoint in checkpoints:
            link(checkpoint, folder)
        if backbone is not None:
            save_backbone(backbone, weights, folder)
        yield folder


def link(checkpoint: Path, folder: Path) -> None:
    place = checkpoint.resolve()
    if not (place / "config.json").is_file():
        raise DCALError(f"--checkpoint {checkpoint} holds no config.json: give the folder that `dcal train` exported")
    if (folder / place.name).exists():
        raise DCALError(f"two checkpoints are called {place.name}: copy one of them to a folder of another name")
    (folder / place.name).symlink_to(place, target_is_directory=True)


def save_backbone(backbone: str, weights: Path | None, folder: Path) -> None:
    """The backbone as a checkpoint that compares images: it has no classes of its own."""
    import timm
    import torch

    import dcal

    size = timm.get_pretrained_cfg(backbone).input_size[-2:] if timm.is_model(backbone) else (224, 224)
    pretrained = True if weights is None else weights
    model = dcal.create_model(backbone, 1, task="reid", ablation="sa_only", img_size=size, pretrained=pretrained)
    dcal.save(model.eval(), folder / backbone.replace("/", "-"), dtype=torch.float32)

"""The models that a face is started with: single checkpoints, or a backbone of timm, gathered into one folder."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dcal.errors import DCALError


def add_models(parser: argparse.ArgumentParser) -> None:
    """The options `--checkpoint`, `--backbone` and `--weights`."""
    parser.add_argument(
        "--checkpoint",
        nargs="+",
        default=[],
        help="these checkpoints alone, by their folders or as OWNER/NAME on the Hugging Face Hub",
    )
    parser.add_argument("--backbone", help="a model of timm as it is, without training (`dcal models` lists them)")
    parser.add_argument(
        "--weights", type=Path, help="the backbone's weights, a local file; by itself, timm's from the hub"
    )


@contextmanager
def gathered(
    checkpoints: Sequence[str | Path], backbone: str | None = None, weights: Path | None = None
) -> Iterator[Path | None]:
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


def link(checkpoint: str | Path, folder: Path) -> None:
    """Link a checkpoint's directory into the folder, under its name; one of the Hub under its repository's."""
    from dcal.model.checkpoint import checkpoint_folder

    local = Path(checkpoint).exists()
    place = Path(checkpoint).resolve() if local else checkpoint_folder(str(checkpoint))
    name = place.name if local else str(checkpoint).rpartition("/")[2]
    if not (place / "config.json").is_file():
        raise DCALError(f"--checkpoint {checkpoint} holds no config.json: give the folder that `dcal train` exported")
    if (folder / name).exists():
        raise DCALError(f"two checkpoints are called {name}: copy one of them to a folder of another name")
    (folder / name).symlink_to(place, target_is_directory=True)


def save_backbone(backbone: str, weights: Path | None, folder: Path) -> None:
    """The backbone as a checkpoint, with its own classifier if its weights have one."""
    import torch

    import dcal
    from dcal.model.bare import bare_model

    dcal.save(bare_model(backbone, weights), folder / backbone.replace("/", "-"), dtype=torch.float32)

"""The maps of a few fixed training images after every epoch: how attention moves while a run learns.

`out/maps/images.npz` holds the images as the model sees them, `out/maps/epoch-0003.npz` the maps after the third epoch.
The dashboard's page Runs shows them; `drawings` is what a log of images (TensorBoard) takes.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from dcal import draw
from dcal.analysis.maps import attention_maps
from dcal.data.samples import Samples
from dcal.errors import DCALError
from dcal.evaluation.image_results import zipped
from dcal.files import write_whole
from dcal.model.backbone import encode
from dcal.model.dcal import DCAL

FOLDER, IMAGES, EPOCH = "maps", "images.npz", "epoch-{:04d}.npz"
COUNT = 4  # images
KEPT = ("rollout", "glca_input")
Images = UInt8[np.ndarray, "images img_h img_w 3"]
Maps = dict[str, Float[np.ndarray, "images rows cols"]]
DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class EpochMaps:
    """Maps of the fixed images after `epoch` epochs; `rollout` and, with GLCA, `glca_input`."""

    epoch: int
    maps: Maps


def fixed_images(samples: Samples, count: int = COUNT) -> Images:
    """`count` of the training images (fewer, if there are fewer), evenly spaced, as evaluation renders them."""
    chosen = np.linspace(0, len(samples.records) - 1, min(count, len(samples.records))).round().astype(int)
    opened = (samples.records[index].open() for index in chosen.tolist())
    return np.stack([np.asarray(samples.preprocess.render(image)) for image in opened])


@torch.inference_mode()
def maps_of(model: DCAL, images: Images) -> Maps:
    """The maps of the images in evaluation mode; the model's mode is restored, and nothing random is drawn."""
    training, device, preprocess = model.training, next(model.parameters()).device, model.config.preprocess
    pixels = (torch.from_numpy(images).float() / 255 - torch.tensor(preprocess.mean)) / torch.tensor(preprocess.std)
    model.eval()
    try:
        batch = pixels.permute(0, 3, 1, 2).contiguous().to(device)
        found = attention_maps(model, *encode(model.backbone, model.embed(batch), keep_rollout=True))
    finally:
        model.train(training)
    shape = (len(images), model.layout.rows, model.layout.cols)
    patches = {name: found[name][:, model.layout.prefix :].float().cpu() for name in KEPT if name in found}
    return {name: values.reshape(shape).numpy() for name, values in patches.items()}


def write_images(images: Images, out: Path) -> None:
    (out / FOLDER).mkdir(exist_ok=True)
    write_whole(zipped({"images": images}), out / FOLDER / IMAGES)


def write_maps(maps: Maps, epoch: int, out: Path) -> None:
    """Keep the maps after `epoch` epochs (from 1). A run that does an epoch again writes the same bytes again."""
    kept = {name: values.astype(np.float16) for name, values in maps.items()}
    write_whole(zipped(kept), out / FOLDER / EPOCH.format(epoch))


def read_images(out: Path) -> Images | None:
    """The fixed images of a run folder; None if it has none. Raises DCALError, naming the file, if it is damaged."""
    path = out / FOLDER / IMAGES
    if not path.is_file():
        return None
    images = read(path).get("images")
    if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise DCALError(f"{FOLDER}/{IMAGES} cannot be read (it holds no RGB images)")
    return images


def epochs_of(out: Path) -> list[int]:
    """The epochs whose maps a run folder has, first one first."""
    names = [path.stem.removeprefix("epoch-") for path in (out / FOLDER).glob("epoch-*.npz")]
    return sorted(int(name) for name in names if name.isdigit())


def read_maps(out: Path, epoch: int, count: int | None = None) -> EpochMaps:
    """The maps after `epoch` epochs, of `count` images if that is known.

    Raises DCALError, naming the file, if they are not there, damaged, or of another number of images.
    """
    found, name = read(out / FOLDER / EPOCH.format(epoch)), f"{FOLDER}/{EPOCH.format(epoch)}"
    if not found or any(key not in KEPT or own.ndim != 3 or own.dtype.kind != "f" for key, own in found.items()):
        raise DCALError(f"{name} cannot be read (it holds something else than maps)")
    if count is not None and {len(own) for own in found.values()} != {count}:
        raise DCALError(f"{name} cannot be read (it holds maps of other than the run's {count} images)")
    return EpochMaps(epoch, {name: values.astype(np.float32) for name, values in found.items()})


def read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DAMAGE as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error  # without the server's path
        raise DCALError(f"{path.parent.name}/{path.name} cannot be read ({why})") from error


def drawings(
    images: Images, maps: Maps, name: str = "rollout", opacity: float = 0.6
) -> list[UInt8[np.ndarray, "h w 3"]]:
    """One map over each of the images, each on a scale of its own. Raises DCALError if there is no such map."""
    if name not in maps:
        raise DCALError(f"there is no map {name!r}; there are {', '.join(maps)}")
    drawn = []
    for image, own in zip(images, maps[name], strict=True):
        colours = cv2.resize(draw.colour(own), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        drawn.append(cv2.addWeighted(colours, opacity, image, 1 - opacity, 0))
    return drawn

"""From an image to the model's input, and back: which part of the image the model sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from dcal.errors import DCALError, check_choice

FITS = ("squash", "crop")
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
Box = tuple[float, float, float, float]  # left, top, right, bottom, in the image's pixels


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the model's input, and which part of the image that is.

    `fit="squash"` scales the whole image without keeping its aspect, then takes the centre (the usual FGVC recipe);
    `fit="crop"` takes the largest centred box that has the input's aspect. `crop_fraction` is the side of the centre
    crop over the side of the resized image. Both are one box of the image, resampled once, so every patch is an
    exact rectangle of the image.
    """

    size: tuple[int, int] = (224, 224)  # (height, width), pixels
    fit: str = "squash"
    crop_fraction: float = 0.875
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if len(self.size) != 2 or min(self.size) < 1:
            raise DCALError(f"an input's size is (height, width) in pixels, both at least 1, got {self.size}")
        if not 0 < self.crop_fraction <= 1:
            raise DCALError(f"crop_fraction must lie in (0, 1], got {self.crop_fraction}")
        if len(self.mean) != 3 or not np.isfinite(self.mean).all():
            raise DCALError(f"mean is three finite numbers, one per channel, got {self.mean}")
        if len(self.std) != 3 or not (np.isfinite(self.std).all() and min(self.std) > 0):
            raise DCALError(f"std is three positive numbers, one per channel, got {self.std}")

    def box(self, height: int, width: int) -> Box:
        """(left, top, right, bottom) in the image's pixels: the part of a height × width image that the model sees."""
        box_height, box_width = self.box_size(height, width)
        top, left = (height - box_height) / 2, (width - box_width) / 2
        return left, top, left + box_width, top + box_height

    def box_size(self, height: int, width: int) -> tuple[float, float]:
        """(height, width) of that part in the image's pixels; training moves it about, evaluation centres it.

        Never larger than the image, not even by a rounding error, which the resampling would refuse.
        """
        if self.fit == "squash":
            return self.crop_fraction * height, self.crop_fraction * width
        scale = self.crop_fraction * min(height / self.size[0], width / self.size[1])
        return min(scale * self.size[0], float(height)), min(scale * self.size[1], float(width))

    def render(self, image: Image.Image, box: Box | None = None) -> Image.Image:
        """The part of an RGB `image` inside `box` (default: `self.box`), resampled once to `size`."""
        box = self.box(image.height, image.width) if box is None else box
        return image.resize(self.size[::-1], INTERPOLATIONS[self.interpolation], box=box)

    def tensor(self, rendered: Image.Image) -> Float[Tensor, "3 img_h img_w"]:
        """A rendered RGB image as the model takes it: scaled to [0, 1], mean subtracted, divided by the deviation."""
        pixels = torch.from_numpy(np.array(rendered, dtype=np.float32)) / 255
        return ((pixels - torch.tensor(self.mean)) / torch.tensor(self.std)).permute(2, 0, 1).contiguous()

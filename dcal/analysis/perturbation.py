"""Does the model need what a map shows? Deletion and insertion (Petsiuk, Das and Saenko, BMVC 2018), by patches.

Deletion takes the map's largest patches out first: of a good map the class's probability falls at once, its area is
small. Insertion starts from nothing and puts them in first: the area is large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from dcal.errors import DCALError, check_choice
from dcal.model.kinds import TokenLayout

Images = Float[Tensor, "b 3 img_h img_w"]
Answer = Callable[[Tensor], Float[Tensor, "b *scores"]]  # images → e.g. the probability of each one's own class
FILLS = ("mean", "blur")
BLUR_WIDTH = 0.05  # the blur's standard deviation, in lengths of the image's shorter side


def filled(images: Images, fill: str) -> Images:
    """What stands in for a patch that is taken out: the image's mean colour, or the image blurred."""
    if check_choice("fill", fill, FILLS) == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    sigma = BLUR_WIDTH * min(images.shape[2:])
    return gaussian_blur(images, kernel_size=2 * round(3 * sigma) + 1, sigma=sigma)


def patch_order(maps: Float[Tensor, "b p"], seed: int = 0) -> Int[Tensor, "b p"]:
    """Patches from the largest value to the smallest; equals come in an order drawn by `seed`, not from the corner."""
    drawn = torch.randperm(maps.shape[1], generator=torch.Generator().manual_seed(seed)).to(maps.device)
    return drawn[maps[:, drawn].argsort(dim=1, descending=True, stable=True)]


def step_counts(patches: int, steps: int) -> list[int]:
    """How many patches are done after 0, …, `steps` steps of equal size: from none to all."""
    if not 1 <= steps <= patches:
        raise DCALError(f"steps must lie between 1 and the number of patches, {patches}; got {steps}")
    return [round(patches * step / steps) for step in range(steps + 1)]


@torch.inference_mode()
def deletion_insertion(
    answer: Answer,
    images: Images,
    blank: Images,
    order: Int[Tensor, "b p"],
    layout: TokenLayout,
    steps: int,
    ends: tuple[Float[Tensor, "b *scores"], Float[Tensor, "b *scores"]] | None = None,
) -> tuple[Float[Tensor, "b steps_and_one *scores"], Float[Tensor, "b steps_and_one *scores"]]:
    """(deletion, insertion): the answer after each step of `step_counts`, from `images` to `blank` and back again.

    Both follow `order`, so after the last step of either every patch has changed. `ends`: the answers for `images` and
    for `blank`, which no order changes, where they are known.
    """
    whole, nothing = (answer(images), answer(blank)) if ends is None else ends
    deletion, insertion = [whole], [nothing]
    for deleted, inserted in perturbations(images, blank, order, layout, steps):
        deletion.append(answer(deleted))
        insertion.append(answer(inserted))
    return torch.stack([*deletion, nothing], dim=1), torch.stack([*insertion, whole], dim=1)


def perturbations(
    images: Images, blank: Images, order: Int[Tensor, "b p"], layout: TokenLayout, steps: int
) -> Iterator[tuple[Images, Images]]:
    """(images without the first patches of `order`, `blank` with them) after each step but the first and the last.

    Raises DCALError, before anything is computed, for more steps than patches.
    """
    counts = step_counts(layout.patches, steps)[1:-1]
    place = order.argsort(dim=1)  # of every patch in the order

    def views() -> Iterator[tuple[Images, Images]]:
        for count in counts:
            taken = pixel_mask(place < count, layout, images)
            yield torch.where(taken, blank, images), torch.where(taken, images, blank)

    return views()


def pixel_mask(patches: Bool[Tensor, "b p"], layout: TokenLayout, images: Images) -> Bool[Tensor, "b 1 img_h img_w"]:
    """The patches' mask, drawn in the images' pixels."""
    height, width = images.shape[2] // layout.rows, images.shape[3] // layout.cols
    grid = patches.view(-1, 1, layout.rows, layout.cols)
    return grid.repeat_interleave(height, dim=2).repeat_interleave(width, dim=3)


def area(curves: Float[np.ndarray, "b steps_and_one *scores"], patches: int) -> Float[np.ndarray, "b *scores"]:
    """The area under each curve over the share of patches changed, by trapezia: the mean answer on the way."""
    shares = np.array(step_counts(patches, curves.shape[1] - 1)) / patches
    return np.trapezoid(curves, shares, axis=1)

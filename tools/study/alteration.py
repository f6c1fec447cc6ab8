"""Twins made from one vehicle: a part of it is changed alike in images by two cameras, where the masks say it is.

The yard has 60 pairs of real twins, too few to learn what a difference of one part is. Every image's mask numbers the
vehicle's parts, so any vehicle gets a twin that differs in any part that two cameras see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dcal.data.yard_table import PARTS

Pixels = UInt8[np.ndarray, "height width 3"]
LEAST = 40  # pixels of a part that an image must show
KINDS = ("gone", "coloured", "spot")
NEVER = tuple(PARTS.index(name) for name in ("background", "seam", "underside", "wheel well", "interior"))
WIDEST = 2500  # pixels: what is larger is coloured in a spot alone


@dataclass(frozen=True)
class Alteration:
    """What is done to one part (an index of PARTS), the same way in every image.

    "gone": filled from what surrounds it. "coloured": its light is multiplied by `gain` per channel. "spot": an ellipse
    at `centre`, of `radius` (both in parts of the part's own box), is mixed with `colour`.
    """

    part: int
    kind: str
    gain: Float[np.ndarray, "3"]
    colour: Float[np.ndarray, "3"]
    centre: Float[np.ndarray, "2"]  # right, down
    radius: Float[np.ndarray, "2"]

    def __call__(self, image: Pixels, parts: UInt8[np.ndarray, "height width"]) -> Pixels:
        """A changed copy."""
        own = parts == self.part
        if self.kind == "gone":
            wider = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8))
            return cv2.inpaint(image, wider, 3, cv2.INPAINT_TELEA)
        changed = image.astype(np.float32)
        if self.kind == "coloured":
            changed[own] *= self.gain.astype(np.float32)
        else:
            own = own & self.ellipse(own)
            light = changed[own].mean(axis=1, keepdims=True) / 128 if own.any() else 1.0
            changed[own] = 0.2 * changed[own] + 0.8 * self.colour.astype(np.float32) * np.clip(light, 0.4, 1.4)
        return np.clip(changed, 0, 255).round().astype(np.uint8)

    def ellipse(self, own: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        if not rows.size:
            return own
        tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        down = (np.arange(own.shape[0]) - rows[0] - self.centre[1] * tall) / (self.radius[1] * tall)
        right = (np.arange(own.shape[1]) - columns[0] - self.centre[0] * wide) / (self.radius[0] * wide)
        return down[:, None] ** 2 + right**2 <= 1


def drawn_alteration(part: int, pixels: int, random: np.random.Generator) -> Alteration:
    """A random one of a part that shows in `pixels` pixels."""
    kind = "spot" if pixels > WIDEST else KINDS[random.integers(len(KINDS))]
    darker = random.random() < 0.5
    gain = random.uniform(0.25, 0.75, 3) if darker else random.uniform(1.3, 2.2, 3)
    colour, radius, centre = random.uniform(10, 245, 3), random.uniform(0.12, 0.35, 2), random.uniform(0.25, 0.75, 2)
    return Alteration(part, kind, gain, colour, centre, radius)


def common_parts(first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h2 w2"]) -> dict[int, int]:
    """{part: the fewer of its pixels in the two masks} of all that both show well enough to be changed."""
    counts = [np.bincount(parts.ravel(), minlength=len(PARTS)) for parts in (first, second)]
    least = np.minimum(*counts)
    return {part: int(least[part]) for part in np.flatnonzero(least >= LEAST).tolist() if part not in NEVER}


def by_vehicle(identities: Sequence[int]) -> list[list[int]]:
    """The indices of each vehicle's images, of vehicles with two and more."""
    found: dict[int, list[int]] = {}
    for index, identity in enumerate(identities):
        found.setdefault(identity, []).append(index)
    return [own for own in found.values() if len(own) > 1]

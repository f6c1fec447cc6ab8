"""How much of a map lies on a part that is known beforehand: the one in which the yard's twins differ, say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dcal.analysis.localisation import energy_inside
from dcal.analysis.places import region_cover
from dcal.record import Inspection


@dataclass(frozen=True)
class OnPart:
    """A part's shares: of what the model sees, and of a map of it. A map that does not look holds as much of both."""

    view: float
    map: float


def on_part(
    seen: Inspection,
    map: Float[np.ndarray, "rows cols"],
    part: Bool[np.ndarray, "photo_height photo_width"],
) -> OnPart:
    """The shares of `part`, the pixels of the photo that show it. `map` has one sign: a branch's evidence, a rollout.

    A map that is zero everywhere counts as flat.
    """
    cover = region_cover(part, seen.box, seen.layout)
    return OnPart(float(cover.mean()), float(energy_inside(np.abs(map).reshape(1, -1), cover[None])[0]))

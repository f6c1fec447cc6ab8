"""Wheels: tyre, rim, and a face of spokes, a hub cap or bare steel.

The axis lies along y, the outside at +y, the hub at the origin.
"""

from __future__ import annotations

import numpy as np

from tools.yard.primitive import disc, join, lathe
from tools.yard.surface import Array, Surface

FACES = ("five", "twin", "ten", "mesh", "turbine", "dish", "steel", "lorry")


def wheel(radius: float, width: float, face: str, finish: str, brake: str = "brake") -> Surface:
    """`face` is one of FACES; `finish` the material of spokes or cap."""
    rim, half = (0.66 if face in ("steel", "dish", "lorry", "turbine") else 0.72) * radius, width / 2
    tyre = lathe(
        [
            (rim - 0.005, half - 0.03),
            (rim + 0.01, half - 0.002),
            (0.55 * rim + 0.45 * radius, half + 0.006),
            (radius - 0.025, half - 0.006),
            (radius - 0.006, half - 0.03),
            (radius, half - 0.06),
            (radius, -half + 0.06),
            (radius - 0.03, -half),
            (rim, -half),
        ][::-1],
        "tyre/rubber",
    )
    lip = lathe(
        [(rim - 0.03, -half), (rim - 0.022, half - 0.03), (rim - 0.012, half - 0.012), (rim + 0.004, half - 0.004)],
        f"wheel/{finish}",
    )
    back = lathe([(0.01, -0.03), (rim, -0.03)][::-1], "wheel well/black", 24)
    plate = lathe([(0.05, -0.005), (0.66 * rim, -0.005)][::-1], f"wheel/{brake}", 32)
    front = design(face, disc(rim - 0.012, 0.012 if face != "lorry" else -0.05, f"wheel/{finish}"), rim, finish)
    return join([tyre, lip, back, plate, front.shift(y=half - 0.028)])


def design(face: str, flat: Surface, rim: float, finish: str) -> Surface:
    """The disc, with what `face` cuts away gone."""
    metal, gap = f"wheel/{finish}", "gap/none"
    x, _, z = flat.points.T
    radius, angle = np.hypot(x, z), np.arctan2(z, x)
    hub = radius - 0.2 * rim
    ring = 0.9 * rim - radius
    if face == "five":
        field = _spokes(radius, angle, 5, 0.085 * rim + 0.10 * (rim - radius))
    elif face == "twin":
        field = np.minimum(_spokes(radius, angle - 0.16, 5, 0.055 * rim), _spokes(radius, angle + 0.16, 5, 0.055 * rim))
    elif face == "ten":
        field = _spokes(radius, angle, 10, 0.05 * rim)
    elif face == "mesh":
        field = np.minimum(
            _spokes(radius, angle + 0.5 * radius / rim, 9, 0.035 * rim),
            _spokes(radius, angle - 0.5 * radius / rim, 9, 0.035 * rim),
        )
    elif face == "turbine":
        field = np.maximum(
            -_spokes(radius, angle + 0.8 * radius / rim, 9, 0.07 * rim),
            np.maximum(0.42 * rim - radius, radius - 0.86 * rim),
        )
        field = -field
        hub = ring = field
    elif face == "dish":
        field = _holes(radius, angle, 6, 0.68 * rim, 0.11 * rim)
        hub = ring = field
    else:
        field = _holes(radius, angle, 8, 0.70 * rim, 0.12 * rim)
        hub = ring = field
    keep = np.minimum.reduce([field, hub, ring])
    cut = flat.split(-keep, gap, (metal,)).pick(metal)
    x, _, z = cut.points.T
    centre = "chrome" if face in ("dish", "turbine", "mesh") else "black"
    cut = cut.split(np.hypot(x, z) - 0.09 * rim, f"wheel/{centre}", (metal,))
    if face in ("steel", "lorry", "dish"):
        x, _, z = cut.points.T
        nuts = -_holes(np.hypot(x, z), np.arctan2(z, x), 5 if face != "lorry" else 10, 0.32 * rim, 0.045 * rim)
        cut = cut.split(nuts, f"wheel/{'chrome' if face != 'steel' else 'brake'}", (metal,))
    return cut


def _spokes(radius: Array, angle: Array, count: int, half: Array | float) -> Array:
    """Negative on `count` spokes of half width `half`."""
    step = 2 * np.pi / count
    off = (angle + step / 2) % step - step / 2
    return np.abs(radius * np.sin(off)) - half


def _holes(radius: Array, angle: Array, count: int, orbit: float, size: float) -> Array:
    """Positive inside `count` round holes at distance `orbit`."""
    step = 2 * np.pi / count
    off = (angle + step / 2) % step - step / 2
    return size - np.hypot(radius * np.cos(off) - orbit, radius * np.sin(off))

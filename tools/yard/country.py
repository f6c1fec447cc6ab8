"""The places of four cameras in the country: a field, rain in a forest, a bridge in fog, snow."""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.yard import scenery as put
from tools.yard.material import principled


def field(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("field", (0.95, 0.62, 0.34), (0.22, 0.34, 0.58), 0.6, 0.7, (0.12, 0.10, 0.05))
    put.ground(add, (0.09, 0.13, 0.03), (0.20, 0.19, 0.06), 0.95, 0.8)
    put.stripe(add, (-80, 80), (-3.4, 3.6), put.mottled((0.12, 0.115, 0.11), (0.16, 0.155, 0.15), 2.0), 0.004)
    white = principled("line", (0.6, 0.6, 0.57), roughness=0.8)
    for y in (-3.1, 3.2):
        put.stripe(add, (-80, 80), (y, y + 0.12), white, 0.009)
    leaves, bark = (
        put.mottled((0.03, 0.07, 0.012), (0.10, 0.14, 0.03), 1.5),
        principled("bark", (0.07, 0.05, 0.035), roughness=0.9),
    )
    put.hedge(add, random, (-40, -14), (40, -15), 1.3, leaves)
    for _ in range(18):
        put.tree(
            add,
            random,
            float(random.uniform(-45, 45)),
            float(random.uniform(-42, -24)),
            float(random.uniform(6, 11)),
            leaves,
            bark,
        )
    wood = principled("wood", (0.16, 0.11, 0.07), roughness=0.9)
    for x in np.arange(-30, 31, 3.0):
        put.slab(add, (x - 0.06, -6.06, 0), (x + 0.06, -5.94, 1.1), wood)
    for z in (0.5, 0.9):
        put.slab(add, (-30, -6.0, z), (30, -5.96, z + 0.1), wood)


def rain(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("rain", (0.42, 0.46, 0.50), (0.24, 0.27, 0.31), 0.75, 0.6, (0.05, 0.05, 0.055))
    put.ground(add, (0.030, 0.031, 0.034), (0.050, 0.051, 0.054), 0.3, 3.0, wet=0.9)
    white = principled("line", (0.55, 0.55, 0.53), roughness=0.25)
    for y in (-3.3, 3.3):
        put.stripe(add, (-80, 80), (y, y + 0.15), white)
    for x in np.arange(-60, 60, 9.0):
        put.stripe(add, (float(x), float(x) + 3.5), (-7.0, -6.86), white)
    steel = principled("steel", (0.35, 0.36, 0.37), metallic=0.8, roughness=0.4)
    put.rail(add, (-60, -10.5), (60, -10.5), steel)
    put.rail(add, (-60, 5.5), (60, 5.5), steel)
    verge = put.mottled((0.02, 0.03, 0.012), (0.04, 0.05, 0.02), 1.0)
    put.stripe(add, (-140, 140), (-120, -10.8), verge, 0.02)
    put.stripe(add, (-140, 140), (5.8, 120), verge, 0.02)
    leaves, bark = (
        put.mottled((0.012, 0.03, 0.015), (0.03, 0.05, 0.025), 1.5),
        principled("bark", (0.03, 0.025, 0.02), roughness=0.9),
    )
    for _ in range(34):
        put.tree(
            add,
            random,
            float(random.uniform(-20, 60)),
            float(random.uniform(-34, -14)),
            float(random.uniform(7, 12)),
            leaves,
            bark,
        )
    for _ in range(14):
        put.tree(
            add,
            random,
            float(random.uniform(24, 60)),
            float(random.uniform(-14, 25)),
            float(random.uniform(7, 12)),
            leaves,
            bark,
        )


def bridge(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("bridge", (0.66, 0.68, 0.70), (0.70, 0.72, 0.74), 0.8, 0.0, (0.3, 0.3, 0.3))
    put.ground(add, (0.15, 0.15, 0.15), (0.20, 0.20, 0.195), 0.85, 1.6)
    white = principled("line", (0.75, 0.75, 0.73), roughness=0.6)
    for y in (-1.9, 1.9, -5.6, 5.6):
        for x in np.arange(-20, 110, 7.0):
            put.stripe(add, (float(x), float(x) + (3.0 if abs(y) < 3 else 7.0)), (y - 0.08, y + 0.08), white)
    steel = principled("steel", (0.45, 0.46, 0.47), metallic=0.6, roughness=0.5)
    grass = put.mottled((0.10, 0.13, 0.05), (0.16, 0.17, 0.08), 1.0)
    for y in (-1, 1):
        put.rail(add, (-20, y * 8.0), (110, y * 8.0), steel)
        put.stripe(add, (-30, 140), (min(y * 9, y * 60), max(y * 9, y * 60)), grass, 0.01)
    blue = principled("sign", (0.03, 0.12, 0.42), roughness=0.5)
    for y in (-8.6, 8.6):
        put.slab(add, (26, y - 0.15, 0), (26.3, y + 0.15, 7.2), steel)
    put.slab(add, (26, -8.6, 6.6), (26.3, 8.6, 7.2), steel)
    put.slab(add, (25.8, -5.0, 5.4), (25.9, -1.0, 7.8), blue)
    put.slab(add, (25.8, 0.5, 5.4), (25.9, 4.5, 7.8), blue)
    leaves, bark = (
        put.mottled((0.05, 0.08, 0.03), (0.09, 0.12, 0.05), 1.0),
        principled("bark", (0.06, 0.05, 0.04), roughness=0.9),
    )
    for _ in range(16):
        put.tree(
            add,
            random,
            float(random.uniform(8, 60)),
            float(random.choice([-1, 1]) * random.uniform(12, 26)),
            float(random.uniform(5, 9)),
            leaves,
            bark,
        )


def snow(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("snow", (0.80, 0.84, 0.90), (0.50, 0.60, 0.74), 0.85, 0.5, (0.6, 0.62, 0.66))
    put.ground(add, (0.72, 0.75, 0.80), (0.82, 0.84, 0.87), 0.75, 0.6)
    track = put.mottled((0.32, 0.31, 0.31), (0.55, 0.56, 0.58), 1.4)
    for y in (-0.85, 0.85, 3.6, 5.2):
        put.stripe(add, (-60, 60), (y - 0.24, y + 0.24), track)
    white = put.mottled((0.78, 0.80, 0.84), (0.86, 0.87, 0.9), 1.0)
    for _ in range(50):
        ball, faces = put.crown(random, 6, 9, 0.12)
        centre = np.array([random.uniform(-35, 35), random.uniform(3.6, 6.0), 0.0]) * np.array([1, 1, 1])
        if -6.9 < centre[1] < 6.0:
            centre[1] = 6.2 + random.uniform(0, 0.8)
        put.polygons(
            add,
            "heap",
            ball * np.array([1.4, 0.7, 0.55]) * random.uniform(0.5, 1.0) + centre,
            faces,
            white,
            smooth=True,
        )
    bark, dark = (
        put.mottled((0.55, 0.54, 0.52), (0.10, 0.09, 0.085), 6.0),
        principled("bark", (0.06, 0.05, 0.045), roughness=0.9),
    )
    for _ in range(46):
        put.tree(
            add,
            random,
            float(random.uniform(-32, 32)),
            float(random.uniform(9, 34)),
            float(random.uniform(7, 13)),
            white,
            bark if random.random() < 0.6 else dark,
            bare=True,
        )
    fir = put.mottled((0.03, 0.05, 0.04), (0.65, 0.68, 0.72), 1.2)
    for _ in range(14):
        x, y, height = random.uniform(-40, 40), random.uniform(26, 44), random.uniform(6, 12)
        ring = [(x + 0.3 * height * np.cos(a), y + 0.3 * height * np.sin(a), 0.4) for a in np.linspace(0, 6.28, 9)[:-1]]
        put.polygons(add, "fir", [*ring, (x, y, height)], [(i, (i + 1) % 8, 8) for i in range(8)], fir)

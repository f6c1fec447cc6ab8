"""The places of four cameras in town: a street, a gate, a street at dusk, a harbour."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from tools.yard import scenery as put
from tools.yard.material import principled


def street(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("street", (0.62, 0.72, 0.85), (0.16, 0.32, 0.68), 0.75, 0.8)
    put.ground(add, (0.10, 0.10, 0.105), (0.15, 0.15, 0.15), 0.8, 2.5)
    pale, kerb = (
        principled("pale", (0.36, 0.35, 0.33), roughness=0.9),
        principled("kerb", (0.42, 0.41, 0.39), roughness=0.9),
    )
    put.slab(add, (-60, -30, 0), (60, -3.4, 0.13), pale)
    put.slab(add, (-60, -3.4, 0), (60, -3.25, 0.14), kerb)
    put.stripe(add, (-60, 60), (2.3, 2.42), principled("line", (0.7, 0.7, 0.68), roughness=0.7))
    x = -42.0
    tones = ((0.45, 0.24, 0.15), (0.52, 0.45, 0.33), (0.30, 0.15, 0.11), (0.50, 0.50, 0.48), (0.40, 0.34, 0.27))
    for index in range(9):
        width = float(random.uniform(7, 11))
        face = put.facade(tones[index % 5], (0.06, 0.08, 0.11), float(random.uniform(1.6, 2.4)), 2.9, 0.42)
        depth = -7.5 - float(random.uniform(0, 0.4))
        put.wall(add, (x + width, depth), (x, depth), float(random.uniform(9, 17)), face, 0.13)
        put.slab(
            add,
            (x + 0.3, depth, 2.7),
            (x + width - 0.3, depth + 0.9, 2.85),
            principled("awning", tuple(random.uniform(0.05, 0.5, 3)), roughness=0.8),
        )
        x += width
    put.wall(add, (-42, -7.5), (-42, 40), 14, put.facade(tones[1], (0.06, 0.08, 0.11), 2.1, 2.9, 0.45))
    leaves, bark = (
        put.mottled((0.04, 0.11, 0.02), (0.09, 0.18, 0.04), 3),
        principled("bark", (0.09, 0.06, 0.04), roughness=0.9),
    )
    for x in (-22, -14, -6.5, 4):
        put.tree(add, random, x, -5.0, 5.5, leaves, bark)
    put.wall(add, (-30, 11), (30, 11), 12, put.facade(tones[3], (0.06, 0.08, 0.11), 1.9, 3.0, 0.4))


def gate(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("gate", (0.75, 0.77, 0.80), (0.60, 0.64, 0.70), 0.85, 0.4)
    put.ground(add, (0.30, 0.295, 0.28), (0.38, 0.37, 0.35), 0.9, 1.2)
    concrete = put.mottled((0.34, 0.33, 0.31), (0.43, 0.42, 0.40), 0.8)
    yellow, black = (
        principled("yellow", (0.75, 0.50, 0.02), roughness=0.5),
        principled("black", (0.02, 0.02, 0.02), roughness=0.6),
    )
    put.slab(add, (-16, -14, 0), (-12, -3.2, 6), concrete)
    put.slab(add, (-16, 3.2, 0), (-12, 14, 6), concrete)
    put.slab(add, (-16, -14, 3.6), (-12, 14, 6), concrete)
    put.slab(add, (-26, -14, 0), (-25, 14, 6), principled("dark", (0.04, 0.04, 0.045), roughness=0.9))
    for y in (-3.2, 2.9):
        for k in range(6):
            put.slab(add, (-12.05, y, 0.5 * k), (-11.95, y + 0.3, 0.5 * k + 0.5), yellow if k % 2 else black)
    for y in (-2.9, 2.9):
        for k in range(5):
            put.slab(add, (-9 + 3.0 * k, y - 0.06, 0), (-8.88 + 3.0 * k, y + 0.06, 0.95), yellow)
    for y in (-2.45, 2.45):
        put.stripe(add, (-20, 14), (y - 0.06, y + 0.06), yellow)
    put.slab(add, (-5.2, 3.2, 0), (-4.4, 4.0, 1.9), principled("booth", (0.10, 0.22, 0.35), roughness=0.5))
    for k in range(7):
        put.slab(
            add, (-4.75, 3.1 - 0.75 * k * 0.0, 2.3 + 0.6 * k), (-4.65, 3.2, 2.9 + 0.6 * k), yellow if k % 2 else black
        )


def dusk(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("dusk", (0.40, 0.26, 0.30), (0.05, 0.08, 0.20), 0.55, 0.4, (0.03, 0.03, 0.04))
    put.ground(add, (0.045, 0.045, 0.05), (0.07, 0.07, 0.075), 0.55, 2.5, wet=0.25)
    put.slab(add, (-60, 4.2, 0), (60, 30, 0.13), principled("pave", (0.20, 0.19, 0.19), roughness=0.8))
    x, pole = -20.0, principled("pole", (0.05, 0.05, 0.05), roughness=0.5)
    for index in range(6):
        width = float(random.uniform(7, 10))
        put.wall(
            add,
            (x, 8.5),
            (x + width, 8.5),
            float(random.uniform(8, 14)),
            put.facade((0.10, 0.085, 0.08), (0.9, 0.62, 0.30) if index % 2 else (0.35, 0.45, 0.6), 1.7, 2.8, 0.5, 0.35),
            3.2,
        )
        shop = principled("shop", (0.3, 0.25, 0.2), roughness=0.4)
        bright = shop.node_tree.nodes["Principled BSDF"]
        bright.inputs["Emission Color"].default_value = (
            (1.0, 0.72, 0.42, 1),
            (0.75, 0.88, 1.0, 1),
            (1.0, 0.5, 0.5, 1),
        )[index % 3]
        bright.inputs["Emission Strength"].default_value = 1.1
        put.wall(add, (x, 8.5), (x + width, 8.5), 3.2, principled("base", (0.08, 0.07, 0.07), roughness=0.7))
        put.wall(add, (x + 0.8, 8.45), (x + width - 0.8, 8.45), 2.5, shop, 0.5)
        for bar in np.arange(x + 0.8, x + width - 0.7, 1.6):
            put.slab(add, (bar - 0.05, 8.3, 0.13), (bar + 0.05, 8.44, 2.6), pole)
        for _ in range(5):
            goods = float(random.uniform(x + 1, x + width - 1.4))
            put.slab(
                add,
                (goods, 8.36, 0.5),
                (goods + float(random.uniform(0.2, 0.6)), 8.42, float(random.uniform(0.9, 1.9))),
                pole,
            )
        x += width
    put.wall(add, (40, 8.5), (40, -40), 10, put.facade((0.08, 0.08, 0.09), (0.9, 0.65, 0.35), 1.9, 2.8, 0.5, 0.3))
    for x in (-9.0, 3.0, 15.0, 27.0):
        put.slab(add, (x - 0.06, 4.6, 0), (x + 0.06, 4.72, 5.2), pole)
        put.slab(add, (x - 0.06, 2.8, 5.15), (x + 0.06, 4.72, 5.25), pole)
        light = bpy.data.lights.new("lamp", "AREA")
        light.energy, light.size, light.color = 260.0, 0.5, (1.0, 0.68, 0.36)
        hung = bpy.data.objects.new("lamp", light)
        hung.location = (x, 2.9, 5.1)
        add.objects.link(hung)
    light = bpy.data.lights.new("lamp", "AREA")
    light.energy, light.size, light.color = 330.0, 1.0, (1.0, 0.75, 0.48)
    hung = bpy.data.objects.new("lamp", light)
    hung.location, hung.rotation_euler = (-5.5, -6.5, 5.5), (-0.75, -0.5, 0)
    add.objects.link(hung)


def harbour(scene: Any, random: np.random.Generator) -> None:
    add = scene.collection
    scene.world = put.sky("harbour", (0.66, 0.74, 0.82), (0.20, 0.38, 0.70), 0.7, 0.5)
    put.ground(add, (0.26, 0.25, 0.235), (0.34, 0.33, 0.31), 0.9, 0.9)
    yellow = principled("line", (0.65, 0.45, 0.05), roughness=0.8)
    for x in np.arange(-30, 20, 4.6):
        put.stripe(add, (float(x), float(x) + 0.14), (-2.4, 3.6), yellow)
    put.stripe(add, (-40, 40), (-2.6, -2.46), yellow)
    tones = (
        (0.45, 0.06, 0.04),
        (0.03, 0.15, 0.38),
        (0.04, 0.26, 0.15),
        (0.62, 0.30, 0.04),
        (0.42, 0.42, 0.40),
        (0.20, 0.08, 0.22),
    )
    steel = [principled("steel", tone, roughness=0.55) for tone in tones]
    for row, depth in enumerate((4.6, 8.0, 11.6)):
        x = -34.0 + 1.5 * row
        while x < 26:
            for level in range(int(random.integers(1, 3 + (row > 0)))):
                paint = steel[int(random.integers(len(steel)))]
                put.slab(add, (x, depth, 2.6 * level), (x + 6.0, depth + 2.4, 2.6 * level + 2.55), paint)
                for rib in np.arange(x + 0.2, x + 6.0, 0.4):
                    put.slab(
                        add, (rib, depth - 0.05, 2.6 * level + 0.15), (rib + 0.18, depth, 2.6 * level + 2.4), paint
                    )
            x += 6.4
    for x in (-13.0, -19.5):
        put.slab(add, (x, -9, 0), (x + 2.5, 3, 2.55), steel[int(random.integers(6))])
        for rib in np.arange(-8.8, 3.0, 0.4):
            put.slab(
                add,
                (x + 2.5, rib, 0.15),
                (x + 2.55, rib + 0.18, 2.4),
                principled("rib", tones[int(random.integers(6))], roughness=0.6),
            )

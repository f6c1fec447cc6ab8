"""The pictures of perching songbirds, one function each: who sits where, in which light, before what."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from tools.samples import perching
from tools.samples.anatomy import Songbird
from tools.samples.curve import Frame, Image
from tools.samples.flowers import blossom, thistle
from tools.samples.lens import FINE, develop
from tools.samples.relief import Light
from tools.samples.scenery import backdrop, bokeh, branch, leaf, leaves_afar, post, snow_cap
from tools.samples.songbirds import (
    AMERICAN_GOLDFINCH,
    CARDINAL,
    EUROPEAN_GOLDFINCH,
    INDIGO_BUNTING,
    PAINTED_BUNTING,
    RED_WINGED_BLACKBIRD,
)


def _sit(canvas: Image, bird: Songbird, frame: Frame, light: Light, rng: np.random.Generator, perch: Image) -> None:
    perching.draw(canvas, bird, frame, light, rng, perch)
    perching.toes(canvas, bird, frame)


def cardinal() -> Pillow.Image:
    """Northern Cardinal on a snowy branch; 3:2, the bird left of the middle."""
    rng, size = np.random.default_rng(3), (800, 1200)
    light = Light((0.35, -0.75, 0.6), sky=(0.42, 0.47, 0.56), ground=(0.40, 0.41, 0.46))
    canvas = backdrop((size[0] * FINE, size[1] * FINE), ("#b8c8cf", "#a9bcc2", "#8fa3a6", "#7d8f8c"), rng)
    firs = ("#3d5247", "#2f4038", "#4c5f52", "#93a7a4")
    leaves_afar(canvas, 60, 0.09, firs, rng, 0.03, 0.5, lambda x, y: (x < 0.35) * 1.0 + (y > 0.55) * 0.5)
    bokeh(canvas, 26, (0.012, 0.03), ("#eef4f7", "#dfe8ea"), rng, 0.30, soft=0.15)
    path, radii = ((-60, 1310), (500, 1260), (1000, 1250), (1800, 1190), (2500, 1060)), (66, 60, 58, 50, 40)
    bark = ("#2c231d", "#4e4035", "#75655a", "#988b80")
    perch = branch(canvas, path, radii, bark, rng, light)
    perch = np.maximum(perch, snow_cap(canvas, path, radii, rng, 0.8))
    _sit(canvas, CARDINAL, Frame(11.5, (930, 798), nod=-5), light, rng, perch)
    bokeh(canvas, 110, (0.0014, 0.0042), ("#ffffff",), rng, 0.85, soft=0.6)
    return develop(canvas, size, rng)


def american_goldfinch() -> Pillow.Image:
    """American Goldfinch on a thistle, facing left; square."""
    rng, size = np.random.default_rng(11), (1000, 1000)
    light = Light((-0.45, -0.75, 0.55), ground=(0.34, 0.36, 0.22))
    canvas = backdrop((size[0] * FINE, size[1] * FINE), ("#9db66e", "#7fa056", "#5d8444", "#456d38"), rng, 0.2)
    leaves_afar(canvas, 70, 0.08, ("#3f6a34", "#5c8a42", "#86a85a", "#b9c878"), rng, 0.028, 0.55)
    leaves_afar(canvas, 9, 0.045, ("#a564b8", "#b97ccc"), rng, 0.02, 0.8, lambda x, y: (x > 0.45) & (y > 0.25))
    bokeh(canvas, 34, (0.012, 0.034), ("#e6efae", "#d2e494", "#f4f4cc"), rng, 0.30, lambda x, y: 1.2 - y, 0.12)
    stem = ((2050, 1330), (1500, 1430), (1000, 1500), (580, 1470), (345, 1270), (292, 1000))
    perch = branch(canvas, stem, (30, 30, 28, 25, 22, 22), ("#4f7038", "#6d8f4a", "#8dab60"), rng, light, 0.05, 9.0)
    for x, y, tx, ty, width in (
        (1500, 1430, 1760, 1760, 130),
        (800, 1490, 620, 1800, 110),
        (1720, 1390, 1900, 1120, 100),
    ):
        leaf(canvas, (x, y), (tx, ty), width, "#5d8a48", rng)
    thistle(canvas, (286, 900), 150, -6, rng, light)
    _sit(canvas, AMERICAN_GOLDFINCH, Frame(11.8, (1150, 1030), mirror=True, degrees=-3, nod=6), light, rng, perch)
    return develop(canvas, size, rng)


def painted_bunting() -> Pillow.Image:
    """Painted Bunting on a mossy branch in the shade of leaves; portrait."""
    rng, size = np.random.default_rng(5), (1200, 900)
    light = Light((0.5, -0.7, 0.55), ground=(0.32, 0.35, 0.24), rim=0.5)
    canvas = backdrop(
        (size[0] * FINE, size[1] * FINE), ("#c3d18a", "#86a862", "#4f7a4a", "#2f5238", "#223c2c"), rng, 0.14
    )
    leaves_afar(canvas, 90, 0.10, ("#2c5434", "#47733f", "#7fa252", "#1f3d2a"), rng, 0.035, 0.55)
    bokeh(canvas, 44, (0.014, 0.05), ("#f2f5c4", "#dcebA0", "#fff8d8"), rng, 0.36, lambda x, y: 1.1 - 1.3 * y, 0.1)
    for x, y, tx, ty in ((-60, 300, 420, 520), (1500, -80, 1330, 330), (1850, 420, 1480, 620)):
        leaf(canvas, (x, y), (tx, ty), 230, "#5f9140", rng, 0.9, 22)
    path, radii = ((-80, 2060), (420, 1960), (900, 1905), (1350, 1800), (1900, 1600)), (105, 98, 88, 74, 60)
    perch = branch(canvas, path, radii, ("#2a211a", "#4c3f33", "#7b6a58", "#9a8b78"), rng, light, moss="#7c9a34")
    branch(
        canvas, ((1500, 1770), (1600, 1640), (1650, 1500)), (16, 12, 6), ("#2a211a", "#5c4d3c", "#7b6a58"), rng, light
    )
    _sit(canvas, PAINTED_BUNTING, Frame(12.6, (900, 1395), degrees=-6, nod=7), light, rng, perch)
    for x, y, tx, ty in (
        (1590, 1655, 1790, 1640),
        (1640, 1540, 1500, 1340),
        (1650, 1505, 1740, 1270),
        (1600, 1640, 1430, 1590),
    ):
        leaf(canvas, (x, y), (tx, ty), 120, "#6d9c3e", rng)
    leaf(canvas, (-100, 2420), (520, 2180), 330, "#3f6a30", rng, 0.8, 30)
    return develop(canvas, size, rng)


def european_goldfinch() -> Pillow.Image:
    """European Goldfinch among cherry blossom, at the right, facing left; 4:3."""
    rng, size = np.random.default_rng(8), (840, 1120)
    light = Light((-0.4, -0.8, 0.55), sky=(0.46, 0.48, 0.52), ground=(0.40, 0.36, 0.35))
    canvas = backdrop((size[0] * FINE, size[1] * FINE), ("#b9d3e6", "#c8d6da", "#d8cfcb", "#b9b29a"), rng, 0.2)
    leaves_afar(canvas, 60, 0.06, ("#eab6c6", "#f4d0da", "#d98fa8", "#a9b487"), rng, 0.024, 0.6, lambda x, y: y > 0.16)
    bokeh(canvas, 46, (0.012, 0.036), ("#fbe3ea", "#f6c9d6", "#ffffff"), rng, 0.36, soft=0.12)
    path, radii = (
        ((2320, 1190), (1750, 1290), (1300, 1320), (700, 1270), (200, 1090), (-80, 960)),
        (48, 44, 42, 36, 28, 22),
    )
    twigs = (
        ((760, 1280), (560, 1400), (330, 1440)),
        ((420, 1180), (330, 960), (350, 800)),
        ((1850, 1270), (2020, 1420), (2150, 1560)),
    )
    bark = ("#38241f", "#5d4038", "#7f6258", "#a78d80")
    for twig in twigs:
        branch(canvas, twig, (22, 17, 10), bark, rng, light)
    perch = branch(canvas, path, radii, bark, rng, light, grain=1.6)
    places = (
        (330, 1440, 92),
        (430, 1400, 84),
        (350, 800, 96),
        (300, 900, 84),
        (425, 905, 80),
        (150, 1080, 92),
        (60, 1010, 84),
        (640, 1340, 80),
        (2130, 1560, 96),
        (2030, 1440, 84),
        (2200, 1200, 84),
    )
    for x, y, radius in places:
        blossom(canvas, (x, y), radius, rng)
    _sit(canvas, EUROPEAN_GOLDFINCH, Frame(10.6, (1390, 910), mirror=True, degrees=3), light, rng, perch)
    for x, y, radius in ((900, 1330, 86), (1010, 1395, 76)):
        blossom(canvas, (x, y), radius, rng)
    return develop(canvas, size, rng)


def indigo_bunting() -> Pillow.Image:
    """Indigo Bunting on a bare twig above a meadow, small in the frame, right of the middle; 3:2."""
    rng, size = np.random.default_rng(21), (800, 1200)
    light = Light((0.5, -0.7, 0.55), ground=(0.36, 0.35, 0.24), rim=0.6)
    canvas = backdrop(
        (size[0] * FINE, size[1] * FINE), ("#e8dca4", "#dcd090", "#b9b468", "#8c9a50", "#6f8544"), rng, 0.1
    )
    leaves_afar(canvas, 70, 0.07, ("#c7b860", "#a7ab58", "#7d9148", "#e8d890"), rng, 0.03, 0.5, lambda x, y: y)
    bokeh(canvas, 40, (0.010, 0.028), ("#fff3c0", "#ffe9a0", "#fffbe4"), rng, 0.34, lambda x, y: 1 - 0.5 * y, 0.12)
    for x, tx, ty in (
        (300, 420, 700),
        (460, 330, 820),
        (620, 800, 900),
        (160, 60, 860),
        (2150, 2240, 900),
        (2300, 2150, 1000),
    ):
        leaf(canvas, (x, 1700), (tx, ty), 46, "#9aa548", rng, 1.0, 14)
    path, radii = (
        ((2480, 1400), (2000, 1255), (1500, 1180), (1050, 1110), (700, 960), (470, 760)),
        (44, 38, 33, 27, 20, 9),
    )
    bark = ("#43352b", "#6d5a4a", "#988472", "#b9a793")
    branch(canvas, ((1000, 1100), (820, 1130), (610, 1120)), (20, 14, 6), bark, rng, light)
    branch(canvas, ((2050, 1270), (2200, 1180), (2290, 1010)), (22, 15, 7), bark, rng, light)
    perch = branch(canvas, path, radii, bark, rng, light, grain=1.8)
    _sit(canvas, INDIGO_BUNTING, Frame(8.6, (1420, 870), degrees=2, nod=-14), light, rng, perch)
    return develop(canvas, size, rng)


def red_winged_blackbird() -> Pillow.Image:
    """Red-winged Blackbird on a weathered post by a marsh, facing left; portrait 4:5."""
    rng, size = np.random.default_rng(34), (1100, 880)
    light = Light((-0.55, -0.65, 0.55), sky=(0.55, 0.60, 0.70), ground=(0.34, 0.32, 0.26), rim=0.9)
    canvas = backdrop(
        (size[0] * FINE, size[1] * FINE), ("#d9c9a0", "#cbbb8c", "#a9a06c", "#8b8a5a", "#6f7650"), rng, 0.1
    )
    for _ in range(46):
        x, lean = rng.uniform(-100, 1900), rng.uniform(-260, 260)
        colour = ("#8f8a4c", "#b3a566", "#6d7a44")[rng.integers(3)]
        leaf(
            canvas,
            (x, 2260),
            (x + lean, rng.uniform(250, 1500)),
            rng.uniform(26, 70),
            colour,
            rng,
            1.0,
            rng.uniform(16, 34),
        )
    bokeh(canvas, 30, (0.012, 0.034), ("#fff0c8", "#f6e3a8"), rng, 0.30, lambda x, y: 1.2 - y, 0.12)
    perch = post(canvas, (1000, 1490), 200, rng, light)
    _sit(canvas, RED_WINGED_BLACKBIRD, Frame(12.2, (985, 1040), mirror=True, nod=-9), light, rng, perch)
    return develop(canvas, size, rng)

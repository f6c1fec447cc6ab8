"""Birds of the water: an Eared Grebe that swims and a Black-footed Albatross that glides, each with its picture."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from tools.samples import water
from tools.samples.curve import Frame, Image, blur, lay, layer, mask, merge, rgb, smooth
from tools.samples.lens import FINE, develop
from tools.samples.perching import bill, eye
from tools.samples.plumage import Vane, coat, feather, flow, patch
from tools.samples.relief import Light, inflate, normals, rim, shade
from tools.samples.scenery import backdrop, leaves_afar
from tools.samples.songbirds import GREBE_BILL

# a 100-unit box, facing right; the waterline is y = 71
GREBE = (
    (78, 28.6), (75.6, 22.6), (70, 17.6), (64.5, 18.6), (61, 25), (59, 34), (56.6, 41), (51, 46), (42, 47.4),
    (31, 48.6), (20, 52), (11.5, 57.5), (7.5, 63.5), (9, 69), (14, 72.5), (34, 75.5), (58, 74.5), (72, 73),
    (78.6, 66), (79.5, 58), (75.5, 49.5), (73.6, 42), (75, 36.5), (77.8, 33),
)  # fmt: skip
GREBE_GUIDES = (
    (77, 25, 200), (72, 19, 185), (65, 20, 125), (62, 27, 105), (59, 36, 112), (66, 36, 110), (74, 36, 105),
    (70, 46, 110), (76, 56, 110), (68, 60, 165), (56, 52, 178), (40, 54, 180), (24, 54, 178), (12, 58, 160),
    (12, 66, 185), (30, 68, 184), (50, 68, 182), (66, 70, 172), (70, 27, 165),
)  # fmt: skip
FLANK = (
    (72, 60),
    (60, 57),
    (46, 57.5),
    (30, 60),
    (17, 62),
    (10, 66),
    (8, 72),
    (30, 78),
    (60, 78),
    (76, 74),
    (78, 66),
    (76, 60),
)


def grebe() -> Pillow.Image:
    """Eared Grebe on a lake in the evening, at the right, facing left; 16:9."""
    rng, size = np.random.default_rng(55), (720, 1280)
    light = Light((-0.5, -0.65, 0.6), sky=(0.55, 0.58, 0.66), ground=(0.36, 0.36, 0.36), rim=1.1)
    canvas = backdrop(
        (size[0] * FINE, size[1] * FINE), ("#e9cf9a", "#c9b98e", "#7f9a98", "#4a7482", "#2c5366"), rng, 0.05
    )
    reeds = ("#5f7f52", "#3f6348", "#a8a060")
    leaves_afar(canvas, 26, 0.10, reeds, rng, 0.03, 0.55, lambda x, y: y < 0.10)
    horizon = -150.0
    slope = water.surface(canvas.shape, horizon, (150, 520), rng)
    canvas = blur(canvas, 12)
    water.paint(canvas, slope, horizon, "#1d4658", "#9fb6b4", "#fff0cc", 0.5)
    frame, line = Frame(9.6, (1560, 850), mirror=True), 850 + 21.0 * 9.6
    painted = layer(canvas)
    _grebe(painted, frame, light, rng)
    y = np.arange(canvas.shape[0], dtype=np.float32)[:, None]
    painted[..., 3] *= np.clip((line + 5 * slope - y) / 6 + 0.5, 0, 1)
    water.reflect(canvas, painted, line, slope, 0.80, "#1d4658")
    water.rings(canvas, (1590, line + 4), (440, 620, 860, 1180), 0.20, "#cfdcd6", rng)
    merge(canvas, painted)
    return develop(canvas, size, rng)


def _grebe(canvas: Image, frame: Frame, light: Light, rng: np.random.Generator) -> None:
    """Paints the swimming bird on a layer, in place."""
    cover = mask(canvas.shape, smooth(frame(GREBE)))
    normal = normals(inflate(cover, 0.8))
    ways = flow(canvas.shape, frame, GREBE_GUIDES)
    colours = np.empty_like(canvas[..., :3])
    colours[:] = rgb("#25232a")
    patch(colours, frame, ((56, 42), (40, 45), (8, 50), (6, 62), (30, 57), (56, 52)), rgb("#352c2b"), 3.0, rng)
    patch(colours, frame, FLANK, rgb("#8a3a1a"), 3.5, rng)
    patch(colours, frame, ((16, 63), (4, 58), (4, 76), (24, 74)), rgb("#a87a54"), 4.5, rng)
    lit = np.clip(colours * shade(normal, light) + rim(normal, light)[..., None] * (0.3 + 0.7 * colours), 0, 1)
    lay(canvas, lit, blur(cover, 1.6))
    coat(canvas, lit, cover, ways, frame.scale * 5.2, rng, 0.38, 0.15, 0.10, 1.6)
    coat(canvas, lit, cover, ways, frame.scale * 3.4, rng, 0.42, 0.17, 0.07, 1.8)
    bill(canvas, GREBE_BILL, frame, light)
    head = mask(canvas.shape, smooth(frame(((82, 24), (72, 13), (60, 18), (58, 32), (68, 40), (80, 36)))), 6) * cover
    coat(canvas, lit, head, ways, frame.scale * 2.0, rng, 0.30, 0.15, 0.12, 1.8)
    tuft = Vane(rgb("#c87a12"), rgb("#ffd75a"), rgb("#ffe9a0"), 0.3, 0.3, 0.1, 0.0, 0.1, 0.25)
    for turn in rng.permutation(np.linspace(-1, 1, 46)):
        angle, length = np.radians(172 - 34 * turn + rng.normal(0, 4)), rng.uniform(7, 11.5) * (1 - 0.15 * abs(turn))
        root = np.array((71.5 - 0.6 * abs(turn), 28.3 + 2.0 * turn))
        tip = root + np.array((np.cos(angle), np.sin(angle))) * length
        a, b = frame((root, tip))
        feather(canvas, a, b, frame.scale * 0.75, tuft, rng.normal(0, 0.05), rng.uniform(0.75, 1.1))
    eye(canvas, frame, (73.4, 27.2, 1.75), "#e01b16", None, 0.36)


# seen from above, the head to the right; the wing is drawn once, upwards, and mirrored
LEADING = np.array(((57.5, 46), (60, 38), (64.5, 25), (63, 12), (58, -4), (51.5, -18)))
TRAILING = np.array(((44, 46), (46, 37), (50, 24), (51, 11), (50.5, -4), (50.0, -18.5)))
BODY = (
    (30, 50), (33, 47), (40, 45.2), (50, 44.4), (58, 45.2), (64, 46.8), (68, 46.6), (72, 46.2), (75.4, 47.8),
    (76.8, 50), (75.4, 52.2), (72, 53.8), (68, 53.4), (64, 53.2), (58, 54.8), (50, 55.6), (40, 54.8), (33, 53),
)  # fmt: skip


def albatross() -> Pillow.Image:
    """Black-footed Albatross gliding over the open sea, seen from above and behind; 2:1."""
    rng, size = np.random.default_rng(89), (680, 1360)
    light = Light((-0.35, -0.75, 0.6), sky=(0.55, 0.60, 0.68), ground=(0.34, 0.38, 0.42), rim=0.6)
    canvas = backdrop(
        (size[0] * FINE, size[1] * FINE), ("#dfe9ee", "#c3d7e2", "#8fb0c4", "#5c8aa6", "#3f6f8e"), rng, 0.05
    )
    horizon = 150.0
    slope = water.surface(canvas.shape, horizon, (240, 620), rng, 6)
    water.paint(canvas, slope, horizon, "#12405c", "#a9c6d6", "#ffffff", 0.65)
    canvas = blur(canvas, 5.5)
    frame = Frame(14.6, (1420, 800), (52, 50), degrees=-62, tilt=0.80)
    painted = layer(canvas)
    for side, reach in ((-1, 1.05), (1, 1.16)):
        _wing(painted, frame, side, reach, rng)
    _body(painted, frame, light, rng)
    merge(canvas, painted)
    return develop(canvas, size, rng)


def _wing(canvas: Image, frame: Frame, side: int, reach: float, rng: np.random.Generator) -> None:
    """One spread wing: flight feathers, then coverts towards the leading edge; side -1 is drawn upwards."""

    def put(points: np.ndarray) -> np.ndarray:
        out = points - (0, 50)
        return np.stack([out[:, 0], 50 - side * out[:, 1] * reach], -1)

    leading, trailing = smooth(LEADING, False, 20), smooth(TRAILING, False, 20)
    pale, dark = "#5b4a40", "#2b2320"
    rows = ((36, 0.00, 1.00, 1.0, 4.6, dark, "#1d1817", 0.2), (30, 0.0, 0.62, 0.74, 3.2, "#3a2f2a", pale, 0.3),
            (34, 0.0, 0.44, 0.80, 2.7, "#43362f", pale, 0.3), (38, -0.02, 0.28, 0.86, 2.3, "#4a3c34", pale, 0.25),
            (46, -0.03, 0.15, 0.94, 1.9, "#54443b", "#6a574a", 0.2))  # fmt: skip
    for count, start, end, until, width, base, tip, fringe in rows:
        vane = Vane(rgb(base), rgb(tip), rgb("#75635a"), fringe, 0.75, -0.5 if end == 1 else 0.3, 0.05, 0.75, 0.4)
        for t in np.linspace(until, 0, count):
            slant = 0.42 * max(0.0, t - 0.40) * end  # the hand's feathers point to the tip of the wing
            i = int((t - slant * 0.9) * (len(leading) - 1))
            j = min(int((t + slant) * (len(trailing) - 1)), len(trailing) - 1)
            root, tip_at = leading[i], trailing[j]
            ends = put(np.stack([root + (tip_at - root) * start, root + (tip_at - root) * end]))
            a, b = frame(ends)
            feather(canvas, a, b, width * frame.scale * (1 - 0.25 * t), vane, side * 0.02, rng.normal(1.0, 0.05))


def _body(canvas: Image, frame: Frame, light: Light, rng: np.random.Generator) -> None:
    """Tail, coat, the white face and the long hooked bill, from above."""
    tail = Vane(rgb("#2c2421"), rgb("#1f1a18"), rgb("#6a5a50"), 0.16, 0.6, 0.4, 0.05, 0.85, 0.35)
    for turn in (-1, 1, -0.6, 0.6, -0.2, 0.2):
        a, b = frame(((36, 50 + turn * 2), (24.5 + abs(turn), 50 + turn * 4.6)))
        feather(canvas, a, b, frame.scale * 3.0, tail)
    cover = mask(canvas.shape, smooth(frame(BODY)))
    normal = normals(inflate(cover, 0.9))
    ways = flow(
        canvas.shape, frame, ((74, 50, 180), (66, 47, 176), (66, 53, 184), (50, 46, 176), (50, 54, 184), (34, 50, 180))
    )
    colours = np.empty_like(canvas[..., :3])
    colours[:] = rgb("#4a3d36")
    patch(colours, frame, ((64, 44), (80, 44), (80, 56), (64, 56)), rgb("#5c4d45"), 3.0, rng)
    patch(
        colours, frame, ((74.2, 44), (80, 44), (80, 56), (73.2, 56), (74.0, 52.5), (75.2, 50)), rgb("#efe8df"), 0.7, rng
    )
    patch(colours, frame, ((33, 45), (36, 45), (36, 55), (33, 55)), rgb("#cfc4b8"), 1.4, rng)
    lit = np.clip(colours * shade(normal, light) + rim(normal, light)[..., None] * 0.6, 0, 1)
    lay(canvas, lit, blur(cover, 1.6))
    coat(canvas, lit, cover, ways, frame.scale * 2.6, rng, 0.25, 0.09, 0.14, 1.6)
    outline = ((75, 48.5), (80, 49.1), (84, 49.0), (86.4, 49.6), (86.4, 50.4), (84, 51.0), (80, 50.9), (75, 51.5))
    horn = mask(canvas.shape, smooth(frame(outline)), 0.8)
    tone = shade(normals(inflate(horn, 1.0)), light)
    lay(canvas, np.clip(rgb("#5a4a46") * tone * 1.1, 0, 1), horn)
    eye(canvas, frame, (72.4, 53.0, 0.45), "#120d0b", None)

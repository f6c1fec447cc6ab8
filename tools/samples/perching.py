"""A perching songbird in profile: the order in which its parts are painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.samples.anatomy import BACK, FRONT, HEAD_REGION, Bill, Outline, Songbird
from tools.samples.curve import Frame, Image, Points, blur, lay, layer, mask, merge, noise, rgb, smooth
from tools.samples.plumage import Vane, coat, flow, patch, row
from tools.samples.relief import Light, inflate, normals, rim, shade


def _vane(colours: tuple[str, str, str], **options: float) -> Vane:
    return replace(Vane(rgb(colours[0]), rgb(colours[1]), rgb(colours[2])), **options)  # type: ignore[arg-type]


def draw(
    canvas: Image, bird: Songbird, frame: Frame, light: Light, rng: np.random.Generator, perch: Image | None = None
) -> None:
    """Paints the bird on the canvas, in place; `perch` is the coverage of the branch, which gets the shadow."""
    outline = smooth(frame((*bird.head, *BACK, *FRONT)))
    cover = mask(canvas.shape, outline)
    normal = normals(inflate(cover, 0.8))
    ground, canvas = canvas, layer(canvas)
    tone = shade(normal, light)
    ways = flow(canvas.shape, frame, bird.guides)
    _legs(canvas, bird, frame)
    _tail(canvas, bird, frame, light, rng)
    colours = np.empty_like(ground)
    colours[:] = rgb(bird.coat)
    for shape, colour, soft in bird.patches:
        patch(colours, frame, shape, rgb(colour), soft, rng)
    colours *= 1 + 0.05 * noise(cover.shape, frame.scale * 9, rng, 3)[..., None]
    lit = np.clip(colours * tone + rim(normal, light)[..., None] * (0.35 + 0.65 * colours), 0, 1)
    lay(canvas, lit, blur(cover, frame.scale * 0.18))
    coat(canvas, lit, cover, ways, frame.scale * 3.4, rng, 0.26, bird.jitter, 0.14, 1.2)
    coat(canvas, lit, cover, ways, frame.scale * 2.7, rng, 0.34, bird.jitter * 1.1, 0.08, 1.4)
    _wing(canvas, bird, frame, tone, rng)
    _overlap(canvas, bird, frame, lit, ways, tone, rng)
    bill(canvas, bird.bill, frame, light)
    head = mask(canvas.shape, smooth(frame(HEAD_REGION)), frame.scale) * cover
    coat(canvas, lit, head, ways, frame.scale * 2.1, rng, 0.30, bird.jitter, 0.12, 1.7)
    eye(canvas, frame, bird.eye, bird.iris, bird.ring)
    if perch is not None:
        _cast(ground, canvas[..., 3], perch, frame)
    merge(ground, canvas)


def _cast(canvas: Image, bird: Image, perch: Image, frame: Frame) -> None:
    """The bird's shadow on its perch."""
    moved = np.roll(bird, (int(frame.scale * 5), int(-frame.scale * 3)), (0, 1))
    dark = blur(moved, frame.scale * 1.6) * perch
    lay(canvas, canvas * np.array((0.30, 0.32, 0.40), np.float32), dark * 0.8)


def _legs(canvas: Image, bird: Songbird, frame: Frame) -> None:
    """Two tarsi, thick enough to read, from the belly to the perch at about (52, 84)."""
    for hip, foot, dim in (((56, 74), (59, 82.5), 0.6), ((46.5, 76), (49.5, 84), 1.0)):
        _stick(canvas, frame, (hip, ((hip[0] + foot[0]) / 2 + 0.6, (hip[1] + foot[1]) / 2), foot), 0.95, bird.legs, dim)


def toes(canvas: Image, bird: Songbird, frame: Frame) -> None:
    """Three toes of each foot, curled over the front of the perch."""
    for x, y, dim in ((59, 82.0, 0.75), (49.5, 83.5, 1.0)):
        for spread, reach in ((-2.6, 4.6), (0.6, 5.6), (3.8, 4.8)):
            path = ((x, y), (x + spread * 0.7, y + 0.6), (x + spread * 1.15, y + reach * 0.55), (x + spread, y + reach))
            _stick(canvas, frame, path, 0.85, bird.legs, dim)
            claw = ((x + spread, y + reach - 0.4), (x + spread - 0.5, y + reach + 1.3))
            _stick(canvas, frame, claw, 0.45, "#1c1512", dim)


def _stick(canvas: Image, frame: Frame, path: Points, radius: float, colour: str, dim: float) -> None:
    """A rounded, ringed line."""
    curve = frame(smooth(path, closed=False, steps=14))
    for i, (x, y) in enumerate(curve):
        r = radius * frame.scale * (1 + 0.08 * (i % 4 == 0))
        for shift, shrink, tone in ((0.0, 1.0, 0.35), (-0.12, 0.82, 0.75), (-0.28, 0.5, 1.05), (-0.38, 0.2, 1.35)):
            _dot(canvas, x + shift * r, y + shift * r, r * shrink, rgb(colour) * tone * dim, 0.85)


def _dot(canvas: Image, x: float, y: float, radius: float, colour: Points | Image, alpha: float = 1.0) -> None:
    """An antialiased disc (pixels)."""
    reach = int(radius + 3)
    top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
    region = canvas[top : int(y) + reach + 1, left : int(x) + reach + 1]
    v, u = np.mgrid[top : top + region.shape[0], left : left + region.shape[1]].astype(np.float32)
    lay(region, np.clip(colour, 0, 1), np.clip(radius - np.hypot(u - x, v - y) + 0.5, 0, 1) * np.float32(alpha))


def _tail(canvas: Image, bird: Songbird, frame: Frame, light: Light, rng: np.random.Generator) -> None:
    length, spread = bird.tail_length, bird.tail_width
    way, side = np.array((-0.50, 0.866)), np.array((0.866, 0.50))
    root = np.array((21.5, 68.0))
    tips = [
        root + way * length * k + side * spread * s for s, k in ((0.62, 0.95), (0.2, 1.0), (-0.25, 1.0), (-0.6, 0.97))
    ]
    roots = [root + side * 2.6, root - side * 2.4]
    vane = _vane(bird.tail, fringe_width=0.14, rounded=0.85)
    tone = np.full_like(canvas[..., :3], 0.95)
    row(canvas, frame, roots, tips, 6, spread * 0.62, vane, rng, 0.0, tone)


def _wing(canvas: Image, bird: Songbird, frame: Frame, tone: Image, rng: np.random.Generator) -> None:
    """Flight feathers from the tip inwards, then the coverts that lie over their roots."""
    wing, even = bird.wing, blur(tone, frame.scale * 5) * 0.94 + 0.08
    far = _vane(wing.primaries, fringe_width=0.22, rounded=0.45)
    row(
        canvas,
        frame,
        ((55, 63), (49, 55)),
        ((25, 76), (17, 78.5), (13.5, 77.5), (15, 72.5), (19, 67)),
        7,
        4.4,
        far,
        rng,
        -0.03,
        even,
    )
    near = _vane(wing.secondaries, fringe_width=0.22, rounded=0.7)
    row(
        canvas,
        frame,
        ((57, 60), (49, 44)),
        ((28, 70.5), (23.5, 65.5), (25.5, 59), (30, 52)),
        7,
        5.4,
        near,
        rng,
        -0.03,
        even,
    )
    if wing.panel is not None:
        _panel(canvas, frame, wing.panel, even, rng)
    greater = _vane(wing.greater, fringe_width=wing.bar_width, fringe_from=wing.bar, rounded=0.9)
    row(canvas, frame, ((64, 58), (53, 40)), ((49.5, 65.5), (44.5, 57.5), (41, 47.5)), 8, 5.0, greater, rng, 0.02, even)
    median = _vane(wing.median, fringe_width=wing.bar_width, fringe_from=wing.bar, rounded=1.0, shadow=0.35)
    row(canvas, frame, ((67.5, 52.5), (57, 36)), ((57, 59.5), (52, 51), (48, 42.5)), 8, 4.3, median, rng, 0.02, even)
    lesser = _vane(wing.lesser or wing.median, fringe_width=0.3, rounded=1.0, shadow=0.3, shaft=0.1)
    if wing.bar and wing.lesser is None:
        lesser = replace(lesser, fringe=lesser.tip)
    row(canvas, frame, ((69, 48), (60, 33)), ((62, 55), (57.5, 47), (53, 38.5)), 8, 3.6, lesser, rng, 0.02, even)


def _panel(canvas: Image, frame: Frame, panel: tuple[str, float, float], tone: Image, rng: np.random.Generator) -> None:
    """A bright block across the bases of the flight feathers, drawn as feathers of its own."""
    colour, low, high = panel
    vane = Vane(rgb(colour) * 0.86, rgb(colour), rgb(colour) * 1.05, 0.1, 0.0, 0.5, 0.06, 0.75, 0.25)
    start, end = np.array(((57, 62), (49, 46))), np.array(((24, 74), (27, 58)))
    row(canvas, frame, start + (end - start) * low, start + (end - start) * high, 7, 4.2, vane, rng, -0.02, tone)


def _overlap(
    canvas: Image, bird: Songbird, frame: Frame, lit: Image, ways: np.ndarray, tone: Image, rng: np.random.Generator
) -> None:
    """Breast and flank feathers over the wing's front edge, scapulars over its top."""
    front = (
        (71, 40),
        (69, 47),
        (67.5, 53),
        (64.5, 59.5),
        (58, 65),
        (49, 69.5),
        (40, 73.5),
        (40, 78),
        (60, 77),
        (72, 64),
        (77, 50),
        (75, 40),
    )
    cover = mask(canvas.shape, smooth(frame(front)), frame.scale * 0.5)
    coat(canvas, lit, cover, ways, frame.scale * 4.0, rng, 0.35, bird.jitter, 0.11, 1.6)
    top = ((64, 28), (70, 38), (66, 43), (60, 40), (53, 40), (46, 46), (37, 51), (30, 50), (36, 41), (46, 29), (56, 23))
    colours = lit if bird.scapulars is None else np.clip(rgb(bird.scapulars) * tone, 0, 1).astype(np.float32)
    cover = mask(canvas.shape, smooth(frame(top)), frame.scale * 0.5)
    if bird.scapulars is None:
        coat(canvas, colours, cover, ways, frame.scale * 4.2, rng, 0.32, bird.jitter, 0.13, 1.8)
    else:
        coat(canvas, lit, cover, ways, frame.scale * 4.2, rng, 0.32, bird.jitter, 0.13, 1.8)


def bill(canvas: Image, shape: Bill, frame: Frame, light: Light) -> None:
    """Both mandibles, rounded, with a shine on the upper one and a dark line between."""
    lower = _opened(shape.lower, shape.gape)
    if shape.gape:
        (ux, uy), (lx, ly) = shape.upper[4], lower[2]
        deep = (0.45 * 74 + 0.55 * (ux + lx) / 2, 0.45 * 27 + 0.55 * (uy + ly) / 2)
        mouth = ((74, 26.6), (ux, uy), deep, ((74 + lx) / 2 + 2, (28.5 + ly) / 2 + 0.8), (74, 28.5))
        lay(canvas, rgb("#5e1a1c"), mask(canvas.shape, frame(mouth), 1.5))
    for outline, dim in ((lower, 0.78), (shape.upper, 1.0)):
        cover = mask(canvas.shape, smooth(frame(outline), steps=10), 0.8)
        normal = normals(inflate(cover, 1.0))
        facing = np.clip(normal @ light.unit.astype(np.float32), 0, 1)[..., None]
        mix = np.clip(0.25 + 0.9 * facing, 0, 1) * dim
        colour = rgb(shape.dark) * (1 - mix) + rgb(shape.colour) * mix
        lay(canvas, np.clip(colour + 0.45 * facing**14, 0, 1), cover)
    gape = smooth(frame((shape.upper[6], shape.upper[5], shape.upper[4], shape.upper[3])), closed=False)
    for x, y in curve_points(gape, frame.scale * 0.2):
        _dot(canvas, x, y, frame.scale * 0.22, rgb(shape.dark) * 0.45, 0.6)
    x, y = frame((shape.nostril,))[0]
    _dot(canvas, x, y, frame.scale * 0.36, rgb(shape.dark) * 0.4, 0.8)


def _opened(outline: Outline, degrees: float) -> Outline:
    """The lower mandible turned down about the corner of the mouth."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    local = np.asarray(outline, float) - (73.5, 27)
    return [(float(73.5 + x * c - y * s), float(27 + x * s + y * c)) for x, y in local]


def curve_points(curve: np.ndarray, step: float) -> np.ndarray:
    """Points every `step` pixels along a polyline."""
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.arange(0, length[-1], step)
    return np.stack([np.interp(at, length, curve[:, i]) for i in (0, 1)], -1)


def eye(
    canvas: Image, frame: Frame, place: tuple[float, float, float], iris: str, lid: str | None, pupil: float = 0.58
) -> None:
    """A dark, wet eye: lid, iris, pupil, the sky's reflection and a catchlight."""
    x, y, radius = place
    (cx, cy), r = frame(((x, y),))[0], radius * frame.scale
    _dot(canvas, cx, cy, r * (1.32 if lid else 1.2), rgb(lid or "#0c0a0a"), 0.9)
    _dot(canvas, cx, cy, r * 1.05, rgb("#050505"))
    _dot(canvas, cx, cy, r * 0.95, rgb(iris))
    _dot(canvas, cx, cy, r * pupil, rgb("#030303"))
    dome = np.zeros((*canvas.shape[:2], 1), np.float32)
    _dot(dome, cx, cy - r * 0.35, r * 0.62, np.ones(1, np.float32))
    lay(canvas, rgb("#b9cfe6"), blur(dome[..., 0], r * 0.22) * 0.28)
    _dot(canvas, cx - r * 0.28, cy - r * 0.38, r * 0.24, rgb("#ffffff"), 0.95)
    _dot(canvas, cx + r * 0.35, cy + r * 0.45, r * 0.12, rgb("#cfd8e0"), 0.35)

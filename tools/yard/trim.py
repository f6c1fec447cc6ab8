"""What is drawn on a body's surface: lamps, grille, intakes, plates, mouldings, decals, dents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.yard.car import Body
from tools.yard.outline import rounded_box
from tools.yard.surface import Array, Surface

PANELS = tuple(
    f"{part}/paint"
    for part in (
        "body",
        "bonnet",
        "front bumper",
        "rear bumper",
        "tailgate",
        "front door",
        "rear door",
        "sliding door",
        "roof",
    )
)
NOSE = (
    *(name for name in PANELS if "door" not in name and "roof" not in name),
    "seam/black",
    "cladding/plastic",
    "underside/black",
    "window frame/black",
)
TAIL = (*NOSE, "window frame/black", "rear window/glass")


@dataclass(frozen=True)
class Trim:
    """The details that tell the trims of a model apart."""

    head: str = "block"  # headlamps: block, slim, round, tall
    tail: str = "block"  # tail lamps: block, bar, tall, round
    grille: str = "slats"  # slats, wide, split, mesh
    accent: str = "chrome"  # of the grille
    moulding: str = ""  # material of a strip along the doors
    fog: bool = True
    plastic: bool = False  # bumpers and mirrors unpainted
    wheel: str = "five"
    finish: str = "alloy"
    handles: str = "paint"
    rails: bool = False


HEADS = {
    "block": (0.30, -0.085, 0.20, 0.075, 0.04, 0.10),
    "slim": (0.30, -0.06, 0.24, 0.042, 0.03, 0.16),
    "round": (0.27, -0.09, 0.095, 0.095, 0.09, 0.0),
    "tall": (0.20, -0.05, 0.13, 0.13, 0.07, 0.25),
}
TAILS = {
    "block": (0.20, 0.84, 0.17, 0.085, 0.03),
    "bar": (0.26, 0.90, 0.26, 0.045, 0.02),
    "tall": (0.09, 1.0, 0.10, 0.24, 0.04),
    "round": (0.20, 0.82, 0.085, 0.085, 0.08),
}


def dress(body: Body, s: Surface, trim: Trim) -> Surface:
    """Lamps, grille, intakes and plates cut into the labelled surface."""
    for give in (_head, _grille, _intake, _tail, _hatch):
        s = give(body, s, trim)
    if trim.moulding:
        doors = tuple(f"{name}/paint" for name in ("front door", "rear door", "sliding door"))
        s = s.carve(
            lambda x, y, z: np.maximum(np.abs(z - 0.56) - 0.035, 0.3 - np.abs(y)), f"moulding/{trim.moulding}", doors
        )
    if trim.plastic:
        for part in ("front bumper", "rear bumper"):
            s = s.relabel(f"{part}/paint", f"{part}/plastic")
    return s


def _head(body: Body, s: Surface, trim: Trim) -> Surface:
    """Headlamps: a dark rim, a reflector, lamps behind it, an amber corner."""
    c = body.car
    inset, rise, half, tall, radius, slant = HEADS[trim.head]
    tall *= 1 + 0.5 * (c.height > 1.6)
    middle, ahead = c.width / 2 - inset, c.nose_x - 0.36

    def cover(x: Array, y: Array, z: Array, grow: float = 0.0) -> Array:
        tilted = z - slant * (np.abs(y) - middle)
        size = (half + grow, tall + grow)
        flat = rounded_box(np.abs(y), tilted, (middle, c.nose + rise), size, max(radius + grow, 0.005))
        return np.maximum(flat, ahead - x)

    def rim(x: Array, y: Array, z: Array) -> Array:
        return cover(x, y, z, -0.014)

    s = s.carve(cover, "headlamp/gloss", NOSE).carve(rim, "headlamp/reflector", ("headlamp/gloss",))
    for offset in (0.0,) if trim.head in ("round", "tall") else (-0.09, 0.07):

        def lamp(x: Array, y: Array, z: Array, offset: float = offset) -> Array:
            circle = np.hypot(np.abs(y) - middle - offset, z - c.nose - rise - slant * offset)
            return np.maximum(circle - 0.62 * min(tall, half), ahead - x)

        s = s.carve(lamp, "headlamp/beam", ("headlamp/reflector",))
    if trim.head == "round":
        return s
    return s.carve(
        lambda x, y, z: np.maximum(middle + half - 0.055 - np.abs(y), rim(x, y, z)),
        "headlamp/amber",
        ("headlamp/reflector",),
    )


def _grille(body: Body, s: Surface, trim: Trim) -> Surface:
    """Grille: a frame, bars, a badge."""
    c, accent = body.car, f"grille/{trim.accent}"
    middle, big = c.nose - 0.13, 1.5 if c.height > 1.6 else 1.0
    y0, z0, half, tall, radius = {
        "slats": (0.0, middle, c.width / 2 - 0.53, 0.068 * big, 0.03),
        "wide": (0.0, middle + 0.02, c.width / 2 - 0.48, 0.04 * big, 0.02),
        "split": (0.20, middle, 0.165, 0.065 * big, 0.05),
        "mesh": (0.0, middle - 0.05, 0.34, 0.135 * big, 0.06),
    }[trim.grille]
    pitch = {"slats": 0.046, "wide": 0.04, "split": 0.03, "mesh": 0.06}[trim.grille]
    ahead = c.nose_x - 0.30

    def frame(x: Array, y: Array, z: Array, grow: float = 0.022) -> Array:
        return np.maximum(rounded_box(np.abs(y), z, (y0, z0), (half + grow, tall + grow), radius), ahead - x)

    s = s.carve(frame, accent, NOSE).carve(lambda x, y, z: frame(x, y, z, 0.0), "grille/black", (accent,))
    bars = np.abs((s.points[:, 2] - middle) % pitch - pitch / 2) - 0.0075
    s = s.split(bars, accent, ("grille/black",))
    return s.carve(
        lambda x, y, z: np.maximum(np.hypot(y, z - middle) - 0.06, ahead - x),
        "badge/chrome",
        (*NOSE, "grille/black", accent),
    )


def _intake(body: Body, s: Surface, trim: Trim) -> Surface:
    """Below the grille: air intake, fog lamps or their blanks, the plate."""
    c = body.car
    low, ahead = c.clearance + 0.16, c.nose_x - 0.30

    def slot(x: Array, y: Array, z: Array) -> Array:
        return np.maximum(rounded_box(np.abs(y), z, (0, low), (c.width / 2 - 0.34, 0.06), 0.04), ahead - x)

    def pocket(x: Array, y: Array, z: Array) -> Array:
        circle = np.hypot(np.abs(y) - c.width / 2 + 0.22, z - low - 0.03)
        return np.maximum(circle - 0.075, ahead - x - 0.2)

    def lamp(x: Array, y: Array, z: Array) -> Array:
        circle = np.hypot(np.abs(y) - c.width / 2 + 0.22, z - low - 0.03)
        return np.maximum(circle - 0.055, ahead - x - 0.2)

    s = s.carve(slot, "intake/black", NOSE).carve(pocket, "fog lamp/black", (*NOSE, "intake/black"))
    if trim.fog:
        s = s.carve(lamp, "fog lamp/reflector", ("fog lamp/black",))
    return s.carve(
        lambda x, y, z: np.maximum(rounded_box(y, z, (0, low + 0.12), (0.26, 0.058), 0.012), ahead - x),
        "plate/plate",
        (*NOSE, "grille/black", f"grille/{trim.accent}", "intake/black"),
    )


def lifted(body: Body, trim: Trim) -> float:
    """How much higher than a saloon's the tail lamps sit."""
    c = body.car
    return max((c.height - 1.45) * 0.35 if trim.tail == "tall" else c.deck - 1.0, -0.06)


def _tail(body: Body, s: Surface, trim: Trim) -> Surface:
    """Tail lamps with their amber or white fields."""
    c, block = body.car, trim.tail == "block"
    inset, middle, half, tall, radius = TAILS[trim.tail]
    middle += lifted(body, trim)
    centre = (c.width / 2 - inset + 0.03, middle)

    def lamp(x: Array, y: Array, z: Array) -> Array:
        return np.maximum(rounded_box(np.abs(y), z, centre, (half, tall), radius), x - c.rear_x - 0.30)

    def field(x: Array, y: Array, z: Array) -> Array:
        size = (half - 0.012, tall - 0.012)
        flat = rounded_box(np.abs(y), z, centre, size, max(radius - 0.012, 0.004))
        high = middle - (0.25 if block else 0.5) * tall
        return np.maximum.reduce([flat, x - c.rear_x - 0.30, middle - tall - z, z - high])

    s = s.carve(lamp, "tail lamp/red", TAIL)
    return s.carve(field, "tail lamp/white" if block else "tail lamp/amber", ("tail lamp/red",))


def _hatch(body: Body, s: Surface, trim: Trim) -> Surface:
    """Rear plate in its recess, badge, the bumper's skirt."""
    c = body.car
    height = 0.80 + lifted(body, trim) if trim.tail != "bar" and not c.bed else 0.56
    behind = c.rear_x + 0.4

    def plate(x: Array, y: Array, z: Array, grow: float = 0.0) -> Array:
        return np.maximum(rounded_box(y, z, (0, height), (0.26 + grow, 0.058 + grow), 0.012), x - behind)

    def badge(x: Array, y: Array, z: Array) -> Array:
        return np.maximum(np.hypot(y, z - height - 0.15) - 0.05, x - behind)

    def skirt(x: Array, y: Array, z: Array) -> Array:
        half = (c.width / 2 - 0.35, 0.055)
        return np.maximum(rounded_box(y, z, (0, c.clearance + 0.13), half, 0.03), x - behind)

    s = s.carve(lambda x, y, z: plate(x, y, z, 0.03), "tailgate/black", TAIL)
    s = s.carve(plate, "plate/plate", ("tailgate/black",)).carve(badge, "badge/chrome", TAIL[:-1])
    return s.carve(skirt, "rear bumper/plastic", NOSE)

"""Details that are drawn on a body's surface: decals, stripes, dents, scratches, panels and lamps of another colour.

Each is a function (build, present, marked). `marked` says that this is where the twins differ: its faces' labels end
in a star, on the twin that lacks it too. Draws of `build.random` never depend on `present`.
"""

from __future__ import annotations

import numpy as np

from tools.yard.build import FLANK, Build
from tools.yard.outline import rounded_box
from tools.yard.panels import doors
from tools.yard.sign import SIGNS, sign
from tools.yard.surface import Array, Surface, unit

DARK = ("black", "grey", "navy", "wine", "brown")
PALE = ("white", "silver", "sand", "yellow", "sky")


def decal(build: Build, present: bool, marked: bool) -> None:
    """A sign on one flank."""
    where, shape = build.side(), SIGNS[int(build.random.integers(len(SIGNS)))]
    x0, z0, size = build.flank_spot()
    x, y, z = build.surface.points.T
    region = np.maximum(sign(shape, x - x0, z - z0, size), 0.25 - where * y)
    build.draw(region, f"decal/{build.contrast()}", FLANK, present, marked)


def stripes(build: Build, present: bool, marked: bool) -> None:
    """Two stripes over the bonnet; a band below the windscreen of buses and lorries."""
    x, y, z = build.surface.points.T
    c = build.body.car
    if build.model.kind in ("bus", "lorry"):
        region = np.maximum(np.abs(z - c.nose - 0.20) - 0.055, c.nose_x - 0.5 - x)
    else:
        region = np.maximum(np.abs(np.abs(y) - 0.17) - 0.085, np.maximum(c.cowl_x - x, c.nose - 0.12 - z))
    build.draw(region, f"decal/{build.contrast()}", FLANK, present, marked)


def band(build: Build, present: bool, marked: bool) -> None:
    """A stripe along one flank."""
    where, c = build.side(), build.body.car
    x, y, z = build.surface.points.T
    heights = {"bus": 0.98, "lorry": 1.2 if build.model.load == "flat" else 1.75, "van": 0.86}
    height = heights.get(build.model.kind, 0.50 + 0.8 * (c.clearance - 0.2))
    slope = 0.035 * (x - c.rear_x) if build.model.kind in heights else 0.03 * x
    region = np.maximum(np.abs(z - height - slope) - (0.028 if c.height < 1.9 else 0.06), 0.25 - where * y)
    build.draw(region, f"decal/{build.contrast()}", FLANK, present, marked)


def sticker(build: Build, present: bool, marked: bool) -> None:
    """A sign on the tail."""
    c, shape = build.body.car, SIGNS[int(build.random.integers(len(SIGNS)))]
    y0 = build.side() * 0.42 * (c.width / 1.8)
    places = {
        "lorry": (1.32, 0.16) if build.model.load == "flat" else (1.9, 0.30),
        "bus": (1.12, 0.15),
        "van": (1.05, 0.16),
    }
    z0, size = places.get(build.model.kind, (c.deck - 0.17, 0.10))
    x, y, z = build.surface.points.T
    region = np.maximum(sign(shape, y - y0, z - z0, size), x - c.rear_x - 0.5)
    build.draw(region, f"decal/{build.contrast()}", FLANK, present, marked)


def dent(build: Build, present: bool, marked: bool) -> None:
    """A dent with its paint scraped off in the middle."""
    where = build.side()
    x0, z0, _ = build.flank_spot()
    x0, z0 = x0 - 0.2, min(z0, 1.1) - 0.05
    x, y, z = build.surface.points.T
    flank = (where * y)[np.hypot(x - x0, z - z0) < 0.09]
    centre = np.array([x0, where * float(np.max(flank, initial=0.5)), z0])

    def around() -> tuple[Array, Array, Array]:
        """The surface's points from the centre, and where the other flank is (positive)."""
        x, y, z = build.surface.points.T
        return x - x0, z - z0, 0.25 - where * y

    if present:
        build.surface = pressed(build.surface, centre, 0.18, 0.04)
        u, v, far = around()
        ragged = np.hypot(0.8 * u, 1.3 * v) + 0.02 * np.sin(9 * np.arctan2(v, u)) - 0.075
        build.draw(np.maximum(ragged, far), "dent/primer", FLANK, True, marked)
    u, v, far = around()
    build.draw(np.maximum(np.hypot(u, v) - 0.2, far), "", FLANK, False, marked)


def pressed(s: Surface, centre: Array, radius: float, depth: float) -> Surface:
    """The surface pressed in around `centre`; its normals follow."""
    offset = s.points - centre
    gap = np.linalg.norm(offset, axis=1)
    axis = s.normals[int(gap.argmin())]
    flat = offset - (offset @ axis)[:, None] * axis
    narrow = (0.45 * radius) ** 2
    bump = np.where(gap < 2.5 * radius, np.exp(-((flat**2).sum(1)) / (2 * narrow)), 0.0)[:, None]
    normals = unit(s.normals - depth * bump * flat / narrow)
    return Surface(s.points - depth * bump * axis, normals, s.faces, s.face_labels, s.labels)


def scratch(build: Build, present: bool, marked: bool) -> None:
    """A long wavy scratch along one flank."""
    where = build.side()
    x0, z0, _ = build.flank_spot()
    x, y, z = build.surface.points.T
    wave = 0.09 * np.sin(3.1 * (x - x0)) + 0.04 * np.sin(11 * x)
    thick = 0.022 * np.clip(1 - np.abs(x - x0) / 0.75, 0.0, 1) + 0.004
    line = np.abs(z - min(z0, 1.15) - wave) - thick
    region = np.maximum.reduce([line, np.abs(x - x0) - 0.75, 0.25 - where * y])
    build.draw(region, f"scratch/{'primer' if build.colour in PALE else 'white'}", FLANK, present, marked)


def door(build: Build, present: bool, marked: bool) -> None:
    """One front door in another colour, as if from a scrapped vehicle."""
    where = build.side() if build.model.kind != "bus" else -1
    region = 0.2 - where * build.surface.points[:, 1]
    build.draw(region, "front door/spare", ("front door/paint",), present, marked)


def front_bumper(build: Build, present: bool, marked: bool) -> None:
    """A front bumper in primer."""
    everywhere = np.full(len(build.surface.points), -1.0)
    labels = ("front bumper/paint", "front bumper/plastic")
    build.draw(everywhere, "front bumper/primer", labels, present, marked)


def rear_bumper(build: Build, present: bool, marked: bool) -> None:
    """A rear bumper in primer."""
    everywhere = np.full(len(build.surface.points), -1.0)
    labels = ("rear bumper/paint", "rear bumper/plastic")
    build.draw(everywhere, "rear bumper/primer", labels, present, marked)


def fog_lamp(build: Build, present: bool, marked: bool) -> None:
    """A yellow fog lamp on one side only."""
    c, where = build.body.car, build.side()
    x, y, z = build.surface.points.T
    size = 0.12 if c.height > 2.5 else 0.075
    spot = np.hypot(where * y - c.width / 2 + 0.22, z - c.clearance - 0.19) - size
    around = ("fog lamp/black", "fog lamp/reflector", "intake/black", "cladding/plastic", "underside/black")
    build.draw(np.maximum(spot, c.nose_x - 0.5 - x), "fog lamp/yellow", (*FLANK, *around), present, marked)


def tail_lamp(build: Build, present: bool, marked: bool) -> None:
    """One tail lamp with a white cover instead of a red one."""
    region = 0.1 - build.side() * build.surface.points[:, 1]
    build.draw(region, "tail lamp/white", ("tail lamp/red",), present, marked)


def window(build: Build, present: bool, marked: bool) -> None:
    """The rear windows of one side covered with foil."""
    where, c = build.side(), build.body.car
    x, y, _ = build.surface.points.T
    before = 0.6 if build.model.kind == "bus" else float(doors(c)["front door"][:, 0].min())
    build.draw(np.maximum(x - before, 0.2 - where * y), "side window/foil", ("side window/glass",), present, marked)


def fuel_flap(build: Build, present: bool, marked: bool) -> None:
    """A fuel flap that is not of the body's colour."""
    c, where = build.body.car, build.side()
    heavy = build.model.kind in ("lorry", "bus")
    x0 = c.axles[1] + (1.15 if heavy else 0.25)
    z0 = 1.4 if build.model.kind == "lorry" else c.wheel + c.arch + 0.15
    big = 2.0 if heavy else 1.2
    x, y, z = build.surface.points.T
    region = np.maximum(rounded_box(x, z, (x0, z0), (0.10 * big, 0.09 * big), 0.03), 0.25 - where * y)
    build.draw(region, f"fuel flap/{'white' if build.colour in DARK else 'black'}", FLANK, present, marked)

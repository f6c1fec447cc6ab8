"""Which part of a car's body each of its faces is: wells, doors, bonnet, bumpers, glass."""

from __future__ import annotations

import numpy as np

from tools.yard.car import PAINT, Body, Car
from tools.yard.outline import distance, fillet, rounded_box
from tools.yard.surface import Array, Surface, smooth_intersection


def label(body: Body, surface: Surface) -> Surface:
    """Every face gets its part and material."""
    for give in (_wells, _doors, _lids, _side_windows, _screens):
        surface = give(body, surface)
    return surface


def _wells(body: Body, s: Surface) -> Surface:
    """Underside, wheel wells, a pickup's bed, black arches and sills."""
    c = body.car
    s = s.split(np.maximum(s.points[:, 2] - c.clearance - 0.09, 0.30 + s.normals[:, 2]), "underside/black")
    for axle in c.axles:
        x, y, z = s.points.T
        spoke = np.stack([x - axle, 0 * x, z - c.wheel], 1)
        circle = np.hypot(x - axle, z - c.wheel)
        inward = np.einsum("ij,ij->i", s.normals, spoke) / np.maximum(circle, 0.01)
        hidden = np.minimum(inward + 0.45, np.abs(y) - c.width / 2 + 0.2)
        s = s.split(np.maximum(circle - c.arch - 0.02, hidden), "underside/black")
    if c.bed:
        s = s.carve(lambda x, y, z: np.maximum(body.bed(x, np.abs(y), z) - 0.02, z - c.deck + 0.05), "bed/liner")
    if c.cladding:
        x, y, z = s.points.T
        arches = np.minimum.reduce([np.hypot(x - axle, z - c.wheel) for axle in c.axles]) - c.arch - 0.06
        s = s.split(np.minimum(arches, z - c.clearance - 0.17), "cladding/plastic", (PAINT,))
    return s


def _doors(body: Body, s: Surface) -> Surface:
    middle = 0.3 * body.car.width
    for name, outline in doors(body.car).items():

        def panel(x: Array, y: Array, z: Array, outline: Array = outline) -> Array:
            return np.maximum(distance(outline, x, z), middle - np.abs(y))

        def line(x: Array, y: Array, z: Array, outline: Array = outline) -> Array:
            return np.maximum(np.abs(distance(outline, x, z)) - 0.006, middle - np.abs(y))

        s = s.carve(panel, f"{name}/paint", (PAINT,))
        s = s.carve(line, "seam/black", (PAINT, f"{name}/paint"))
    return s


def _lids(body: Body, s: Surface) -> Surface:
    """Bonnet, bumpers and tailgate with the gaps around them, and the roof."""
    c = body.car
    lid = ((c.nose_x + c.cowl_x) / 2 - 0.06, 0.0), ((c.nose_x - c.cowl_x) / 2 - 0.04, c.width / 2 - 0.17)
    depth = 0.35 if c.cargo else 0.04
    parts = {
        "bonnet": lambda x, y, z: np.maximum(rounded_box(x, np.abs(y), *lid, 0.2), c.nose + 0.03 - z),
        "front bumper": lambda x, y, z: np.maximum(z - c.nose + 0.10, c.axles[0] + c.arch + 0.03 - x),
        "rear bumper": lambda x, y, z: np.maximum(z - 0.66, x - c.axles[1] + c.arch + 0.03),
        "tailgate": lambda x, y, z: np.maximum.reduce(
            [np.abs(y) - c.width / 2 + 0.2, x - c.base_x - depth, 0.66 - z, z - c.height + 0.12]
        ),
    }
    for name, field in parts.items():
        s = s.carve(field, f"{name}/paint", (PAINT,))
        s = s.split(np.abs(field(*s.points.T)) - 0.005, "seam/black", (PAINT, f"{name}/paint"))
    return s.carve(
        lambda x, y, z: np.maximum(c.height - 0.15 - z, np.abs(y) - body.roof_half + 0.05), "roof/paint", (PAINT,)
    )


def _side_windows(body: Body, s: Surface) -> Surface:
    """Panes in the flanks, a black frame around them, posts between them."""
    c = body.car
    for inset, name in ((0.060, "window frame/black"), (0.078, "side window/glass")):
        x, y, z = s.points.T
        field = np.maximum(daylight(body, x, z, inset), 0.42 * c.width - 0.24 - np.abs(y))
        field = np.maximum(field, 0.42 - np.abs(s.normals[:, 1]))
        if c.cargo:
            field = np.maximum(field, float(doors(c)["front door"][:, 0].min()) + 0.10 - x)
        if name == "side window/glass":
            for post, half in posts(c):
                field = np.maximum(field, half - np.abs(x - post))
        s = s.split(field, name)
    return s


def _screens(body: Body, s: Surface) -> Surface:
    """Windscreen and rear window with their black edges."""
    c = body.car
    for margin, name in ((0.055, "window frame/black"), (0.075, "windscreen/glass")):
        x, y, z = s.points.T
        u, _, h = body.warp(x, y, z)
        low, high = c.bonnet + margin * 0.5 - h, h - c.height + 0.03 + margin
        ahead = np.maximum(c.header_x - 0.05 - u, 0.2 - s.normals[:, 0])
        s = s.split(np.maximum.reduce([beside(body, y, z) + margin, low, high, ahead]), name)
    if c.cargo:
        return s
    foot = (c.deck if c.base > 0.3 or c.bed else c.belt + c.rise) + 0.01
    for margin, name in ((0.085, "window frame/black"), (0.105, "rear window/glass")):
        x, y, z = s.points.T
        u, _, h = body.warp(x, y, z)
        low, high = foot + margin * 0.5 - h, h - c.height + 0.05 + margin
        behind = np.maximum(u - c.tail_x - 0.06, 0.2 + s.normals[:, 0])
        s = s.split(np.maximum.reduce([beside(body, y, z) + margin, low, high, behind]), name)
    return s


def daylight(body: Body, x: Array, z: Array, inset: float) -> Array:
    """The opening of the side windows before posts: the cabin's outline drawn in, above the belt line."""
    c = body.car
    belt = c.belt + 0.035 + c.rise * np.clip((c.cowl_x - x) / 2.4, 0, 1)
    opening = np.maximum(body.upper(x, z) + inset, belt - z)
    return smooth_intersection(opening, np.maximum(x - c.cowl_x + 0.16, -9.0), 0.05)


def beside(body: Body, y: Array, z: Array) -> Array:
    """How far a point is outside the cabin's width at its height."""
    c = body.car
    low, high = c.width / 2 - 0.065, body.roof_half
    return np.abs(y) - (low + (high - low) * np.clip((z - c.belt) / (c.height - 0.055 - c.belt), 0, 1))


def doors(c: Car) -> dict[str, Array]:
    """Outlines of the doors in side view, frames included; a rear door makes room for the wheel."""
    sill, top, corner = c.clearance + 0.16, c.height - 0.10, c.axles[1] + c.arch + 0.06
    outlines = {}
    for name, (start, stop) in _spans(c).items():
        cut = corner if name == "rear door" and stop < corner else stop
        lean = 0.15 if name == "front door" else 0.0
        step, foot = (0.55, 0.46) if cut != stop else (c.belt, sill + 0.06)
        outlines[name] = fillet(
            [
                (start, sill, 0.06),
                (start, c.belt, 0.1),
                (start - lean, top, 0.05),
                (stop, top, 0.1),
                (stop, step, 0.1),
                (cut, foot, 0.06),
                (cut, sill, 0.06),
            ]
        )
    return outlines


def _spans(c: Car) -> dict[str, tuple[float, float]]:
    """(front end, rear end) of each door."""
    front = min(c.cowl_x + 0.02, c.axles[0] - c.arch - 0.08)
    if c.cargo:
        return {"front door": (front, front - 1.0), "sliding door": (front - 1.06, front - 2.15)}
    if c.doors == 2:
        post = front - 1.25
        return {"front door": (front, max(post, c.base_x + 0.16) if c.bed else post)}
    end = max(c.axles[1] + 0.10, c.base_x + 0.12) if c.bed else c.axles[1] + 0.02
    post = (front + end) / 2 - 0.05
    return {"front door": (front, post), "rear door": (post, end)}


def posts(c: Car) -> list[tuple[float, float]]:
    """(x, half width) of the posts between side windows."""
    ends = {name: float(outline[:, 0].min()) for name, outline in doors(c).items()}
    rear = [(ends["rear door"] + 0.02, 0.035)] if "rear door" in ends else []
    return [(ends["front door"], 0.05), *rear]

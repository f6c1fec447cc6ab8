"""A vehicle from its plan: body, trim, fittings, accessories, and the part in which it differs from its twin."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tools.yard import fitting
from tools.yard.build import Build
from tools.yard.car import PAINT, Body
from tools.yard.coach import Coach
from tools.yard.detail import DETAILS
from tools.yard.fleet import MODELS
from tools.yard.load import load
from tools.yard.panels import label
from tools.yard.primitive import blob, join, tube
from tools.yard.surface import Array, Surface, from_solid
from tools.yard.trim import dress
from tools.yard.twins import Vehicle
from tools.yard.wheel import wheel


@lru_cache(maxsize=2)
def shell(model: int) -> tuple[Body, Surface]:
    """The body of a model with its trim, nothing mounted."""
    entry = MODELS[model]
    c = entry.car
    if entry.kind not in ("lorry", "bus"):
        body = Body(c)
        return body, dress(body, label(body, body.surface()), entry.trim)
    coach = Coach(c, entry.cab)
    surface = dress(coach, coach.label(from_solid(coach.solid, *coach.extent(), 0.045, PAINT)), entry.trim)
    return coach, join([surface, load(c, entry.cab, entry.load)]) if entry.cab else surface


def build(vehicle: Vehicle) -> Build:
    """All pieces of a vehicle. Twins get the same draws: they differ in `vehicle.differs` alone."""
    body, surface = shell(vehicle.model)
    shape = fitting.Shape(surface)
    made = Build(
        vehicle.kind, body, surface, shape, vehicle.colour, np.random.default_rng((vehicle.seed, vehicle.pair))
    )
    _mount(made, vehicle)
    for name in (*vehicle.accessories, vehicle.differs):
        made.random = np.random.default_rng((vehicle.seed, vehicle.pair, list(DETAILS).index(name)))
        if name == vehicle.differs:
            DETAILS[name][0](made, vehicle.present, True)
        else:
            DETAILS[name][0](made, True, False)
    for name in [name for name in made.pieces if name.endswith("spare")]:
        del made.pieces[name]
    return made


def _mount(made: Build, vehicle: Vehicle) -> None:
    c, body, shape, trim = made.body.car, made.body, made.shape, made.model.trim
    wide = 0.28 if made.model.kind in ("lorry", "bus") else 0.22
    covered = wheel(c.wheel, wide, trim.wheel, trim.finish)
    bare = wheel(
        c.wheel,
        wide,
        "lorry" if made.model.kind in ("lorry", "bus") else "steel",
        "steel" if trim.finish != "steel" else "white",
    )
    for end, axle in zip(("front", "rear"), c.axles, strict=True):
        for name, piece in (("wheel", covered), ("spare", bare)):
            left = piece.shift(axle, c.width / 2 - wide / 2 - 0.005, c.wheel)
            made.pieces[f"left {end} {name}"], made.pieces[f"right {end} {name}"] = left, left.mirror()
    unpainted = "plastic" if trim.plastic else "paint"
    if made.model.kind in ("lorry", "bus"):
        made.pieces.update(_coach_fittings(made))
        return
    made.pieces["left mirror"], made.pieces["right mirror"] = fitting.mirrors(body, shape, unpainted)
    made.pieces["handles"] = fitting.handles(body, shape, trim.handles)
    made.pieces["wipers"] = fitting.wipers(body, shape)
    made.pieces["exhaust"] = fitting.exhaust(
        body, shape, (1, -1) if made.model.trim_name in ("sport", "executive") else (1,)
    )
    made.pieces["cabin"] = fitting.cabin(body, vehicle.seat)
    if trim.rails:
        made.pieces["rails"] = fitting.rails(body, shape, "silver")
    if made.model.kind in ("saloon", "SUV"):
        made.pieces["fin"] = fitting.aerial(body, shape, "fin")


def _coach_fittings(made: Build) -> dict[str, Surface]:
    """Mirrors on arms, seats."""
    c = made.body.car
    x, y, z = c.nose_x - 0.12, c.width / 2 + 0.17, c.height - (0.75 if made.model.cab else 0.7)
    arm = tube(
        [(x - 0.3, c.width / 2 - 0.12, z + 0.42), (x - 0.05, y, z + 0.40), (x, y, z + 0.15)], 0.02, "mirror/black"
    )
    left = join([blob((x, y, z), (0.07, 0.11, 0.20), 0.06, "mirror/plastic", 0.025), arm])
    made_pieces = {"left mirror": left, "right mirror": left.mirror()}
    rows = np.arange(c.nose_x - 1.6, c.rear_x + 0.6, -0.85) if not made.model.cab else np.array([c.nose_x - 1.05])
    seats = [
        blob((float(x), s * 0.62, c.belt - 0.05), (0.08, 0.40, 0.36), 0.07, "interior/seat", 0.05)
        for x in rows
        for s in (-1, 1)
    ]
    made_pieces["cabin"] = join(seats)
    return made_pieces


def whole(made: Build) -> tuple[Surface, Surface | None]:
    """(the vehicle, the ghosts of what it lacks) as one surface each."""
    return join([made.surface, *made.pieces.values()]), join(made.ghosts) if made.ghosts else None


def coarse(surface: Surface, count: int = 4000) -> Array:
    """Some of a surface's points: enough to frame it."""
    used = np.unique(surface.faces)
    return surface.points[used[:: max(1, len(used) // count)]]

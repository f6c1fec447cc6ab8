"""Bodies of cars, vans and pickups: a solid from outlines of its side and its section, labelled part by part.

x points forward from between the axles, y to the left, z up from the ground; metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.yard.outline import rounded_box, tabulate
from tools.yard.surface import Array, Surface, from_solid, smooth_intersection, smooth_union

PAINT = "body/paint"


@dataclass(frozen=True)
class Car:
    """The proportions of one model. `base` is the foot of the rear window; `bed` makes a pickup, `cargo` a van."""

    length: float
    width: float
    height: float
    wheelbase: float
    front: float  # overhang before the front axle
    cowl: float  # foot of the windscreen, from the front axle backwards
    header: float  # its upper edge, from the foot backwards
    tail: float  # end of the roof, from the rear end forwards
    base: float  # foot of the rear window, from the rear end forwards
    bonnet: float = 0.98
    nose: float = 0.74
    belt: float = 0.94
    rise: float = 0.05  # of the belt line towards the rear
    deck: float = 1.0
    clearance: float = 0.20
    wheel: float = 0.32
    doors: int = 4
    tumble: float = 0.20  # how far the cabin leans in
    bow: float = 0.16  # how far the nose is swept back at the corners
    edge: float = 0.10  # rounding
    bed: bool = False
    cargo: bool = False
    cladding: bool = False  # black arches and sills

    @property
    def nose_x(self) -> float:
        return self.wheelbase / 2 + self.front

    @property
    def rear_x(self) -> float:
        return self.nose_x - self.length

    @property
    def cowl_x(self) -> float:
        return self.wheelbase / 2 - self.cowl

    @property
    def header_x(self) -> float:
        return self.cowl_x - self.header

    @property
    def axles(self) -> tuple[float, float]:
        return self.wheelbase / 2, -self.wheelbase / 2

    @property
    def arch(self) -> float:
        return self.wheel + 0.065

    @property
    def tail_x(self) -> float:
        return self.rear_x + self.tail

    @property
    def base_x(self) -> float:
        return self.rear_x + self.base


class Body:
    """The solid of a car: outlines as tables, and the distances that solid and labels share."""

    def __init__(self, car: Car) -> None:
        self.car = car
        c, r = car, car.edge
        f, b = c.nose_x, c.rear_x
        deck = c.deck if not (c.cargo) else c.belt
        self.lower = tabulate(
            [
                (f - 0.28, c.clearance, 0.08),
                (f - 0.04, c.clearance + 0.10, 0.12),
                (f, 0.50, 0.18),
                (f - 0.06, c.nose, 2.2 * r),
                (f - 0.42, c.nose + 0.62 * (c.bonnet - c.nose), 0.5),
                (c.cowl_x + 0.12, c.bonnet, 0.30),
                (c.cowl_x - 0.3, c.belt + 0.02, 0.2),
                (b + max(c.base, 0.3) + 0.1, c.belt + c.rise, 0.2),
                (b + 0.05, deck, 1.2 * r),
                (b + 0.035, 0.74, 0.12),
                (b, 0.52, 0.14),
                (b + 0.05, c.clearance + 0.14, 0.10),
                (b + 0.30, c.clearance + 0.04, 0.10),
            ]
        )
        low = c.belt - 0.25
        self.upper = tabulate(
            [
                (c.cowl_x + 0.24, low, 0.0),
                (c.cowl_x, c.bonnet - 0.02, 0.10),
                (c.header_x, c.height - 0.055, 0.38),
                (0.55 * c.header_x + 0.45 * c.tail_x, c.height, 0.9),
                (c.tail_x, c.height - (0.05 if c.cargo else 0.085), 0.32 if c.tail > 0.7 else 0.16),
                (c.base_x, deck - 0.02, 0.08),
                (c.base_x - 0.03, low, 0.0),
            ]
        )
        w = c.width / 2
        self.section = tabulate(
            [
                (-0.2, c.clearance - 0.02, 0.0),
                (w - 0.13, c.clearance - 0.02, 0.10),
                (w - 0.035, c.clearance + 0.18, 0.12),
                (w - 0.02, 0.46, 0.2),
                (w, 0.66, 0.10),
                (w - 0.018, c.belt - 0.10, 0.14),
                (w - 0.10, c.belt + 0.05, 0.12),
                (w - 0.34, c.belt + 0.22, 0.1),
                (-0.2, c.belt + 0.30, 0.0),
            ],
            step=0.01,
        )
        self.roof_half = w - 0.075 - c.tumble
        self.cabin = tabulate(
            [
                (-0.2, low - 0.3, 0.0),
                (w - 0.06, low - 0.3, 0.0),
                (w - 0.065, c.belt, 0.10),
                (self.roof_half, c.height - 0.055, 0.20),
                (self.roof_half - 0.28, c.height + 0.08, 0.2),
                (-0.2, c.height + 0.12, 0.0),
            ],
            step=0.01,
        )

    def warp(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        """Coordinates in which the plan is straight: nose and tail swept back, flanks drawn in, roof crowned."""
        c = self.car
        across = np.minimum(np.abs(y) / (c.width / 2), 1.1)
        middle, half = (c.nose_x + c.rear_x) / 2, c.length / 2
        along = (x - middle) / half
        front, rear = (np.clip((s * along - 0.25) / 0.75, 0, 1) for s in (1, -1))
        bent = x + c.bow * across**2.4 * front - 0.11 * across**3 * rear
        narrow = np.abs(y) * (1 + 0.045 * front**2 + 0.035 * rear**2)
        return bent, narrow, z + 0.035 * across**2 * np.clip((z - 0.7) / 0.3, 0, 1)

    def solid(self, x: Array, y: Array, z: Array) -> Array:
        c, r = self.car, self.car.edge
        u, v, h = self.warp(x, y, z)
        lower = smooth_intersection(self.lower(u, h), self.section(v, h), r)
        upper = smooth_intersection(self.upper(u, h), self.cabin(v, h), 1.2 * r)
        body = smooth_union(lower, upper, 0.05)
        for axle in c.axles:
            circle = np.hypot(x - axle, z - c.wheel)
            lip = np.maximum(circle - c.arch - 0.055, np.abs(v - c.width / 2 + 0.06) - 0.068)
            body = smooth_union(body, np.maximum(lip, c.clearance + 0.02 - z), 0.06)
        for axle in c.axles:
            circle = np.hypot(x - axle, z - c.wheel)
            well = np.maximum(circle - c.arch, c.width / 2 - 0.36 - v)
            body = smooth_intersection(body, -well, 0.012)
        if c.bed:
            body = smooth_intersection(body, -self.bed(x, y, z), 0.03)
        return body

    def bed(self, x: Array, y: Array, z: Array) -> Array:
        """The hole of a pickup's bed."""
        c = self.car
        plan = rounded_box(
            x, y, ((c.base_x + c.rear_x) / 2 - 0.02, 0), ((c.base_x - c.rear_x) / 2 - 0.11, c.width / 2 - 0.13), 0.05
        )
        return np.maximum(plan, 0.62 - z)

    def surface(self, step: float = 0.03) -> Surface:
        c = self.car
        low = np.array([c.rear_x - 0.15, 0, c.clearance - 0.12])
        high = np.array([c.nose_x + 0.15, c.width / 2 + 0.12, c.height + 0.14])
        return from_solid(self.solid, low, high, step, PAINT)

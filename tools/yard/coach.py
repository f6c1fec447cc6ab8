"""Bodies of buses and lorries: boxes with rounded edges, a band of windows, a cab."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tools.yard.car import PAINT, Body, Car
from tools.yard.outline import distance, fillet, rounded_box, tabulate
from tools.yard.surface import Array, Surface, smooth_intersection


class Coach(Body):
    """A bus, or a lorry's cab (`cab` metres long): the side outline and the section of a box."""

    def __init__(self, car: Car, cab: float = 0.0) -> None:
        self.car, self.cab = car, cab
        c, f, w = car, car.nose_x, car.width / 2
        self.back = f - cab if cab else c.rear_x
        rake = 0.26 if cab else 0.22
        self.side = tabulate(
            [
                (f - 0.05, c.clearance, 0.10),
                (f, 0.55, 0.15),
                (f - 0.02, c.belt + 0.05, 0.25),
                (f - rake, c.height - 0.12, 0.35),
                (f - rake - 0.35, c.height, 0.25),
                (self.back + 0.05, c.height - (0.04 if cab else 0.0), 0.18),
                (self.back, c.height - 0.35, 0.2),
                (self.back, c.clearance + 0.15, 0.12),
                (self.back + 0.2, c.clearance, 0.08),
            ]
        )
        self.section = tabulate(
            [
                (-0.3, c.clearance, 0),
                (w - 0.06, c.clearance, 0.07),
                (w, 0.7, 0.2),
                (w, c.belt, 0.3),
                (w - c.tumble, c.height - 0.02, 0.22),
                (-0.3, c.height + 0.05, 0),
            ],
            step=0.01,
        )
        self.roof_half = w - c.tumble - 0.05
        self.top = c.height - (0.22 if cab else 0.42)  # upper edge of the windows

    def warp(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        c = self.car
        across = np.minimum(np.abs(y) / (c.width / 2), 1.1)
        front = np.clip((x - c.nose_x + 1.2) / 1.2, 0, 1)
        rear = np.clip((c.rear_x + 0.8 - x) / 0.8, 0, 1) * (self.cab == 0)
        return x + c.bow * across**3 * front - 0.08 * across**4 * rear, np.abs(y) * (1 + 0.03 * front**2), z

    def solid(self, x: Array, y: Array, z: Array) -> Array:
        c = self.car
        u, v, h = self.warp(x, y, z)
        body = smooth_intersection(self.side(u, h), self.section(v, h), c.edge)
        for axle in c.axles:
            well = np.maximum(np.hypot(x - axle, z - c.wheel) - c.arch, c.width / 2 - 0.45 - v)
            body = smooth_intersection(body, -well, 0.015)
        return body

    def extent(self) -> tuple[Array, Array]:
        c = self.car
        low = np.array([self.back - 0.15, 0, c.clearance - 0.12])
        return low, np.array([c.nose_x + 0.15, c.width / 2 + 0.12, c.height + 0.14])

    def label(self, s: Surface) -> Surface:
        """Every face gets its part and material."""
        c = self.car
        s = s.split(np.maximum(s.points[:, 2] - c.clearance - 0.09, 0.30 + s.normals[:, 2]), "underside/black")
        for axle in c.axles:

            def well(x: Array, y: Array, z: Array, axle: float = axle) -> Array:
                return np.maximum(np.hypot(x - axle, z - c.wheel) - c.arch - 0.015, np.abs(y) - c.width / 2 + 0.1)

            def lip(x: Array, y: Array, z: Array, axle: float = axle) -> Array:
                return np.maximum(np.hypot(x - axle, z - c.wheel) - c.arch - 0.05, c.clearance + 0.12 - z)

            s = s.carve(well, "underside/black").carve(lip, "cladding/plastic", (PAINT,))
        if self.cab:
            s = s.carve(self._panel, "grille/black", (PAINT,))
        s = self._screen(s)
        s = self._cab_doors(s) if self.cab else self._bus_doors(self._rear_window(self._band(s)))
        return self._lids(s)

    def _panel(self, x: Array, y: Array, z: Array) -> Array:
        """The black strip below a lorry's windscreen."""
        c = self.car
        strip = rounded_box(np.abs(y), z, (0, c.belt - 0.20), (c.width / 2 - 0.22, 0.07), 0.04)
        return np.maximum(strip, c.nose_x - 0.4 - x)

    def _screen(self, s: Surface) -> Surface:
        c = self.car
        low = c.belt - (0.18 if not self.cab else 0.0)
        for margin, name in ((0.0, "window frame/black"), (0.035, "windscreen/glass")):
            _, y, z = s.points.T
            half = (c.width / 2 - 0.10 - margin, (self.top - low) / 2 - margin)
            pane = rounded_box(np.abs(y), z, (0, (low + self.top) / 2), half, 0.12)
            s = s.split(np.maximum(pane, 0.45 - s.normals[:, 0]), name)
        return s

    def _band(self, s: Surface) -> Surface:
        """A bus's side windows."""
        c = self.car
        middle, half = (c.belt + self.top) / 2, (self.top - c.belt) / 2
        x, _, z = s.points.T
        band = rounded_box(x, z, ((c.nose_x + c.rear_x) / 2 - 0.12, middle), (c.length / 2 - 0.34, half), 0.08)
        s = s.split(np.maximum(band, 0.5 - np.abs(s.normals[:, 1])), "window frame/black", (PAINT,))
        edges = np.linspace(c.rear_x + 0.38, c.nose_x - 0.62, 6)
        for start, stop in pairwise(edges):
            x, _, z = s.points.T
            pane = rounded_box(x, z, ((start + stop) / 2, middle), ((stop - start) / 2 - 0.035, half - 0.04), 0.06)
            field = np.maximum(pane, 0.5 - np.abs(s.normals[:, 1]))
            s = s.split(field, "side window/glass", ("window frame/black",))
        return s

    def _rear_window(self, s: Surface) -> Surface:
        c = self.car
        low = c.belt + 0.15
        for margin, name in ((0.0, "window frame/black"), (0.04, "rear window/glass")):
            _, y, z = s.points.T
            half = (c.width / 2 - 0.35 - margin, (self.top - low) / 2 - margin)
            pane = rounded_box(np.abs(y), z, (0, (low + self.top) / 2), half, 0.1)
            s = s.split(np.maximum(pane, 0.5 + s.normals[:, 0]), name)
        return s

    def _opening(self, start: float, stop: float) -> Array:
        low, top = self.car.clearance + 0.08, self.top + 0.03
        return fillet([(start, low, 0.05), (start, top, 0.1), (stop, top, 0.05), (stop, low, 0.05)])

    def _cab_doors(self, s: Surface) -> Surface:
        c = self.car
        start, stop = c.nose_x - 0.42, c.nose_x - 1.52
        outline = self._opening(start, stop)
        corners = [(start - 0.02, c.belt, 0.05), (start - 0.14, self.top, 0.1)]
        pane = fillet([*corners, (stop, self.top, 0.08), (stop, c.belt, 0.08)])

        def beside(s: Surface, flat: Array) -> Array:
            return np.maximum(flat, 0.3 - np.abs(s.normals[:, 1]))

        s = s.split(beside(s, distance(outline, *s.points.T[[0, 2]])), "front door/paint", (PAINT,))
        for grow, name in ((0.01, "window frame/black"), (0.035, "side window/glass")):
            s = s.split(beside(s, distance(pane, *s.points.T[[0, 2]]) + grow), name)
        return s.split(beside(s, np.abs(distance(outline, *s.points.T[[0, 2]])) - 0.008), "seam/black")

    def _bus_doors(self, s: Surface) -> Surface:
        """Two doors on the right, each with two tall panes."""
        c = self.car
        spans = {"front door": (c.nose_x - 0.30, c.axles[0] + c.arch + 0.10), "rear door": (0.35, -0.75)}

        def beside(s: Surface, flat: Array) -> Array:
            return np.maximum.reduce([flat, 0.3 - np.abs(s.normals[:, 1]), 0.2 + s.points[:, 1]])

        for name, (start, stop) in spans.items():
            outline = self._opening(start, stop)
            s = s.split(beside(s, distance(outline, *s.points.T[[0, 2]])), f"{name}/paint", (PAINT,))
            half = (abs(start - stop) / 4 - 0.05, (self.top - 0.55) / 2 - 0.03)
            for middle in (start * 0.75 + stop * 0.25, start * 0.25 + stop * 0.75):
                x, _, z = s.points.T
                pane = rounded_box(x, z, (middle, (self.top + 0.55) / 2), half, 0.06)
                s = s.split(beside(s, pane), "side window/glass")
            s = s.split(beside(s, np.abs(distance(outline, *s.points.T[[0, 2]])) - 0.008), "seam/black")
        return s

    def _lids(self, s: Surface) -> Surface:
        c = self.car
        parts = {
            "front bumper": lambda x, y, z: np.maximum(z - c.nose + 0.22, c.nose_x - 0.45 - x),
            "rear bumper": lambda x, y, z: np.maximum(z - 0.62, x - c.rear_x - 0.25),
            "tailgate": lambda x, y, z: np.maximum(x - c.rear_x - 0.3, np.abs(y) - c.width / 2 + 0.15),
        }
        for name in ("front bumper",) if self.cab else parts:
            s = s.carve(parts[name], f"{name}/paint", (PAINT,))
            s = s.split(np.abs(parts[name](*s.points.T)) - 0.006, "seam/black", (PAINT, f"{name}/paint"))
        return s.carve(lambda x, y, z: c.height - 0.12 - z, "roof/paint", (PAINT,))

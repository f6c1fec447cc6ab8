"""What is mounted on a body: mirrors, handles, wipers, rails, racks, boxes, aerials, seats."""

from __future__ import annotations

import numpy as np

from tools.yard.car import Body
from tools.yard.panels import doors
from tools.yard.primitive import blob, box, join, lathe, tube
from tools.yard.surface import Surface


class Shape:
    """Where a surface is: its flank at (x, z), its top at (x, y)."""

    def __init__(self, surface: Surface) -> None:
        self.points = surface.points[np.unique(surface.faces)]

    def _highest(self, axes: tuple[int, int], at: tuple[float, float], axis: int) -> float:
        gap = np.hypot(self.points[:, axes[0]] - at[0], self.points[:, axes[1]] - at[1])
        return float(self.points[gap < max(0.05, float(gap.min()) + 1e-6), axis].max())

    def flank(self, x: float, z: float) -> float:
        return self._highest((0, 2), (x, z), 1)

    def top(self, x: float, y: float) -> float:
        return self._highest((0, 1), (x, y), 2)


def both(piece: Surface) -> Surface:
    return join([piece, piece.mirror()])


def mirrors(body: Body, shape: Shape, cap: str) -> tuple[Surface, Surface]:
    """The left and the right mirror, their caps of the material `cap`."""
    c = body.car
    x, z = c.cowl_x - 0.20, c.belt + 0.12
    y = shape.flank(x, z) + 0.13
    big = 1.3 if c.height > 1.6 else 1.0
    cap_piece = blob((x, y, z), (0.055, 0.105 * big, 0.068 * big), 0.05, f"mirror/{cap}", 0.018)
    left = join(
        [
            cap_piece,
            box((x - 0.052, y, z), (0.02, 0.16 * big, 0.10 * big), "mirror/gloss", 0.005),
            tube([(x + 0.02, y - 0.18, z - 0.07), (x, y - 0.08, z - 0.05)], 0.022, "mirror/black"),
        ]
    )
    return left, left.mirror()


def handles(body: Body, shape: Shape, material: str) -> Surface:
    c, pieces = body.car, []
    for outline in doors(c).values():
        x, z = float(outline[:, 0].min()) + 0.16, c.belt - 0.10
        pieces.append(box((x, shape.flank(x, z) + 0.012, z), (0.17, 0.035, 0.032), f"handle/{material}", 0.012))
    return both(join(pieces))


def wipers(body: Body, shape: Shape) -> Surface:
    c, bars = body.car, []
    for start in (0.08, -0.45):
        path = []
        for t in np.linspace(0, 1, 6):
            y = start + 0.52 * t
            x = c.cowl_x + 0.0 - 0.10 * t - c.bow * 0.5 * abs(y / c.width * 2) ** 2.4
            path.append((x, y, shape.top(x, abs(y)) + 0.012))
        bars.append(tube(path, 0.009, "wiper/black", 6))
    return join(bars)


def rails(body: Body, shape: Shape, material: str) -> Surface:
    """Roof rails along both edges."""
    c, y = body.car, body.roof_half - 0.03
    start, stop = c.header_x - 0.18, c.tail_x + 0.10
    xs = np.linspace(start, stop, 9)
    lift = 0.045 * np.minimum(1, 6 * np.minimum(np.arange(9), np.arange(9)[::-1]) / 8)
    return both(
        tube(
            [(x, y, shape.top(x, y) + 0.005 + up) for x, up in zip(xs, lift, strict=True)],
            0.016,
            f"roof rack/{material}",
        )
    )


def bars(body: Body, shape: Shape, material: str = "silver") -> Surface:
    """Two cross bars with feet."""
    c, pieces = body.car, []
    for x in (c.header_x - 0.30, c.header_x - 0.30 - min(0.8, 0.6 * (c.header_x - c.tail_x))):
        y = body.roof_half - 0.02
        z = shape.top(x, 0.0) + 0.085
        pieces.append(box((x, 0, z), (0.06, 2 * y, 0.028), f"roof rack/{material}", 0.012))
        pieces.append(
            both(
                box(
                    (x, y, (z + shape.top(x, y)) / 2 + 0.01),
                    (0.09, 0.05, z - shape.top(x, y) + 0.03),
                    "roof rack/black",
                    0.012,
                )
            )
        )
    return join(pieces)


def roof_box(body: Body, shape: Shape, material: str) -> Surface:
    c = body.car
    x = c.header_x - 0.78
    return blob((x, -0.12, shape.top(x, 0.0) + 0.29), (0.92, 0.36, 0.17), 0.14, f"roof box/{material}", 0.035)


def ladder(body: Body, shape: Shape) -> Surface:
    """A ladder on the roof, on two cross bars."""
    c = body.car
    start, stop = c.header_x - 0.15, max(c.tail_x + 0.1, c.header_x - 2.4)
    z = shape.top((start + stop) / 2, 0) + 0.13
    sides = [tube([(start, y, z), (stop, y, z)], 0.022, "roof rack/silver") for y in (0.05, 0.42)]
    rungs = [
        tube([(x, 0.05, z), (x, 0.42, z)], 0.016, "roof rack/silver", 6) for x in np.arange(stop + 0.15, start, 0.3)
    ]
    return join([*sides, *rungs])


def aerial(body: Body, shape: Shape, kind: str) -> Surface:
    c = body.car
    x = c.tail_x + 0.22
    z = shape.top(x, 0.0)
    if kind == "fin":
        return blob((x, 0, z + 0.03), (0.11, 0.03, 0.055), 0.028, "aerial/black", 0.015)
    return tube([(x, 0, z - 0.02), (x - 0.18, 0, z + 0.25), (x - 0.42, 0, z + 0.62)], 0.011, "aerial/black", 6)


def beacon(x: float, y: float, z: float) -> Surface:
    """An amber warning lamp."""
    lamp = lathe([(0.075, 0.04), (0.075, 0.14), (0.05, 0.19), (0.005, 0.20)][::-1], "beacon/amber", 20)
    foot = lathe([(0.09, 0.0), (0.09, 0.04), (0.06, 0.045)][::-1], "beacon/black", 20)
    piece = join([lamp, foot])
    upright = piece.points[:, [0, 2, 1]] * np.array([1, -1, 1])
    normals = piece.normals[:, [0, 2, 1]] * np.array([1, -1, 1])
    return Surface(upright, normals, piece.faces, piece.face_labels, piece.labels).shift(x, y, z)


def exhaust(body: Body, shape: Shape, sides: tuple[int, ...]) -> Surface:
    c = body.car
    z = c.clearance + 0.06
    return join(
        [
            tube([(c.rear_x + 0.4, s * 0.48, z), (c.rear_x + 0.035, s * 0.48, z)], 0.035, "exhaust/chrome", 12)
            for s in sides
        ]
    )


def cabin(body: Body, material: str) -> Surface:
    """Seats, dashboard and steering wheel, seen through the panes."""
    c, pieces = body.car, []
    row = c.header_x + 0.02
    pieces.append(
        blob((c.cowl_x - 0.18, 0, c.belt - 0.10), (0.22, c.width / 2 - 0.16, 0.12), 0.08, "interior/liner", 0.04)
    )
    rows = [row - 0.05] if c.cargo or (c.bed and c.doors == 2) else [row - 0.05, row - 0.95]
    for x in rows:
        for y in (0.36, -0.36):
            pieces.append(blob((x - 0.16, y, c.belt - 0.12), (0.10, 0.24, 0.30), 0.08, f"interior/{material}", 0.04))
            pieces.append(blob((x - 0.20, y, c.belt + 0.24), (0.05, 0.12, 0.085), 0.045, f"interior/{material}", 0.025))
    angle = np.linspace(0, 2 * np.pi, 17)
    hub = np.array([c.cowl_x - 0.46, 0.36, c.belt + 0.0])
    ring = hub + 0.18 * np.stack([0.35 * np.sin(angle), np.cos(angle), 0.93 * np.sin(angle)], 1)
    pieces.append(tube(ring, 0.016, "interior/black", 6))
    return join(pieces)

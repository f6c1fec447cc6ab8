"""What a lorry carries behind its cab: a box or a flat bed, on a frame."""

from __future__ import annotations

import numpy as np

from tools.yard.car import Car
from tools.yard.primitive import blob, box, join, sheet, tube
from tools.yard.surface import Surface


def load(c: Car, cab: float, kind: str) -> Surface:
    """A `box` or a `flat` bed, and the frame below it."""
    start, stop = c.nose_x - cab - 0.18, c.rear_x
    cargo = _box(c, start, stop) if kind == "box" else _flat(c, start, stop)
    return join([cargo, _frame(c, start, stop)])


def _box(c: Car, start: float, stop: float) -> Surface:
    centre = ((start + stop) / 2, 0.0, (c.height + 1.35) / 2)
    half = ((start - stop) / 2, c.width / 2 + 0.03, (c.height - 0.55) / 2)
    shell = blob(centre, half, 0.05, "load/cover", 0.05)
    shell = shell.carve(
        lambda x, y, z: np.minimum(np.abs(z - 0.95), np.abs(z - c.height - 0.4)) - 0.05, "load/silver", ("load/cover",)
    )
    edge = np.minimum(np.abs(shell.points[:, 0] - start), np.abs(shell.points[:, 0] - stop)) - 0.05
    shell = shell.split(np.maximum(edge, 0.4 - np.abs(shell.normals[:, 1])), "load/silver", ("load/cover",))
    y = np.abs(shell.points[:, 1])
    gaps = np.minimum(y, np.abs(y - c.width / 2 + 0.06)) - 0.012
    shell = shell.split(np.maximum(gaps, 0.5 + shell.normals[:, 0]), "load/black")
    bolts = [
        tube([(stop - 0.02, y, 1.1), (stop - 0.02, y, c.height + 0.2)], 0.018, "load/silver", 6) for y in (-0.25, 0.25)
    ]
    return join([shell, *bolts])


def _flat(c: Car, start: float, stop: float) -> Surface:
    middle, length, side = (start + stop) / 2, start - stop, c.width / 2
    pieces = [box((middle, 0, 1.05), (length, c.width, 0.12), "load/wood", 0.02)]
    for y in (-1, 1):
        for x in np.linspace(start - length / 6, stop + length / 6, 3):
            pieces.append(box((x, y * (side - 0.02), 1.32), (length / 3 - 0.05, 0.04, 0.44), "load/cover", 0.015))
        corner = (stop if y > 0 else start, y * (side + 0.002), 1.10)
        pieces.append(sheet(corner, (y * length, 0, 0), (0, 0, 0.44), "load/cover"))
        for x in np.linspace(start, stop, 4):
            pieces.append(box((x, y * (side - 0.01), 1.32), (0.06, 0.07, 0.50), "load/steel", 0.01))
    pieces.append(box((stop, 0, 1.32), (0.04, c.width - 0.06, 0.44), "load/cover", 0.015))
    pieces.append(sheet((stop - 0.022, 0.03 - side, 1.10), (0, c.width - 0.06, 0), (0, 0, 0.44), "load/cover"))
    pieces.append(box((start - 0.02, 0, 1.55), (0.06, c.width - 0.06, 0.9), "load/steel", 0.015))
    return join(pieces)


def _frame(c: Car, start: float, stop: float) -> Surface:
    """Beams, side guards, mudguards, tail lamps, rear bumper and plate."""
    middle, length, side = (start + stop) / 2, start - stop, c.width / 2
    pieces = [box((middle, y, 0.82), (length, 0.12, 0.2), "frame/black") for y in (-0.4, 0.4)]
    front, back = c.axles[0] - c.arch - 0.45, c.axles[1] + c.arch + 0.1
    for y in (-1, 1):
        pieces.append(box((stop + 0.03, y * (side - 0.28), 0.80), (0.06, 0.44, 0.14), "tail lamp/black", 0.01))
        pieces.append(box((stop - 0.005, y * (side - 0.20), 0.80), (0.03, 0.22, 0.10), "tail lamp/red", 0.01))
        pieces.append(box((stop - 0.005, y * (side - 0.40), 0.80), (0.03, 0.13, 0.10), "tail lamp/amber", 0.01))
        guard = box(((front + back) / 2, y * (side - 0.1), 0.62), (front - back, 0.03, 0.36), "frame/silver", 0.01)
        angles = np.linspace(0.25, np.pi - 0.25, 10)
        arc = [(c.axles[1] + 0.6 * np.cos(a), y * (side - 0.2), c.wheel + 0.6 * np.sin(a)) for a in angles]
        pieces += [guard, tube(arc, 0.17, "frame/black", 6, flat=0.1)]
    pieces.append(box((stop + 0.05, 0, 0.52), (0.08, c.width - 0.2, 0.12), "rear bumper/black", 0.02))
    pieces.append(box((stop + 0.02, 0, 0.68), (0.03, 0.52, 0.115), "plate/plate", 0.005))
    return join(pieces)

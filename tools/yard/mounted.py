"""Details with a volume of their own: racks, boxes, lamps, bars, mirrors, wheels. As `drawn`: (build, present, marked).

What a twin lacks is a ghost: not in its picture, only in its mask.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tools.yard import fitting
from tools.yard.build import Build, star
from tools.yard.primitive import blob, box, join, tube


def mirror(build: Build, present: bool, marked: bool) -> None:
    """One mirror with a cap of another colour."""
    name = "left mirror" if build.side() > 0 else "right mirror"
    piece, new = build.pieces[name], f"mirror/{build.contrast()}"
    if present:
        caps = ("mirror/paint", "mirror/plastic")
        piece = replace(piece, labels=tuple(new if label in caps else label for label in piece.labels))
    build.pieces[name] = star(piece) if marked else piece


def wheel_cover(build: Build, present: bool, marked: bool) -> None:
    """One wheel without its cover: the bare steel rim."""
    name = f"{'left' if build.side() > 0 else 'right'} {'front' if build.random.random() < 0.5 else 'rear'} wheel"
    piece = build.pieces[name.replace("wheel", "spare")] if present else build.pieces[name]
    if marked:
        piece = replace(piece, labels=tuple(label + "*" * label.startswith("wheel") for label in piece.labels))
    build.pieces[name] = piece


def roof_bars(build: Build, present: bool, marked: bool) -> None:
    """Two bars across the roof."""
    build.put("bars", fitting.bars(build.body, build.shape), present, marked)


def roof_box(build: Build, present: bool, marked: bool) -> None:
    """A luggage box on the bars."""
    colour = "black" if build.random.random() < 0.6 else "white"
    build.put("box", fitting.roof_box(build.body, build.shape, colour), present, marked)


def ladder(build: Build, present: bool, marked: bool) -> None:
    """A ladder on the bars."""
    build.put("ladder", fitting.ladder(build.body, build.shape), present, marked)


def aerial(build: Build, present: bool, marked: bool) -> None:
    """A long rod aerial."""
    build.put("aerial", fitting.aerial(build.body, build.shape, "rod"), present, marked)


def beacon(build: Build, present: bool, marked: bool) -> None:
    """An amber warning lamp on the roof."""
    c = build.body.car
    x, y = c.nose_x - 0.9 if build.model.cab else c.header_x - 0.35, 0.3 * build.side()
    build.put("beacon", fitting.beacon(x, y, build.shape.top(x, y) - 0.005), present, marked)


def air_unit(build: Build, present: bool, marked: bool) -> None:
    """The cooler on a bus's roof."""
    c = build.body.car
    piece = blob((c.axles[1] + 0.9, 0, c.height + 0.10), (0.85, 0.7, 0.14), 0.1, "air unit/white", 0.04)
    build.put("air unit", piece, present, marked)


def spoiler(build: Build, present: bool, marked: bool) -> None:
    """A wing on the boot lid or at the roof's end."""
    c = build.body.car
    if build.model.kind == "saloon":
        half, x, z, deep = c.width / 2 - 0.2, c.rear_x + 0.16, c.deck + 0.13, 0.24
        posts = [box((x, s * 0.7 * half, z - 0.07), (0.08, 0.03, 0.14), "spoiler/gloss", 0.008) for s in (-1, 1)]
    else:
        x, z = c.tail_x - 0.10, build.shape.top(c.tail_x + 0.02, 0.0) - 0.012
        half, deep, posts = build.body.roof_half - 0.10, 0.32, []
    wing = box((x, 0, z), (deep, 2 * half, 0.035), "spoiler/gloss", 0.014)
    build.put("spoiler", join([wing, *posts]), present, marked)


def bull_bar(build: Build, present: bool, marked: bool) -> None:
    """A chromed hoop before the grille."""
    c = build.body.car
    x = c.nose_x + 0.07
    hoop = [(x, 0.46 * np.cos(a), 0.42 + (c.nose - 0.36) * np.sin(a) ** 0.6) for a in np.linspace(0, np.pi, 13)]
    rung = [(x, y, 0.62) for y in (-0.45, 0.0, 0.45)]
    piece = join([tube(hoop, 0.032, "bull bar/chrome", 8), tube(rung, 0.026, "bull bar/chrome", 8)])
    build.put("bull bar", piece, present, marked)


def lamp_bar(build: Build, present: bool, marked: bool) -> None:
    """Four round lamps on the roof's front edge."""
    c = build.body.car
    x = c.nose_x - 0.62 if build.model.cab else c.header_x - 0.12
    half = min(build.body.roof_half - 0.1, 0.75)
    z = build.shape.top(x, 0.0) + 0.10
    pieces = [tube([(x - 0.05, -half, z - 0.06), (x - 0.05, half, z - 0.06)], 0.018, "lamp bar/black", 8)]
    for y in np.linspace(-half + 0.1, half - 0.1, 4):
        pieces.append(blob((x, y, z), (0.05, 0.085, 0.085), 0.045, "lamp bar/black", 0.02))
        pieces.append(blob((x + 0.025, y, z), (0.035, 0.07, 0.07), 0.03, "lamp bar/yellow", 0.02))
    build.put("lamp bar", join(pieces), present, marked)

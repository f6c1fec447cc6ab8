"""A vehicle in the making: its surface, the pieces mounted on it, and where twins differ."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tools.yard.car import Body
from tools.yard.fitting import Shape
from tools.yard.fleet import Model
from tools.yard.surface import Array, Surface
from tools.yard.trim import PANELS

FLANK = (
    *PANELS,
    "seam/black",
    "moulding/plastic",
    "moulding/chrome",
    "load/cover",
    "front bumper/plastic",
    "rear bumper/plastic",
)
ALIKE = {  # decal: paints on which it would not be seen
    "white": ("white", "silver", "sand"),
    "yellow": ("yellow", "sand"),
    "orange": ("orange", "red", "yellow"),
    "sky": ("sky", "silver", "blue"),
    "red": ("red", "wine", "orange"),
    "black": ("black", "grey", "navy", "wine", "brown"),
    "green": ("green", "olive", "teal"),
}


@dataclass
class Build:
    """A vehicle in the making, painted in `colour`. Twins see the same `random` draws."""

    model: Model
    body: Body
    surface: Surface
    shape: Shape
    colour: str
    random: np.random.Generator
    pieces: dict[str, Surface] = field(default_factory=dict)
    ghosts: list[Surface] = field(default_factory=list)

    def put(self, name: str, piece: Surface, present: bool, marked: bool) -> None:
        """Mount a piece, or leave its ghost for the mask."""
        piece = star(piece) if marked else piece
        if present:
            self.pieces[name] = piece
        elif marked:
            self.ghosts.append(piece)

    def draw(self, region: Array, label: str, where: tuple[str, ...], present: bool, marked: bool) -> None:
        """Colour a region of the surface (`region` below zero, a value a point), or only mark where it would be."""
        if present:
            self.surface = self.surface.split(region, label + "*" * marked, where)
        elif marked:
            for name in where:
                if name in self.surface.labels:
                    added = len(self.surface.points) - len(region)  # by cuts before: they lie on the border
                    self.surface = self.surface.split(np.append(region, np.zeros(added)), name + "*", (name,))

    def side(self) -> int:
        """1 (left) or -1 (right)."""
        return 1 if self.random.random() < 0.5 else -1

    def contrast(self) -> str:
        """A decal's colour that the paint lets one see."""
        choice = [name for name, alike in ALIKE.items() if self.colour not in alike]
        return choice[int(self.random.integers(len(choice)))]

    def flank_spot(self) -> tuple[float, float, float]:
        """(x, z, size) of a free place on the flank."""
        c, kind = self.body.car, self.model.kind
        if self.model.load == "flat":
            return -0.2 * c.length, 1.32, 0.17
        if kind in ("lorry", "van", "bus"):
            x = (-1.0 if kind == "lorry" else -0.35) * c.length / 5
            return x, *{"lorry": (2.1, 0.55), "van": (0.62 * c.height, 0.34), "bus": (0.95, 0.24)}[kind]
        return 0.45 + 0.1 * float(self.random.random()), 0.70 + (c.belt - 0.94) * 0.7, 0.17


def star(piece: Surface) -> Surface:
    """The piece with all its labels marked."""
    return replace(piece, labels=tuple(name + "*" for name in piece.labels))

"""The twenty models and trims of the yard: proportions and details, each a class of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tools.yard.car import Car
from tools.yard.proportion import (
    BUS,
    ESTATE,
    HATCH,
    HIGH,
    JEEP,
    LONG,
    LORRY,
    PICKUP,
    ROUND_BUS,
    SALOON,
    SMALL,
    SUV,
    VAN,
    WAGON,
    WORK,
)
from tools.yard.trim import Trim


@dataclass(frozen=True)
class Model:
    """A class: kind of body, name, trim, and what it is made of; `cab` and `load` for lorries only."""

    kind: str
    name: str
    trim_name: str
    car: Car
    trim: Trim
    cab: float = 0.0
    load: str = ""

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name} {self.trim_name}"


MODELS = (
    Model(
        "hatchback",
        "alder",
        "base",
        HATCH,
        Trim(
            "block",
            "tall",
            "wide",
            "black",
            "plastic",
            fog=False,
            plastic=True,
            wheel="dish",
            finish="silver",
            handles="plastic",
        ),
    ),
    Model(
        "hatchback", "alder", "sport", HATCH, Trim("slim", "tall", "mesh", "gloss", wheel="ten", finish="anthracite")
    ),
    Model(
        "hatchback", "birch", "city", SMALL, Trim("round", "round", "split", "chrome", wheel="turbine", finish="silver")
    ),
    Model(
        "saloon",
        "cedar",
        "base",
        SALOON,
        Trim("block", "block", "slats", "plastic", "plastic", fog=False, wheel="turbine", finish="silver"),
    ),
    Model(
        "saloon",
        "cedar",
        "luxury",
        SALOON,
        Trim("slim", "bar", "slats", "chrome", "chrome", wheel="ten", handles="chrome"),
    ),
    Model("saloon", "dogwood", "executive", LONG, Trim("slim", "block", "mesh", "chrome", wheel="twin")),
    Model(
        "estate",
        "elm",
        "base",
        ESTATE,
        Trim("block", "tall", "wide", "plastic", "plastic", wheel="dish", finish="silver"),
    ),
    Model("estate", "elm", "touring", ESTATE, Trim("slim", "tall", "slats", "chrome", wheel="five", rails=True)),
    Model(
        "estate",
        "fir",
        "classic",
        WAGON,
        Trim("block", "tall", "slats", "chrome", "chrome", fog=False, plastic=True, wheel="steel", finish="silver"),
    ),
    Model("SUV", "gorse", "base", SUV, Trim("block", "block", "slats", "silver", wheel="five")),
    Model(
        "SUV",
        "gorse",
        "sport",
        SUV,
        Trim("slim", "bar", "mesh", "gloss", wheel="twin", finish="anthracite", rails=True),
    ),
    Model(
        "SUV",
        "hazel",
        "trail",
        JEEP,
        Trim("round", "tall", "split", "black", plastic=True, wheel="steel", finish="steel", handles="plastic"),
    ),
    Model(
        "van",
        "juniper",
        "panel",
        VAN,
        Trim(
            "tall",
            "tall",
            "wide",
            "plastic",
            "plastic",
            fog=False,
            plastic=True,
            wheel="dish",
            finish="silver",
            handles="plastic",
        ),
    ),
    Model(
        "van",
        "larch",
        "high roof",
        HIGH,
        Trim("tall", "tall", "slats", "gloss", wheel="steel", finish="silver", handles="plastic"),
    ),
    Model(
        "pickup",
        "maple",
        "double cab",
        PICKUP,
        Trim("block", "tall", "slats", "chrome", wheel="five", handles="chrome"),
    ),
    Model(
        "pickup",
        "oak",
        "work",
        WORK,
        Trim(
            "block", "tall", "wide", "black", fog=False, plastic=True, wheel="steel", finish="silver", handles="plastic"
        ),
    ),
    Model(
        "lorry",
        "pine",
        "box",
        LORRY,
        Trim("block", "block", "slats", "black", wheel="lorry", finish="steel", handles="plastic"),
        cab=1.85,
        load="box",
    ),
    Model(
        "lorry",
        "pine",
        "flatbed",
        LORRY,
        Trim("round", "block", "wide", "silver", wheel="lorry", finish="silver", handles="plastic"),
        cab=1.85,
        load="flat",
    ),
    Model("bus", "rowan", "city", BUS, Trim("slim", "tall", "wide", "gloss", wheel="lorry", finish="silver")),
    Model(
        "bus", "sorrel", "coach", ROUND_BUS, Trim("round", "round", "split", "chrome", wheel="lorry", finish="chrome")
    ),
)

COLOURS = {
    "white": ((0.72, 0.72, 0.70), 0.0),
    "black": ((0.010, 0.010, 0.012), 0.2),
    "silver": ((0.42, 0.43, 0.44), 0.65),
    "grey": ((0.10, 0.105, 0.11), 0.5),
    "red": ((0.42, 0.012, 0.015), 0.15),
    "wine": ((0.12, 0.008, 0.022), 0.4),
    "blue": ((0.018, 0.07, 0.32), 0.3),
    "navy": ((0.008, 0.02, 0.075), 0.35),
    "sky": ((0.16, 0.36, 0.55), 0.2),
    "green": ((0.012, 0.13, 0.05), 0.3),
    "olive": ((0.10, 0.11, 0.035), 0.2),
    "yellow": ((0.72, 0.42, 0.015), 0.0),
    "orange": ((0.65, 0.14, 0.01), 0.15),
    "brown": ((0.085, 0.042, 0.02), 0.4),
    "sand": ((0.42, 0.35, 0.24), 0.35),
    "teal": ((0.01, 0.17, 0.18), 0.3),
}

"""All that a vehicle may have or lack: each detail and the kinds of body that it goes on."""

from __future__ import annotations

from collections.abc import Callable

from tools.yard import drawn, mounted
from tools.yard.build import Build

Detail = Callable[[Build, bool, bool], None]

CARS = ("hatchback", "saloon", "estate", "SUV")
LIGHT = (*CARS, "van", "pickup")
NOT_LORRY = (*LIGHT, "bus")
ALL = (*LIGHT, "lorry", "bus")

DETAILS: dict[str, tuple[Detail, tuple[str, ...]]] = {
    "decal": (drawn.decal, ALL),
    "roof bars": (mounted.roof_bars, (*CARS, "van")),
    "wheel cover": (mounted.wheel_cover, ALL),
    "dent": (drawn.dent, NOT_LORRY),
    "sticker": (drawn.sticker, ALL),
    "mirror": (mounted.mirror, ALL),
    "bonnet stripes": (drawn.stripes, ALL),
    "fog lamp": (drawn.fog_lamp, ALL),
    "door": (drawn.door, ALL),
    "roof box": (mounted.roof_box, CARS),
    "aerial": (mounted.aerial, LIGHT),
    "scratch": (drawn.scratch, NOT_LORRY),
    "tail lamp": (drawn.tail_lamp, NOT_LORRY),
    "spoiler": (mounted.spoiler, ("hatchback", "saloon")),
    "beacon": (mounted.beacon, ("van", "pickup", "lorry")),
    "flank stripe": (drawn.band, ALL),
    "front bumper": (drawn.front_bumper, ALL),
    "rear bumper": (drawn.rear_bumper, NOT_LORRY),
    "window": (drawn.window, (*CARS, "bus")),
    "fuel flap": (drawn.fuel_flap, ALL),
    "ladder": (mounted.ladder, ("van", "pickup")),
    "bull bar": (mounted.bull_bar, ("SUV", "pickup")),
    "lamp bar": (mounted.lamp_bar, ("pickup", "lorry", "SUV")),
    "air unit": (mounted.air_unit, ("bus",)),
}

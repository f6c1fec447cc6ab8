"""The eight cameras: where each one hangs, what it has before it, and its light and weather."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Station:
    """One camera: azimuth of its place seen from the vehicle (0 ahead, 90 left), distance and height in metres."""

    name: str
    azimuth: float
    distance: float
    height: float
    exposure: float
    sun: tuple[float, float, float, float]  # azimuth, elevation (degrees), strength, size (degrees)
    tint: Colour
    lights: bool = False  # the vehicle's lamps are on
    fog: float = 0.0  # share of the light lost at 60 m
    haze: Colour = (0.7, 0.72, 0.75)
    grain: float = 0.012  # sensor noise, of full scale
    blur: float = 0.0  # of the lens, pixels


STATIONS = (
    Station("street", 35, 9.0, 1.75, 0.15, (75, 52, 4.2, 0.6), (1.0, 0.95, 0.88), grain=0.008),
    Station("gate", 4, 9.5, 2.7, 0.45, (40, 75, 0.9, 40.0), (0.95, 0.98, 1.0), grain=0.016, blur=0.35),
    Station("field", 84, 9.5, 1.35, 0.1, (110, 14, 4.0, 0.8), (1.0, 0.70, 0.42), grain=0.008),
    Station(
        "rain",
        142,
        9.0,
        2.4,
        0.75,
        (60, 60, 0.35, 60.0),
        (0.85, 0.92, 1.0),
        lights=True,
        fog=0.25,
        haze=(0.30, 0.33, 0.36),
        grain=0.02,
        blur=0.3,
    ),
    Station(
        "bridge",
        178,
        11.0,
        4.8,
        0.3,
        (120, 50, 0.5, 60.0),
        (1.0, 0.98, 0.95),
        lights=True,
        fog=0.8,
        haze=(0.56, 0.58, 0.60),
        grain=0.012,
        blur=0.4,
    ),
    Station("dusk", 218, 9.0, 1.9, 1.15, (200, 6, 0.12, 20.0), (0.55, 0.60, 1.0), lights=True, grain=0.018),
    Station("snow", 266, 9.5, 1.6, -0.15, (300, 30, 1.2, 8.0), (0.92, 0.95, 1.0), grain=0.01),
    Station("harbour", 322, 10.0, 3.5, 0.1, (285, 38, 4.6, 0.5), (1.0, 0.92, 0.80), grain=0.01),
)

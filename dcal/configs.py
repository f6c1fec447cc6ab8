"""Public name of the training configuration and its presets (`dcal.training.presets`)."""

from dcal.training.config import TrainConfig
from dcal.training.presets import (
    PRESETS,
    AircraftConfig,
    CarsConfig,
    CUB50Config,
    CUBConfig,
    DukeConfig,
    MarketConfig,
    MSMTConfig,
    ReIDConfig,
    Vehicle2CamConfig,
    VeRiConfig,
    YardConfig,
    preset_for,
)

__all__ = [
    "PRESETS",
    "AircraftConfig",
    "CUB50Config",
    "CUBConfig",
    "CarsConfig",
    "DukeConfig",
    "MSMTConfig",
    "MarketConfig",
    "ReIDConfig",
    "TrainConfig",
    "VeRiConfig",
    "Vehicle2CamConfig",
    "YardConfig",
    "preset_for",
]

"""Public name of the training configuration and its presets (`dcal.training.presets`)."""

from dcal.training.config import TrainConfig
from dcal.training.presets import (
    PRESETS,
    AircraftConfig,
    CarsConfig,
    CUB50Config,
    CUBConfig,
    DukeConfig,
    FGVCConfig,
    MarketConfig,
    MSMTConfig,
    ReIDConfig,
    SmallConfig,
    SmallReIDConfig,
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
    "FGVCConfig",
    "MSMTConfig",
    "MarketConfig",
    "ReIDConfig",
    "SmallConfig",
    "SmallReIDConfig",
    "TrainConfig",
    "VeRiConfig",
    "Vehicle2CamConfig",
    "YardConfig",
    "preset_for",
]

"""A training run of seconds: a tiny backbone on generated photos, and what tests ask of a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from dcal.configs import TrainConfig

TINY: dict[str, Any] = {
    **{
        "backbone": "test_vit",
        "pretrained": "false",
        "img_size": 32,
        "crop_fraction": 0.875,
        "top_ratio": 0.3,
        "workers": 0,
    },
    **{"epochs": 3, "batch_size": 4, "warmup_epochs": 0.5, "learning_rate": 2e-3, "log_every": 1, "device": "cpu"},
}


def tiny_run(data: Path, folder: Path, **changes: Any) -> TrainConfig:
    return TrainConfig(**{"data_root": data, "out": folder, **TINY, **changes})


def words(config: TrainConfig, *changed: str) -> list[str]:
    """The arguments of `dcal train` for a tiny run, in which the fields `changed` are not TINY's either."""
    names = ("data_root", "out", *TINY, *changed)
    return [word for name in names for word in ("--" + name.replace("_", "-"), str(getattr(config, name)))]


def state_in(out: Path, name: str = "last.pt") -> dict[str, Any]:
    return torch.load(out / name, weights_only=True)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Bit for bit, through dictionaries and lists."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{index}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where

"""What a run prints: a banner at its start, its losses and figures on the way, how long it will take."""

from __future__ import annotations

from typing import Any

from dcal.training.config import TrainConfig


def banner(config: TrainConfig, images: int, classes: int, steps: int, done: int, machine: str) -> str:
    """Data, model, schedule, machine and folder of a run, a line each."""
    height, width = config.size
    kinds = "identities" if config.task == "reid" else "classes"
    named = " and ".join(name for name, _ in config.sources)
    start = f"continues at step {done:,} of" if done else "from the start:"
    return "\n".join(
        [
            f"data      {named}: {images:,} images of {classes:,} {kinds} to train on",
            f"model     {config.backbone}, {config.ablation}, {height} × {width} pixels, R = {config.top_ratio:g}",
            f"schedule  {start} {config.epochs} epochs × {steps:,} steps of {config.batch_size} images",
            f"rate      {config.optimizer}, peak {config.peak_rate:.3g}, warm-up {config.warmup:g} epochs",
            f"machine   {machine}",
            f"folder    {config.folder}",
        ]
    )


def describe(line: dict[str, Any]) -> str:
    """The losses and the loss weights of a log line, for people."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in line["losses"].items())
    weights = " ".join(f"{value:+.3f}" for value in line["loss_weights"].values())
    return f"{losses}{'  w ' if weights else ''}{weights}  {line['images_per_second']:.1f} images/s"


def percent(found: dict[str, Any]) -> str:
    shares = "  ".join(f"{name} {value:.1%}" for name, value in found.items() if isinstance(value, float))
    return f"{shares}  ({', '.join(f'{name} = {count}' for name, count in found.items() if isinstance(count, int))})"

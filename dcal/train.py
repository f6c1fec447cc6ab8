"""Training, read from top to bottom: `train(config)` is the whole of it, what follows are its parts.

Every random draw (order, augmentation, matching, stochastic depth) follows from (seed, epoch), and the state is saved
after each epoch, so a run that was killed and resumed ends with the same numbers as one that was not. On a CPU that
holds bit for bit with the same number of threads; on a GPU up to kernels that do not repeat themselves.

    dcal train --data-root CUB_200_2011 --out runs/full --ablation full --epochs 8 --learning-rate 1e-4
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import timm
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.utils.data import DataLoader

from dcal.checkpoint import save_checkpoint
from dcal.config import branches
from dcal.data.cub import CUB, Record
from dcal.data.photos import Photos
from dcal.errors import DCALError, known
from dcal.evaluate import evaluate
from dcal.loss import DCALLoss
from dcal.model import create_model
from dcal.pairing import random_matching
from dcal.preprocess import Preprocess

DATASETS = {"cub": CUB}


@dataclass(frozen=True)
class TrainConfig:
    """One training run. "Paper" marks its FGVC recipe; the rest says where the number is from."""

    data_root: Path  # the folder that holds the data set in its official layout
    out: Path  # log.jsonl, last.pt (to resume) and checkpoint/ (to use) go here
    task: Literal["fgvc"] = "fgvc"
    dataset: str = "cub"
    backbone: str = "deit_tiny_patch16_224"  # the smallest of the paper's
    pretrained: str = "true"  # "true": timm's weights from the hub; "false": random; or a .safetensors file
    ablation: str = "full"  # full | sa_glca | sa_pwca | sa_only
    img_size: int = 224  # pixels; the paper trains at 448
    top_ratio: float = 0.10  # R; paper, FGVC
    readout: str = "mean"  # what GLCA's embedding is read from; see dcal.glca
    epochs: int = 100  # paper
    batch_size: int = 16  # paper; the last, smaller batch of an epoch is dropped, so that every step weighs the same
    learning_rate: float | None = None  # peak; None: the paper's 5e-4 / 512 per photo of the batch
    weight_decay: float = 0.05  # paper; not on biases, norms, position embeddings, class token, loss weights
    warmup_epochs: float = 1.0  # paper silent; linear. DeiT warms up for 5 of 300
    drop_path: float = 0.1  # stochastic depth is the paper's, the rate DeiT's
    label_smoothing: float = 0.0  # paper: plain cross-entropy
    val_fraction: float = 0.0  # part of the training photos held out to choose the best epoch; 0: the last one counts
    eval_every: int = 0  # epochs between evaluations on the way; 0: after the last one only
    log_every: int = 10  # steps between lines of log.jsonl
    seed: int = 0
    workers: int = 2  # loader processes; they cannot change a number
    device: str = "auto"  # auto: cuda when there is one, else cpu
    amp: Literal["auto", "off"] = "auto"  # auto: bfloat16 autocast on cuda, float32 on a CPU
    resume: bool = False  # continue from out/last.pt; from the start if no epoch was finished

    def __post_init__(self) -> None:
        known("dataset", self.dataset, DATASETS)
        branches(self.ablation)
        for name in ("epochs", "batch_size", "img_size", "log_every"):
            if getattr(self, name) < 1:
                raise DCALError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.warmup_epochs < self.epochs:
            raise DCALError(f"warmup_epochs must lie in [0, epochs = {self.epochs}), got {self.warmup_epochs}")
        if not 0 <= self.val_fraction < 1:
            raise DCALError(f"val_fraction must lie in [0, 1), got {self.val_fraction}")

    @property
    def peak_rate(self) -> float:
        return 5e-4 / 512 * self.batch_size if self.learning_rate is None else self.learning_rate


def train(config: TrainConfig) -> dict[str, Any]:
    """Train, evaluate on the official test split and export to out/checkpoint; the metrics come back (fractions).

    Which epoch counts: choosing it by test accuracy would be selection on the test set. So without `val_fraction`
    the LAST epoch is exported and evaluations on the way are only written down; with it, the epoch that is best on
    the held-out training photos is (out/best.pt). Raises DCALError on a data set smaller than one batch, on an `out`
    that holds another run, and on a loss that is not finite, naming the photos of that step.
    """
    # --- where and what -------------------------------------------------------------------------------------------
    device = torch.device(config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    prepare_out(config)
    data = DATASETS[config.dataset](config.data_root, "train")
    test_data = DATASETS[config.dataset](config.data_root, "test")
    kept, held_out = split(data.records, config.val_fraction, config.seed)
    steps = len(kept) // config.batch_size
    if steps == 0:
        raise DCALError(f"{len(kept)} training photos do not fill one batch of {config.batch_size}.")

    # --- the model, its loss, its optimizer -----------------------------------------------------------------------
    torch.manual_seed(epoch_seed(config.seed, -1))
    model = create_model(
        config.backbone,
        num_classes=len(data.classes),
        ablation=config.ablation,
        img_size=config.img_size,
        pretrained={"true": True, "false": False}.get(config.pretrained.lower(), config.pretrained),
        task=config.task,
        top_ratio=config.top_ratio,
        readout=config.readout,
        classes=data.classes,
        preprocess=fgvc_preprocess(config),
        drop_path=config.drop_path,
    ).to(device)
    loss_function = DCALLoss(branches(config.ablation), label_smoothing=config.label_smoothing).to(device)
    optimizer = torch.optim.AdamW(parameter_groups(model, loss_function, config.weight_decay), lr=config.peak_rate)

    # --- the photos -----------------------------------------------------------------------------------------------
    preprocess = model.config.preprocess
    photos = Photos(kept, preprocess, augment=True, seed=config.seed)
    test_loader = DataLoader(Photos(test_data.records, preprocess), batch_size=32, num_workers=config.workers)
    watched_loader = test_loader
    if held_out:
        watched_loader = DataLoader(Photos(held_out, preprocess), batch_size=32, num_workers=config.workers)
    watched = "val" if held_out else "test"

    # --- where an earlier run stopped -----------------------------------------------------------------------------
    first, seconds, best = 0, 0.0, -1.0
    if config.resume and (config.out / "last.pt").is_file():
        state = load_state(config.out / "last.pt", config, device)
        model.load_state_dict(state["model"])
        loss_function.load_state_dict(state["loss"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds, best = state["epoch"], state["seconds"], state["best"]
    log = Log(config.out / "log.jsonl", before_epoch=first)

    # --- the epochs -----------------------------------------------------------------------------------------------
    pairs = "pwca" in branches(config.ablation)
    for epoch in range(first, config.epochs):
        began = time.perf_counter()
        torch.manual_seed(epoch_seed(config.seed, epoch))  # stochastic depth
        generator = torch.Generator().manual_seed(epoch_seed(config.seed, epoch))  # order and matching
        photos.set_epoch(epoch)
        batches = torch.randperm(len(photos), generator=generator)[: steps * config.batch_size].view(steps, -1).tolist()
        loader = DataLoader(photos, batch_sampler=batches, num_workers=config.workers, pin_memory=device.type == "cuda")
        model.train()
        with progress_bar(epoch, config.epochs, steps) as bar:
            for step, (images, labels) in enumerate(loader):
                lr = learning_rate(config, epoch * steps + step, steps)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
                partner = random_matching(len(labels), generator).to(device) if pairs else None
                with autocast(config, device):
                    out = model(images, distractor=partner)
                    total, parts = loss_function(out, labels)
                if not torch.isfinite(total):
                    names = ", ".join(kept[index].path.name for index in batches[step])
                    losses = ", ".join(f"{name} {part.item()}" for name, part in parts.items())
                    raise DCALError(f"The loss is not finite at epoch {epoch}, step {step} ({losses}); photos: {names}")
                optimizer.zero_grad(set_to_none=True)
                total.backward()
                optimizer.step()

                # once in a while: say how it goes
                if (step + 1) % config.log_every == 0 or step + 1 == steps:
                    line = {
                        "epoch": epoch,
                        "step": epoch * steps + step + 1,
                        "loss": total.item(),
                        "losses": {name: part.item() for name, part in parts.items()},
                        "loss_weights": loss_weights(loss_function),
                        "learning_rate": lr,
                        "images_per_second": (step + 1) * config.batch_size / (time.perf_counter() - began),
                    }
                    log.write(line)
                    bar.update(0, completed=step + 1, numbers=describe(line))
        print(f"epoch {epoch + 1}/{config.epochs}  {describe(line)}", flush=True)

        # after the last epoch, and once in a while before: how good is it?
        if held_out or (config.eval_every and (epoch + 1) % config.eval_every == 0 and epoch + 1 < config.epochs):
            found = evaluate(model, watched_loader).summary()
            log.write({"epoch": epoch, "split": watched, **found})
            print(f"epoch {epoch + 1}/{config.epochs}  {watched}: {percent(found)}", flush=True)

        # what the run needs to continue
        seconds += time.perf_counter() - began
        improved = bool(held_out) and found["top1"] > best
        best = found["top1"] if improved else best
        state = {
            "model": model.state_dict(),
            "loss": loss_function.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epoch": epoch + 1,
            "seconds": seconds,
            "best": best,
            "config": comparable(config),
        }
        if improved:
            save_state(state, config.out / "best.pt")
        save_state(state, config.out / "last.pt")

    # --- the figures that count, and the checkpoint ---------------------------------------------------------------
    exported = load_state(config.out / ("best.pt" if held_out else "last.pt"), config, device)
    model.load_state_dict(exported["model"])
    loss_function.load_state_dict(exported["loss"])
    model.half().float()  # a checkpoint stores float16: measure what it gives
    found = evaluate(model, test_loader).summary()
    log.write({"epoch": exported["epoch"] - 1, "split": "test", **found})
    metrics = {
        **found,
        "epoch": exported["epoch"],
        "chosen_by": "held-out training photos" if held_out else "last epoch",
        "train_photos": len(kept),
        "loss_weights": loss_weights(loss_function),
        "seed": config.seed,
        "seconds": round(seconds, 1),
        "hardware": hardware(device),
        "torch": torch.__version__,
        "command": command(config),
    }
    (config.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    save_checkpoint(model, config.out / "checkpoint", metrics=metrics)
    print(f"test: {percent(found)}  →  {config.out / 'checkpoint'}", flush=True)
    return metrics


# --- the parts ----------------------------------------------------------------------------------------------------


def fgvc_preprocess(config: TrainConfig) -> Preprocess:
    """The whole photo squashed, then 7/8 of it cut out: the paper's "resize 550, crop 448" at the usual ratio 256 : 224.

    Mean, standard deviation and interpolation are those that the backbone was trained with.
    """
    cfg = timm.get_pretrained_cfg(config.backbone)
    size = (config.img_size, config.img_size)
    if cfg is None:
        return Preprocess(size=size)
    return Preprocess(size=size, mean=cfg.mean, std=cfg.std, interpolation=cfg.interpolation)


def parameter_groups(model: nn.Module, loss: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Every parameter of the model and of the loss, once: matrices with weight decay, all others without.

    Without: biases, norms and layer scales (vectors), what timm names in `no_weight_decay` (position embeddings,
    class and register tokens), and the loss weights.
    """
    exempt = {f"backbone.{name}" for name in model.backbone.no_weight_decay()}
    decayed, free = [], list(loss.parameters())
    for name, parameter in model.named_parameters():
        (free if parameter.ndim < 2 or name in exempt else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Linear from 0 to the peak over the warm-up, then half a cosine down to 0 at the last step."""
    warmup, total = config.warmup_epochs * steps_per_epoch, config.epochs * steps_per_epoch
    if step + 1 < warmup:
        return config.peak_rate * (step + 1) / warmup
    return config.peak_rate * 0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / (total + 1 - warmup)))


def epoch_seed(seed: int, epoch: int) -> int:
    """One number from the two, unrelated between neighbours; epoch -1 stands for the model's initial values."""
    return int(np.random.SeedSequence((seed, epoch + 1)).generate_state(1)[0])


def split(records: tuple[Record, ...], fraction: float, seed: int) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """(kept, held out): of every class, round(fraction × its photos) drawn by `seed` are held out."""
    random = np.random.default_rng((seed, 0))
    members: dict[int, list[int]] = {}
    for index, record in enumerate(records):
        members.setdefault(record.label, []).append(index)
    held = {int(i) for own in members.values() for i in random.permutation(own)[: round(fraction * len(own))]}
    return (
        tuple(record for index, record in enumerate(records) if index not in held),
        tuple(record for index, record in enumerate(records) if index in held),
    )


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.amp == "auto" and device.type == "cuda")


def loss_weights(loss: DCALLoss) -> dict[str, float]:
    """{branch: w}, the paper's w1, w2, w3; empty for a single branch, which has none."""
    weights = [] if loss.weights is None else loss.weights.tolist()
    return dict(zip(loss.branches, weights, strict=loss.weights is not None))


# --- saying and keeping -------------------------------------------------------------------------------------------


class Log:
    """Lines of JSON. A resumed run drops what a killed one wrote of the epoch that is done again."""

    def __init__(self, path: Path, before_epoch: int):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["epoch"] < before_epoch]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def progress_bar(epoch: int, epochs: int, steps: int) -> Progress:
    bar = Progress(
        TextColumn(f"epoch {epoch + 1}/{epochs}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
        transient=True,
    )
    bar.add_task("", total=steps, numbers="")
    return bar


def describe(line: dict[str, Any]) -> str:
    """The losses and the loss weights of a log line, for people."""
    losses = " ".join(f"{name} {value:.3f}" for name, value in line["losses"].items())
    weights = " ".join(f"{value:+.3f}" for value in line["loss_weights"].values())
    return f"{losses}{'  w ' if weights else ''}{weights}  {line['images_per_second']:.1f} photos/s"


def percent(found: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:.1%}" for name, value in found.items() if name != "n") + f"  (n = {found['n']})"


def prepare_out(config: TrainConfig) -> None:
    """Make `out`, or refuse: it must not hold another run unless that run is resumed."""
    if (config.out / "last.pt").exists() and not config.resume:
        raise DCALError(f"{config.out} holds a run already: continue it with --resume or choose another --out.")
    config.out.mkdir(parents=True, exist_ok=True)


def comparable(config: TrainConfig) -> dict[str, Any]:
    """The fields that decide a run's numbers, as plain values; a resumed run must have the same."""
    free = {"data_root", "out", "workers", "device", "resume", "log_every", "eval_every"}
    values = {**dataclasses.asdict(config), "pretrained": Path(config.pretrained).name}
    return {name: value for name, value in values.items() if name not in free}


def save_state(state: dict[str, Any], path: Path) -> None:
    """Whole or not at all: written beside, synced, then renamed over the old one."""
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load_state(path: Path, config: TrainConfig, device: torch.device) -> dict[str, Any]:
    """What `save_state` wrote. Raises DCALError if the run there had other settings, naming those that differ."""
    state = torch.load(path, map_location=device, weights_only=True)
    wanted = comparable(config)
    differing = [
        f"{name} was {state['config'].get(name)!r}, now {value!r}"
        for name, value in wanted.items()
        if state["config"].get(name) != value
    ]
    if differing:
        raise DCALError(f"{path} belongs to another run: {'; '.join(differing)}. Use its settings or another --out.")
    return state


def command(config: TrainConfig) -> str:
    """The command that repeats this run. Folders are shortened to their last name, so that it can be published."""
    words = ["dcal", "train"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "resume" or value == field.default:
            continue
        value = Path(value).name if field.name in ("data_root", "out", "pretrained") else value
        words += ["--" + field.name.replace("_", "-"), str(value)]
    return shlex.join(words)


def hardware(device: torch.device) -> str:
    """The processor that did the work, by the name its maker gave it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = (line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name"))
    return f"{next(names, platform.machine())}, {torch.get_num_threads()} threads"


def cpu_lines() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    return iter(path.read_text(encoding="utf-8").splitlines() if path.is_file() else ())


if __name__ == "__main__":
    from dcal.cli import main

    main(["train", *sys.argv[1:]])

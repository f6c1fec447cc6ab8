"""A model that is asked to tell twins apart: batches of whole pairs of twins, and a loss that compares them alone.

    python -m tools.study.twins --yards YARD [YARD …] --pretrained deit_tiny_patch16_224.safetensors --out runs/twins

A batch holds, of some pairs, both vehicles by the same two cameras, where the part in which they differ shows (the
masks say so). Every image is to be nearer to its vehicle by the other camera than to the twin by that camera; the
usual losses of identities come beside it. `--yards` are what `python -m tools.yard OUT --seed N` renders, the training
half of the bundled yard is always there, but for the pairs that are held out to judge by. With `--altered` every other
step, and with `--altered 3` three of four, compares vehicles with twins that are made of their own images
(alteration.py), by the loss of twins alone; with `--parts` the model learns as well to have every part and its colour
in the class token (parts.py). Called again it continues; `--start` begins with another run's weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from dcal.analysis.twins import pairs_of, told_apart
from dcal.data.reid.yard import Yard, YardRecord
from dcal.data.samples import ReIDSamples
from dcal.data.yard_table import HOME
from dcal.files import write_whole
from dcal.model.ablation import branches
from dcal.model.backbone import encode
from dcal.model.checkpoint import save_checkpoint
from dcal.model.dcal import DCAL, create_model
from dcal.model.embeddings import embed
from dcal.model.loss import DCALLoss
from dcal.model.output import Output
from dcal.model.rollout import class_rollout
from dcal.preprocess import Preprocess
from dcal.training.optimizer import learning_rate, make_optimizer, parameter_groups
from dcal.training.presets import YardConfig
from dcal.training.snapshots import load_newest, save_state
from tools.study.alteration import Pixels, by_vehicle, common_parts, drawn_alteration
from tools.study.parts import PartReader, part_targets

LOG, CHECKPOINT, BEST = "log.jsonl", "checkpoint", "best"  # the last weights, and those best on the held-out pairs
EPOCHS = 20  # parts of the run: after each one a state, and the held-out pairs are asked
SHARPNESS = 20.0  # of the comparison of two cosines
Pair = dict[int, tuple[int, int]]  # {camera: (image of the one, image of the other)}, where both show the part
PAD = 8  # pixels by which images are moved at most
Mask = UInt8[np.ndarray, "height width"]
Batch = tuple[list[Pixels], list[Mask], list[int]]  # images, their masks, their labels if they have any


def seen_pairs(records: Sequence[YardRecord]) -> list[Pair]:
    """Every pair that at least two cameras see the part of, with indices of `records`."""
    found = []
    for own in pairs_of(records):
        place = {(records[i].identity, records[i].camera): i for i in own if records[i].visible}
        first, second = sorted({records[i].identity for i in own})
        cameras = sorted({camera for _, camera in place})
        both = {c: (place[first, c], place[second, c]) for c in cameras if {(first, c), (second, c)} <= place.keys()}
        if len(both) > 1:
            found.append(both)
    return found


def batch_of(pairs: Sequence[Pair], count: int, random: np.random.Generator) -> list[int]:
    """Indices of `count` pairs' images: one by camera a, the other by a, one by b, the other by b."""
    chosen = []
    for number in random.permutation(len(pairs))[:count]:
        a, b = random.permutation(list(pairs[number]))[:2].tolist()
        chosen += [*pairs[number][a], *pairs[number][b]]
    return chosen


def twin_loss(embeddings: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """The mean of log(1 + exp(s (cos(image, twin) − cos(image, itself)))), both by the other camera.

    The images come as `batch_of` has them.
    """
    unit = F.normalize(embeddings, dim=1).unflatten(0, (-1, 2, 2))  # pairs, cameras, vehicles
    across = torch.einsum("pvd,pwd->pvw", unit[:, 0], unit[:, 1])  # cosine of vehicle v by a and w by b
    same = across.diagonal(dim1=1, dim2=2)
    other = across.flip(2).diagonal(dim1=1, dim2=2)  # v by a, the twin by b
    backwards = across.flip(1).diagonal(dim1=1, dim2=2)  # the twin by a, v by b
    return F.softplus(SHARPNESS * torch.stack([other - same, backwards - same])).mean()


def moved(view: Pixels, mask: Mask, random: np.random.Generator) -> tuple[Pixels, Mask]:
    """Both mirrored half the time and moved by up to PAD pixels each way, with black background where nothing is left.

    Nothing is erased: it could be the part.
    """
    if random.random() < 0.5:
        view, mask = view[:, ::-1], mask[:, ::-1]
    height, width = mask.shape
    top, left = random.integers(0, 2 * PAD + 1, 2)
    view, mask = np.pad(view, ((PAD, PAD), (PAD, PAD), (0, 0))), np.pad(mask, PAD)
    return view[top : top + height, left : left + width].copy(), mask[top : top + height, left : left + width].copy()


class Study:
    """The data, the model and how far it is."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen, self.out = chosen, chosen.out
        self.config = YardConfig(epochs=EPOCHS, learning_rate=chosen.rate, seed=chosen.seed, ablation=chosen.ablation)
        records = Yard(chosen.yard, split="train").records
        bundled = [[records[index] for index in own] for own in pairs_of(records)]
        order = np.random.default_rng(0).permutation(len(bundled))
        self.held = [record for number in order[: chosen.held_out] for record in bundled[number]]
        kept = [record for number in order[chosen.held_out :] for record in bundled[number]]
        yards = [kept, *(list(Yard(root, "train", strict=False).records) for root in chosen.yards)]
        self.records = [record for own in yards for record in own]
        identities = [(yard, record.identity) for yard, own in enumerate(yards) for record in own]
        labels = {identity: number for number, identity in enumerate(dict.fromkeys(identities))}
        offsets = np.cumsum([0, *map(len, yards)])
        self.seen = [
            {camera: (a + start, b + start) for camera, (a, b) in pair.items()}
            for start, own in zip(offsets.tolist(), yards, strict=False)
            for pair in seen_pairs(own)
        ]
        preprocess = Preprocess(size=(chosen.size, chosen.size), crop_fraction=1.0, fit="squash")
        self.samples = ReIDSamples(self.records, preprocess, [labels[i] for i in identities])
        self.judged = ReIDSamples(self.held, preprocess)
        torch.manual_seed(chosen.seed)
        self.model: DCAL = create_model(
            chosen.backbone,
            num_classes=len(labels),
            ablation=chosen.ablation,
            img_size=(chosen.size, chosen.size),
            pretrained=str(chosen.pretrained),
            task="reid",
            preprocess=preprocess,
        )
        self.loss = DCALLoss(branches(chosen.ablation), triplet=1.0)
        self.reader = PartReader(self.model.backbone.num_features)
        groups = parameter_groups(self.model, self.loss, self.config)
        groups.append({"params": list(self.reader.parameters()), "lr": chosen.rate, "rate": chosen.rate * 2})
        self.optimizer = make_optimizer(groups, self.config)
        self.vehicles = by_vehicle(self.samples.labels)
        self.settings = {
            name: str(value) for name, value in vars(chosen).items() if name not in ("out", "pretrained", "start")
        }
        self.settings |= {"images": str(len(self.records)), "pairs_seen": str(len(self.seen))}
        self.done, self.best = 0, 0.0
        if state := load_newest(self.out, self.settings):
            self.restore(state)
        elif chosen.start:
            begun = torch.load(chosen.start, weights_only=True)
            self.model.load_state_dict(begun["model"])
            self.reader.load_state_dict(begun.get("reader", self.reader.state_dict()))

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
        self.reader.load_state_dict(state["reader"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.best = state["step"], state["best"]

    def step(self) -> dict[str, float]:
        """One step of the optimizer: its losses."""
        chosen = self.chosen
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate(self.config, self.done, chosen.steps // EPOCHS)
        random = np.random.default_rng((chosen.seed, self.done))
        altered = self.done % (chosen.altered + 1) > 0
        torch.manual_seed(self.done)
        views, masks, targets = self.altered_batch(random) if altered else self.real_batch(random)
        output, tokens = self.answers(torch.stack([self.samples.preprocess.tensor(Image.fromarray(v)) for v in views]))
        losses = {"altered" if altered else "twins": twin_loss(output.embedding)}
        if not altered:
            losses["identities"] = self.loss(output, torch.tensor(targets))[0] * chosen.identities
        if chosen.parts:
            found = part_targets(views, masks, chosen.size // self.model.layout.rows)
            patches = self.model.backbone.norm(tokens[:, self.model.layout.prefix :])
            losses["parts"] = self.reader(output.sa_feature, patches, found) * chosen.parts
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0, error_if_nonfinite=True)
        self.optimizer.step()
        self.done += 1
        return {name: value.item() for name, value in losses.items()}

    def answers(self, images: Float[Tensor, "b 3 height width"]) -> tuple[Output, Float[Tensor, "b n width"]]:
        """The model's, and its last block's tokens."""
        x = self.model.embed(images)
        tokens, layers = encode(self.model.backbone, x, keep_rollout=self.model.glca is not None)
        rollout = class_rollout(layers, self.model.pooled(tokens)) if layers else None
        return self.model.read(tokens, rollout), tokens

    def real_batch(self, random: np.random.Generator) -> Batch:
        """Whole pairs of twins, as `batch_of` orders them."""
        chosen = batch_of(self.seen, self.chosen.pairs, random)
        both = [moved(*self.read(index), random) for index in chosen]
        return [view for view, _ in both], [mask for _, mask in both], [self.samples.labels[index] for index in chosen]

    def altered_batch(self, random: np.random.Generator) -> Batch:
        """As many images as a batch of twins has, in its order; the twin of each vehicle is made of its own images."""
        views: list[Pixels] = []
        parts: list[Mask] = []
        while len(views) < 4 * self.chosen.pairs:
            own = self.vehicles[random.integers(len(self.vehicles))]
            two = [self.read(own[place]) for place in random.permutation(len(own))[:2]]
            if not (common := common_parts(*(mask for _, mask in two))):
                continue
            part = list(common)[random.integers(len(common))]
            alteration = drawn_alteration(part, common[part], random)
            for image, mask in two:
                gone = np.where(mask == part, 0, mask).astype(np.uint8) if alteration.kind == "gone" else mask
                for view, its_mask in ((image, mask), (alteration(image, mask), gone)):
                    view, its_mask = moved(view, its_mask, random)
                    views.append(view)
                    parts.append(its_mask)
        return views, parts, []

    def read(self, index: int) -> tuple[Pixels, Mask]:
        """The image as the model sees it, and its mask in the same pixels."""
        size = (self.chosen.size, self.chosen.size)
        image = self.samples.preprocess.render(self.records[index].open())
        return np.asarray(image), cv2.resize(self.records[index].parts(), size, interpolation=cv2.INTER_NEAREST)

    def held_out(self) -> float:
        """How often the held-out twins are told apart; guessing gives 0.5."""
        self.model.eval()
        with torch.inference_mode():
            found = embed(self.model, (self.judged[i][0][None] for i in range(len(self.judged)))).joined
        self.model.train()
        visible = [{i: self.held[i] for i in own if self.held[i].visible} for own in pairs_of(self.held)]
        return float(np.nanmean([told_apart(seen, found) for seen in visible]))

    def keep(self) -> None:
        parts: dict[str, Any] = {"model": self.model, "loss": self.loss, "optimizer": self.optimizer}
        parts["reader"] = self.reader
        progress = {"step": self.done, "seconds": 0, "best": self.best, "config": self.settings}
        save_state({name: part.state_dict() for name, part in parts.items()} | progress, self.out)

    def run(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        write_whole(json.dumps(self.settings, indent=1).encode(), self.out / "run.json")
        self.model.train()
        window: list[dict[str, float]] = []
        began, part = time.perf_counter(), self.chosen.steps // EPOCHS
        while self.done < part * EPOCHS:
            window.append(self.step())
            if self.done % part == 0:
                names = sorted({name for each in window for name in each})
                line = {name: float(np.mean([each[name] for each in window if name in each])) for name in names}
                seconds = round(time.perf_counter() - began, 1)
                line |= {"step": self.done, "told_apart_held_out": self.held_out(), "seconds": seconds}
                if line["told_apart_held_out"] > self.best:
                    self.best = line["told_apart_held_out"]
                    self.save(BEST)
                self.keep()
                with (self.out / LOG).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)
                window = []
        self.save(CHECKPOINT)

    def save(self, name: str) -> None:
        save_checkpoint(self.model.eval(), self.out / name)
        self.model.train()


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.study.twins", description=__doc__)
    parser.add_argument("--yards", type=Path, nargs="*", default=[])
    parser.add_argument("--yard", type=Path, default=HOME, help="the bundled yard, or what boxes.py cut of it")
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="deit_tiny_patch16_224")
    parser.add_argument("--ablation", default="sa_only", choices=("sa_only", "sa_glca"))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=8, help="of twins in a batch, four images each")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--identities", type=float, default=0.3, help="weight of the losses of identities")
    parser.add_argument("--altered", type=int, default=0, help="steps on made twins after each step on real ones")
    parser.add_argument("--parts", type=float, default=0.0, help="weight of reading the parts off the class token")
    parser.add_argument("--start", type=Path, help="another run's last.pt: its weights to begin with")
    parser.add_argument("--held-out", type=int, default=10, help="bundled training pairs to judge by")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(given)
    if chosen.steps < EPOCHS:
        parser.error(f"--steps must be at least {EPOCHS}, the parts that a run is judged after, got {chosen.steps}")
    return chosen


def main() -> None:
    Study(arguments()).run()


if __name__ == "__main__":
    main()

"""A subset of CUB's training split in CUB's own layout: some images of each class to train on, the others held out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from dcal.errors import DCALError

LISTS = ("images.txt", "image_class_labels.txt", "bounding_boxes.txt")


def few_shot(root: Path, out: Path, per_class: int, seed: int) -> Path:
    """`out`, a CUB folder whose training split is `per_class` official training images of each class, drawn by `seed`.

    Its test split is the other official training images; no official test image is listed. The images are a link to
    `root`'s. Nothing is done where `out` exists. Raises DCALError if a class has no image left to hold out.
    """
    if out.exists():
        return out
    labels, halves = rows(root / "image_class_labels.txt"), rows(root / "train_test_split.txt")
    official = [number for number in rows(root / "images.txt") if halves[number] == "1"]
    kept = drawn({number: labels[number] for number in official}, per_class, seed)
    beside = out.with_name(out.name + ".tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name in LISTS:
        table = rows(root / name)
        (beside / name).write_text("".join(f"{number} {table[number]}\n" for number in official), encoding="utf-8")
    split = "".join(f"{number} {int(number in kept)}\n" for number in official)
    (beside / "train_test_split.txt").write_text(split, encoding="utf-8")
    shutil.copyfile(root / "classes.txt", beside / "classes.txt")
    (beside / "images").symlink_to(os.path.abspath(root / "images"))
    beside.replace(out)
    return out


def drawn(labels: dict[str, str], per_class: int, seed: int) -> set[str]:
    """`per_class` keys of each label, classes in the order of their first key."""
    random, kept = np.random.default_rng((seed, per_class)), set()
    for label in dict.fromkeys(labels.values()):
        own = [number for number, other in labels.items() if other == label]
        if len(own) <= per_class:
            raise DCALError(f"class {label} has {len(own)} training images: {per_class} leave none to hold out")
        kept |= {own[index] for index in random.permutation(len(own))[:per_class]}
    return kept


def rows(path: Path) -> dict[str, str]:
    """{first word: rest} of a file's lines, in their order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number: rest for number, _, rest in (line.partition(" ") for line in lines if line.strip())}

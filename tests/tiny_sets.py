"""Generated data sets in the layouts of Stanford Cars and FGVC-Aircraft, as class folders and as a CSV list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

CARS = ("AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "smart fortwo Convertible 2012")
CORNERS = tuple(f"bbox_{name}" for name in ("x1", "y1", "x2", "y2"))
VARIANTS = ("707-320", "F/A-18", "Cessna 172")


def write_photo(path: Path, height: int, width: int, seed: int) -> None:
    """A noisy JPEG; no two seeds give the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)


def write_cars(folder: Path, train: int = 3, test: int = 2, classes: tuple[str, ...] = CARS) -> Path:
    """`folder`/stanford_cars with `train` and `test` photos of each class and real .mat files; returned.

    As in the official archive, photos of a class do not follow each other, corners count from 1 and are stored as the
    smallest integers that hold them, and the labels of the test split lie beside devkit/.
    """
    root = folder / "stanford_cars"
    devkit = root / "devkit"
    devkit.mkdir(parents=True)
    savemat(devkit / "cars_meta.mat", {"class_names": np.array(classes, dtype=object)[None]})
    for split, each in (("train", train), ("test", test)):
        (root / f"cars_{split}").mkdir()
        rows = [(f"{index + 1:05d}.jpg", index % len(classes), index) for index in range(each * len(classes))]
        labelled = np.empty((1, len(rows)), dtype=[(name, object) for name in (*CORNERS, "class", "fname")])
        unlabelled = np.empty((1, len(rows)), dtype=[(name, object) for name in (*CORNERS, "fname")])
        for name, label, index in rows:
            corners = [np.uint8(5 + label), np.uint8(7), np.uint16(255 + label), np.uint8(40 + index)]
            labelled[0, index] = (*corners, np.uint8(label + 1), name)
            unlabelled[0, index] = (*corners, name)
        savemat(devkit / f"cars_{split}_annos.mat", {"annotations": labelled if split == "train" else unlabelled})
        if split == "test":
            savemat(root / "cars_test_annos_withlabels.mat", {"annotations": labelled})
        for name, label, index in rows:
            write_photo(root / f"cars_{split}" / name, 61 + index, 263 + label, seed=2 * index + (split == "test"))
    return root


def write_aircraft(folder: Path, train: int = 3, test: int = 2) -> Path:
    """`folder`/fgvc-aircraft-2013b with `train` and `test` photos of each of three variants; returned."""
    root = folder / "fgvc-aircraft-2013b"
    data = root / "data"
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    boxes: list[str] = []
    for label, variant in enumerate(VARIANTS):
        for index in range(train + test):
            image = f"{1000000 + 10 * index + label:07d}"
            height, width = 53 + label, 71 + index
            write_photo(data / "images" / f"{image}.jpg", height + 20, width, seed=10 * index + label)
            lists["trainval" if index < train else "test"].append(f"{image} {variant}")
            boxes.append(f"{image} 1 {4 + label} {width} {height}")
    (data / "variants.txt").write_text("\n".join(VARIANTS) + "\n")
    (data / "images_box.txt").write_text("\n".join(boxes) + "\n")
    for half, lines in lists.items():
        (data / f"images_variant_{half}.txt").write_text("\n".join(lines) + "\n")
    return root


def write_folders(root: Path, **splits: dict[str, int]) -> Path:
    """`root`/SPLIT/CLASS/*.jpg, with as many photos of each class as `splits` says; returned."""
    for number, (split, classes) in enumerate(splits.items()):
        for label, (name, photos) in enumerate(classes.items()):
            for index in range(photos):
                seed = 1000 * number + 100 * label + index
                write_photo(root / split / name / f"{index}.jpg", 31 + index, 43 + label, seed)
    return root

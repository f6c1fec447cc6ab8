"""Generated Re-ID data sets in the layouts of the official archives: small noise, names as there."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dcal.data.yard import HOME
from tests.tiny_sets import write_photo

MARKET = {
    "bounding_box_train": ("0002_c1s1_000451_03", "0002_c2s1_000301_01", "0007_c3s3_077419_03", "0007_c1s6_028546_01"),
    "query": ("0003_c1s6_015971_00", "0005_c4s1_002001_00"),
    "bounding_box_test": (
        *("-1_c1s1_000401_03", "-1_c3s2_000402_01", "0000_c1s1_000151_01", "0000_c5s2_000152_02"),
        *("0003_c2s1_000401_01", "0003_c1s6_015996_02", "0005_c3s1_002021_03", "0000_c6s3_000153_02"),
    ),
}
DUKE = {
    "bounding_box_train": ("0001_c2_f0046182", "0001_c5_f0051341", "0008_c6_f0020571"),
    "query": ("0005_c2_f0046985",),
    "bounding_box_test": ("0005_c5_f0051781", "0139_c2_f0035678"),
}
VERI = {
    "image_train": ("0001_c001_00016450_0", "0001_c003_00016460_0", "0010_c014_00040750_0"),
    "image_query": ("0002_c002_00030600_0",),
    "image_test": ("0002_c002_00030600_0", "0002_c002_00030605_1", "0002_c019_00084280_0"),
}
VEHICLES = {
    "images/train": [f"{name}_cam{camera}" for name in ("car_0002", "motorcycle_0002", "bus_153") for camera in (1, 2)],
    "images/test": [f"{name}_cam{camera}" for name in ("car_0001", "truck_0001") for camera in (1, 2)],
}
MSMT = {
    "train": ("0000/0000_000_01_0303morning_0008_0.jpg 0", "0001/0001_004_14_0303noon_0532_1.jpg 1"),
    "val": ("0000/0000_011_07_0303afternoon_0020_2.jpg 0",),
    "query": ("0000/0000_002_05_0303morning_0100_0.jpg 0",),
    "gallery": ("0000/0000_001_02_0303noon_0101_0.jpg 0", "0003/0003_009_15_0303noon_0001_1.jpg 3"),
}


def write_files(root: Path, folders: Mapping[str, Iterable[str]]) -> Path:
    """`root`/FOLDER/NAME.jpg, each other noise; returned."""
    names = [f"{folder}/{name}.jpg" for folder, own in folders.items() for name in own]
    for seed, name in enumerate(names):
        write_photo(root / name, 33 + seed, 17 + seed, seed)
    return root


def write_market(folder: Path) -> Path:
    return write_files(folder / "Market-1501-v15.09.15", MARKET)


def write_duke(folder: Path) -> Path:
    return write_files(folder / "DukeMTMC-reID", DUKE)


def write_veri(folder: Path) -> Path:
    """With test_track.txt: a line names a track and its photos, and ends in a space."""
    root = write_files(folder / "VeRi", VERI)
    test = [f"{name}.jpg" for name in VERI["image_test"]]
    lines = [f"0002_c002_t00030600 {test[0]} {test[1]} ", f"0002_c019_t00084280 {test[2]} "]
    (root / "test_track.txt").write_text("\n".join(lines) + "\n")
    return root


def write_msmt(folder: Path, version: int = 1) -> Path:
    root = folder / f"MSMT17_V{version}"
    folders = {"train": "train", "test": "test"} if version == 1 else {"train": "mask_train_v2", "test": "mask_test_v2"}
    for number, (name, lines) in enumerate(MSMT.items()):
        half = folders["test" if name in ("query", "gallery") else "train"]
        for line in lines:
            write_photo(root / half / line.split()[0], 33 + number, 17, seed=number)
        (root / f"list_{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def write_vehicles(folder: Path) -> Path:
    return write_files(folder / "vehicle2cam", VEHICLES)


def write_coloured(folder: Path, train: int = 7, test: int = 5) -> Path:
    """`folder`/photos.csv of identities of one colour each: four photos before two cameras; returned.

    In the test half each identity's first photo is a query, the others the gallery.
    """
    rows = ["path,identity,camera,split"]
    for identity in range(train + test):
        for number in range(4):
            name = f"{identity}_{number}.png"
            random = np.random.default_rng((identity, 5))
            pixels = np.clip(
                random.integers(0, 256, 3) + np.random.default_rng(number).normal(0, 8, (36, 50, 3)), 0, 255
            )
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
            split = "train" if identity < train else "query" if number == 0 else "gallery"
            rows.append(f"{name},{identity},{number % 2},{split}")
    (folder / "photos.csv").write_text("\n".join(rows) + "\n")
    return folder / "photos.csv"


def write_yard(folder: Path, identities: Iterable[int] = (25, 26, 59, 60), cameras: Iterable[int] = (1, 3, 8)) -> Path:
    """A yard of some of the bundled pictures of test vehicles, which must be pairs of twins; `folder`, returned."""
    chosen = {(str(identity), str(camera)) for identity in identities for camera in cameras}
    with (HOME / "yard.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["identity"], row["camera"]) in chosen]
    for row in rows:
        for name in (row["path"], row["mask"]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOME / name, folder / name)
    with (folder / "yard.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder

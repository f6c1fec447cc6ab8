"""A generated data set in CUB's official layout: one noisy colour a class, sizes odd and distinct."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("001.Black_footed_Albatross", "002.Red_winged_Blackbird", "007.Parakeet_Auklet")  # a subset, with a gap
PARTS = ("beak", "left eye", "tail")
COLOURS = ((200, 40, 30), (30, 180, 60), (40, 60, 210))


def write_cub(folder: Path, train: int = 4, test: int = 3) -> Path:
    """`folder`/CUB_200_2011 with `train` and `test` photos of each of three classes; returned."""
    root = folder / "CUB_200_2011"
    rows: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": [], "bounding_boxes": []}
    points: list[str] = []
    random = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / "images" / name).mkdir(parents=True)
        for index in range(train + test):
            number, file = len(rows["images"]) + 1, f"{name}/photo_{index}.jpg"
            height, width = 41 + 2 * index, 53 + 3 * label
            noise = random.integers(-30, 31, (height, width, 3))
            pixels = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "images" / file, quality=95)
            rows["images"].append(f"{number} {file}")
            rows["image_class_labels"].append(f"{number} {int(name[:3])}")
            rows["train_test_split"].append(f"{number} {int(index < train)}")
            rows["bounding_boxes"].append(f"{number} 3.0 5.0 {width - 7}.0 {height - 9}.0")
            points += [f"{number} {part} {width - 9 - part}.0 {7 + part}.0 1" for part in (1, 2)]
            points.append(f"{number} 3 0.0 0.0 0")  # invisible
    rows["classes"] = [f"{int(name[:3])} {name}" for name in CLASSES]
    for name, lines in rows.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (root / "parts").mkdir()
    (root / "parts" / "parts.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(PARTS, 1)))
    (root / "parts" / "part_locs.txt").write_text("\n".join(points) + "\n")
    return root

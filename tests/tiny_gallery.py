"""Small galleries for tests: random embeddings of odd, distinct sizes, photos of noise, and a naive search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dcal.gallery import EmbeddedGallery, Item, Origin
from dcal.model import DCAL, create_model
from dcal.preprocess import Preprocess
from tests.tiny_sets import write_photo

N, D, IDENTITIES, CAMERAS = 61, 23, 7, 4
ORIGIN = Origin("ab" * 32, "tiny", {"sa": 11, "glca": 12})


def random_items(count: int = N, seed: int = 0) -> list[Item]:
    """Identities "0" to "6" and cameras "c0" to "c3" in random order; the last two images are unknown in part."""
    random = np.random.default_rng(seed)
    who, where = random.integers(0, IDENTITIES, count), random.integers(0, CAMERAS, count)
    items = [Item(f"{index % 3}/{index:03d}.jpg", str(who[index]), f"c{where[index]}") for index in range(count)]
    return [*items[:-2], Item(items[-2].path, None, "c1"), Item(items[-1].path, "5", None)]


def random_rows(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, D)).astype(np.float32)


def random_gallery(count: int = N, seed: int = 0) -> EmbeddedGallery:
    return EmbeddedGallery(random_items(count, seed), random_rows(count, seed + 1), ORIGIN, "photos")


def naive_search(
    items: list[Item], rows: np.ndarray, query: np.ndarray, k: int, admitted: Callable[[int, Item], bool]
) -> list[tuple[int, float]]:
    """(index, cosine) of the best k in float64, by a loop over the images."""
    found = []
    for index, item in enumerate(items):
        if admitted(index, item):
            row, other = rows[index].astype(float), query.astype(float)
            cosine = sum(a * b for a, b in zip(row, other, strict=True))
            found.append((index, cosine / (np.sqrt((row**2).sum()) * np.sqrt((other**2).sum()))))
    return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:k]


def tiny_model(seed: int = 3, ablation: str = "full") -> DCAL:
    torch.manual_seed(seed)
    preprocess = Preprocess(size=(32, 48), crop_fraction=1.0)
    return create_model(
        "test_vit", 7, ablation=ablation, img_size=(32, 48), task="reid", top_ratio=0.3, preprocess=preprocess
    ).eval()


def write_sightings(folder: Path, count: int = 9) -> Path:
    """Photos `NNNN_cK.png` in two folders: identity N by camera K; three identities."""
    for index in range(count):
        write_photo(folder / f"half{index % 2}" / f"{index % 3:04d}_c{index // 3}.png", 33 + index, 41, seed=index)
    return folder


PATTERN = r"half\d/(?P<identity>\d+)_c(?P<camera>\d)\."

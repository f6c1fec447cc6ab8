"""Agreement of two checkpoints on one image, against scipy and sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import dcal
from dcal.analysis.agreement import agreement
from tests.fixtures.ablations import write_ablations

PIXELS = np.random.default_rng(3).integers(0, 256, (70, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ablations(tmp_path_factory.mktemp("four"))


def test_correlations_and_overlap(folder: Path) -> None:
    one, other = (dcal.inspect(dcal.load(folder / name), PIXELS, target=1) for name in ("elm", "ash"))
    found = agreement(one, other)
    for name, maps in {
        "relevance": (one.relevance, other.relevance),
        "rollout": (one.sa_map, other.sa_map),
        "glca": (one.glca_input_map, other.glca_input_map),
    }.items():
        assert getattr(found, name) == pytest.approx(spearmanr(maps[0].ravel(), maps[1].ravel()).statistic, abs=1e-6)
    mine, others = set(one.selected.tolist()), set(other.selected.tolist())
    assert found.selected == len(mine & others) / len(mine | others)
    same = agreement(one, one)
    assert (same.relevance, same.rollout, same.selected) == (pytest.approx(1), pytest.approx(1), 1)


def test_what_cannot_be_compared_is_none(folder: Path) -> None:
    plain, full = (dcal.inspect(dcal.load(folder / name), PIXELS, target=1) for name in ("oak", "ash"))
    assert (agreement(plain, full).glca, agreement(plain, full).selected) == (None, None)
    assert agreement(plain, replace(full, target=0)).relevance is None
    moved = agreement(plain, replace(full, box=(1.0, 0.0, 40.0, 50.0)))
    assert (moved.rollout, moved.relevance) == (None, None)


def test_records_of_different_images_are_refused(folder: Path) -> None:
    model = dcal.load(folder / "oak")
    with pytest.raises(dcal.DCALError, match="different images"):
        agreement(dcal.inspect(model, PIXELS), dcal.inspect(model, PIXELS[:, ::-1]))

"""A clicked patch is a place in the image: the same for checkpoints whose grids differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import dcal
from dcal import draw
from dcal.gallery.build import build_folder
from dcal.gallery.sources import dataset_images
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from tests.app.test_dashboard import PATIENCE, texts
from tests.fixtures.tiny_reid import write_yard

GRIDS = {"a-flat": (4, 8), "b-tall": (8, 4)}  # rows, columns


def find_page() -> None:
    from dcal_explorer.dashboard.views import reidentify

    reidentify.page()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two Re-ID checkpoints of other grids over the whole image, with galleries of the same images."""
    place = tmp_path_factory.mktemp("grids")
    images = dataset_images("yard", write_yard(place / "yard"))
    for name, (rows, cols) in GRIDS.items():
        size = (16 * rows, 16 * cols)
        preprocess = dcal.Preprocess(size=size, crop_fraction=1.0, fit="squash")
        model = dcal.create_model("test_vit", 7, task="reid", ablation="sa_only", img_size=size, preprocess=preprocess)
        saved = dcal.save(model.eval(), place / "checkpoints" / name, {})
        build_folder(dcal.load(saved), images, saved / "gallery", name, workers=0)
    return place / "checkpoints"


def test_one_patch_is_the_same_place_in_every_grid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[tuple[int, int], int]] = []

    def partners(match: dcal.Match, evidence: dcal.Evidence, patch: int, **_: Any) -> np.ndarray:
        drawn.append((evidence.shape, patch))
        return np.zeros((8, 16, 3), dtype=np.uint8)

    monkeypatch.setattr(draw, "partners", partners)
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(find_page, default_timeout=PATIENCE)
    app.query_params["find_compared"] = list(GRIDS)
    app.query_params["ask_patch"] = "true"
    app.query_params["at"] = f"{5.5 / 8},{1.5 / 4}"  # row 1, column 5 of 4 × 8: row 3, column 2 of 8 × 4
    app.run()
    assert not app.exception and not app.error
    places = {shape: divmod(patch, shape[1]) for shape, patch in drawn}
    assert places == {(4, 8): (1, 5), (8, 4): (3, 2)}
    assert "Row 2, column 6 of the query" in texts(app) and "Row 4, column 3 of the query" in texts(app)


@pytest.mark.parametrize("wrong", ["", "1", "x,y", "nan,nan", "1.2,0.5", "-0.1,0.5", "inf,0"])
def test_a_wrong_place_in_the_address_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    app = AppTest.from_function(find_page, default_timeout=PATIENCE)
    app.query_params["ask_patch"] = "true"
    app.query_params["at"] = wrong
    app.run()
    assert not app.exception and not app.error


def test_places_and_patches(folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    flat, tall = (dcal.inspect(dcal.load(folder / name), pixels) for name in GRIDS)
    for seen, (rows, cols) in ((flat, (4, 8)), (tall, (8, 4))):
        for row in range(rows):
            for col in range(cols):
                x, y = draw.place_of(seen, row, col)
                assert (x, y) == pytest.approx(((col + 0.5) / cols, (row + 0.5) / rows))
                assert draw.patch_under(seen, (x, y)) == (row, col)
    assert draw.patch_under(flat, (1.0, 0.5)) is None

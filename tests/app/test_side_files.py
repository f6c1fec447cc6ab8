"""A damaged file beside a checkpoint's weights: the page stays, the file is named, no path of the server is shown."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

import dcal
from dcal_explorer.content import cards
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.galleries import Galleries
from dcal_explorer.content.map_scores import LAST_LAYER_ONLY, NOT_MEASURED, MapScores
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from tests.app.test_dashboard import PATIENCE, compare_page, parts, texts
from tests.fixtures.ablations import write_ablations
from tests.fixtures.damage import flipped
from tests.fixtures.tiny_yard import write_checkpoints

DAMAGED = {"cut off": b'{"top1": 0.5', "no object": b"[1, 2]", "not UTF-8": b'{"a": "\xff"}', "empty": b""}


def inspect_page() -> None:
    from dcal_explorer.dashboard.views import inspect

    inspect.page()


def find_page() -> None:
    from dcal_explorer.dashboard.views import reidentify

    reidentify.page()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ablations(tmp_path / "four")


@pytest.fixture
def image(tmp_path: Path) -> dict[str, Any]:
    noise = np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.png")
    return {"path": str(tmp_path / "image.png")}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("file", ["metrics.json", "analysis.json"])
def test_the_demo_shows_the_record_and_names_the_file(
    folder: Path, image: dict[str, Any], tmp_path: Path, file: str, data: bytes
) -> None:
    (folder / "ash" / file).write_bytes(data)
    callbacks = InspectCallbacks(CheckpointLibrary(folder), tmp_path)
    key, predictions, summary = callbacks.inspect(image, "ash")
    assert predictions["SA"]
    caption = summary if file == "metrics.json" else callbacks.layer(key, 6)[1]
    assert f"`ash/{file}`" in caption and str(tmp_path) not in caption


@pytest.mark.parametrize("file", ["metrics.json", "analysis.json"])
@pytest.mark.parametrize("page", [inspect_page, compare_page])
def test_the_dashboard_shows_the_record_and_names_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, page: Any, file: str
) -> None:
    if page is compare_page and file == "analysis.json":
        pytest.skip("the page Compare reads no analysis.json")
    (folder / "ash" / file).write_bytes(DAMAGED["cut off"])
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE).run()
    assert not app.exception
    shown = texts(app) + "".join(parts(app))
    assert f"ash/{file}" in shown and str(folder) not in shown


def test_a_damaged_configuration_keeps_the_record_and_hides_the_path(
    folder: Path, image: dict[str, Any], tmp_path: Path
) -> None:
    callbacks = InspectCallbacks(CheckpointLibrary(folder), tmp_path)
    key, _, _ = callbacks.inspect(image, "ash")
    (folder / "oak" / "config.json").write_text("{")
    with pytest.raises(gr.Error, match=r"oak/config\.json is not a configuration") as caught:
        callbacks.inspect(image, "oak", key)
    assert str(tmp_path) not in str(caught.value)
    assert callbacks.records.get(key).checkpoint == "ash"


@pytest.mark.parametrize("page", [inspect_page, compare_page])
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_the_dashboard_says_which_checkpoint_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, page: Any, file: str
) -> None:
    (folder / "ash" / file).write_bytes(b"{")
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE).run()
    if page is inspect_page:
        app.selectbox(key="checkpoint").set_value("ash").run()
    else:
        app.multiselect(key="compared").set_value(["ash"]).run()
    assert not app.exception
    (message,) = (error.value for error in app.error)
    assert message.startswith(f"ash/{file}") and str(folder) not in message


def put_beneath(path: Path, other: Path) -> None:
    """Write `other`'s bytes into a file that keeps its time, as copying and unpacking do."""
    before = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_file_that_was_replaced_under_its_old_time_is_read_again(folder: Path, tmp_path: Path) -> None:
    library, weights = CheckpointLibrary(folder), folder / "ash" / "model.safetensors"
    before, model, other = library.fingerprint("ash"), library.model("ash"), tmp_path / "other"
    other.write_bytes(flipped(weights.read_bytes()))
    put_beneath(weights, other)
    assert library.fingerprint("ash") != before and library.model("ash") is not model
    images = [tmp_path / name for name in ("a.bmp", "b.bmp")]  # of equal size
    for path, colour in zip(images, ("red", "blue"), strict=True):
        Image.new("RGB", (40, 40), colour).save(path)
    tile = cards._tile(images[0], 8, "")
    assert tile.startswith("<img")
    put_beneath(*images)
    assert cards._tile(images[0], 8, "") != tile and cards._tile(images[1], 8, "") == cards._tile(images[0], 8, "")


@pytest.mark.parametrize("page", [inspect_page, compare_page, find_page])
def test_without_checkpoints_every_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Any) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE).run()
    assert not app.exception
    assert ["dcal train" in error.value for error in app.error] == [True]


class TestReID:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_checkpoints(tmp_path)

    def test_a_damaged_list_of_items_keeps_the_query(self, folder: Path, tmp_path: Path) -> None:
        callbacks = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(folder), tmp_path))
        key, _ = callbacks.choose("images/0025_c3.webp", "reid-full")
        (folder / "reid-sa_only" / "gallery" / "items.csv").write_text("path,identity\n")
        with pytest.raises(gr.Error, match=r"^'?reid-sa_only/gallery/items\.csv lacks the columns camera") as caught:
            callbacks.change("reid-sa_only", key)
        assert str(tmp_path) not in str(caught.value)
        assert callbacks.records.get(key).checkpoint == "reid-full"
        assert callbacks.ranking(key)[0]["hits"]

    def test_a_gallery_edited_in_place_is_read_again(self, folder: Path) -> None:
        galleries = Galleries(CheckpointLibrary(folder))
        before = galleries.open("reid-full")
        table = folder / "reid-full" / "gallery" / "items.csv"
        text = table.read_text().replace("0025_c8.webp,25,8", "0025_c8.webp,25,3")
        with table.open("r+") as file:  # the folder's own time does not change
            file.write(text)
            file.truncate()
        after = galleries.open("reid-full")
        assert before.item("images/0025_c8.webp").camera == "8"
        assert after.item("images/0025_c8.webp").camera == "3"

    def test_a_damaged_evaluation_is_named_below_the_figures(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "reid-full" / "evaluation.json").write_bytes(DAMAGED["cut off"])
        monkeypatch.setenv(CHECKPOINTS, str(folder))
        st.cache_resource.clear()
        app = AppTest.from_function(find_page, default_timeout=PATIENCE).run()
        assert not app.exception and len(app.table) == 1
        assert ["`reid-full/evaluation.json` cannot be read" in warning.value for warning in app.warning] == [True]


class TestScores:
    @pytest.fixture
    def library(self, folder: Path) -> CheckpointLibrary:
        scores = {"deletion": {"mean": 0.1}, "insertion": {"mean": 0.6}}
        random = {"deletion": {"mean": 0.45}, "insertion": {"mean": 0.4}}
        analysis: dict[str, Any] = {"maps": {"rollout": scores, "relevance": scores, "random": random}}
        analysis["fingerprint"] = dcal.fingerprint(dcal.load(folder / "ash"))
        (folder / "ash" / "analysis.json").write_text(json.dumps(analysis))
        shutil.copy(folder / "ash" / "analysis.json", folder / "elm" / "analysis.json")
        return CheckpointLibrary(folder)

    def test_every_map_says_what_it_scores(
        self, library: CheckpointLibrary, image: dict[str, Any], tmp_path: Path
    ) -> None:
        callbacks = InspectCallbacks(library, tmp_path)
        key, _, _ = callbacks.inspect(image, "ash")
        score = "deletion 0.100 (random 0.450; lower is better), insertion 0.600 (random 0.400; higher is better)"
        _, _, about, about_rollout = callbacks.evidence(key, "001.Owl")
        assert score in about and about.startswith("**Relevance")
        assert NOT_MEASURED in about_rollout
        assert score in callbacks.layer(key, 6)[1]
        assert LAST_LAYER_ONLY in callbacks.layer(key, 5)[1] and LAST_LAYER_ONLY in callbacks.layer(key, 6, "max")[1]
        _, _, _, sa, glca, _ = callbacks.compare(key)
        assert score in sa and NOT_MEASURED in glca

    def test_figures_of_other_weights_are_not_shown(self, library: CheckpointLibrary) -> None:
        said = MapScores.of(library.analysis("elm")).sentence("rollout")
        assert said == "*`elm/analysis.json` was measured for other weights: run `dcal eval` again.*"

    def test_without_an_analysis_it_says_so(self, library: CheckpointLibrary) -> None:
        assert MapScores.of(library.analysis("oak")).sentence("rollout") == NOT_MEASURED

"""The dashboard's page Re-identify, run by Streamlit's own harness on small checkpoints with galleries."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

import dcal
from dcal import draw
from dcal.gallery.build import build_folder
from dcal.gallery.sources import dataset_images
from dcal.gallery.storage import ITEMS
from dcal_explorer.content import captions, match_explanation, reid_captions
from dcal_explorer.dashboard import ranked
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from tests.app.test_dashboard import PATIENCE, parts, texts
from tests.fixtures.tiny_reid import write_yard
from tests.fixtures.tiny_yard import NAMES, cosines, write_checkpoints


def find_page() -> None:
    from dcal_explorer.dashboard.views import reidentify

    reidentify.page()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoints(tmp_path_factory.mktemp("reid"))


@pytest.fixture
def app(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page, run once."""
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(find_page, default_timeout=PATIENCE).run()
    assert not app.exception
    return app


def crop(shade: int = 0) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def rankings(app: AppTest) -> list[str]:
    """The HTML of every checkpoint's ranking."""
    return [part for part in parts(app) if 'class="cards hits"' in part]


def test_every_checkpoint_has_its_ranking(app: AppTest, folder: Path) -> None:
    assert app.multiselect(key="find_compared").value == list(NAMES)
    assert len(rankings(app)) == 2
    assert texts(app).count("among 8 images of the other cameras") == 2
    assert captions.ATTENTIONS in texts(app)
    assert "its twin is vehicle 26 (twins are equal except for one part)" in texts(app)
    app.toggle(key="across").set_value(False).run()
    for name, html in zip(NAMES, rankings(app), strict=True):
        order = sorted(cosines(folder / name, "images/0025_c1.webp").items(), key=lambda pair: -pair[1])[:8]
        for rank, (path, similarity) in enumerate(order, 1):
            vehicle, camera = int(path[7:11]), path[13]
            text = "correct" if vehicle == 25 else "its twin" if vehicle == 26 else "wrong"
            said = f"Rank {rank}, vehicle {vehicle}, camera {camera}, similarity {similarity:.3f}, {text}"
            assert f'alt="{said}"' in html
    assert texts(app).count("Average precision") == 2
    heads = [part for part in parts(app) if "<code>" in part]
    assert ["<h3>SA</h3>" in heads[0], "<h3>SA + GLCA + PWCA</h3>" in heads[1]] == [True, True]


def test_another_query_and_filters(app: AppTest) -> None:
    app.selectbox(key="identity").set_value("60").run()
    app.segmented_control(key="image_of_60").set_value(2).run()
    assert not app.exception
    assert "Query: vehicle 60, camera 8" in texts(app)
    app.multiselect(key="find_cameras").set_value(["3"]).run()
    app.slider(key="find_most").set_value(3).run()
    assert not app.exception
    for html in rankings(app):
        assert html.count("<figure ") == 3
        assert html.count("camera 3,") == 6  # and their titles
    assert "among 4 images of the other cameras" in texts(app)


def test_why_an_image_matched_by_each_checkpoint(app: AppTest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, np.ndarray, int]] = []

    def pair(match: dcal.Match, evidence: dcal.Evidence, **_: Any) -> np.ndarray:
        drawn.append(("pair", evidence.query_map, -1))
        return np.zeros((8, 16, 3), dtype=np.uint8)

    def partners(match: dcal.Match, evidence: dcal.Evidence, patch: int, **_: Any) -> np.ndarray:
        drawn.append(("partners", evidence.likeness, patch))
        return np.zeros((8, 16, 3), dtype=np.uint8)

    monkeypatch.setattr(draw, "pair", pair)
    monkeypatch.setattr(draw, "partners", partners)
    app.selectbox(key="explained_image").set_value("images/0026_c8.webp").run()
    assert not app.exception
    assert texts(app).count("These two are twins") == 2
    app.segmented_control(key="branch").set_value("GLCA").run()
    yard = folder.parent / "yard" / "images"
    matches = [
        dcal.explain_match(dcal.load(folder / name), yard / "0025_c1.webp", yard / "0026_c8.webp") for name in NAMES
    ]
    wanted = [matches[0].evidence("sa"), matches[1].evidence("glca")]  # the first has no other branch
    for evidence in wanted:  # the first's may have been drawn before the branch was chosen
        assert any(np.allclose(map, evidence.query_map, atol=1e-6) for _, map, _ in drawn)
    np.testing.assert_allclose(drawn[-1][1], wanted[-1].query_map, atol=1e-6)
    assert texts(app).count("Measured worth: none yet for this checkpoint") == 2
    app.toggle(key="ask_patch").set_value(True).run()
    assert not app.exception
    strongest = int(matches[0].evidence("fused").query_map.argmax())
    assert [(kind, patch) for kind, _, patch in drawn[-2:]] == [("partners", strongest)] * 2


def test_an_upload_is_ranked_and_a_bad_one_gets_a_message(app: AppTest) -> None:
    app.file_uploader(key="crop").set_value(("holiday.png", b"%PDF-1.7", "image/png")).run()
    assert not app.exception
    assert "PDF" in texts(app)
    app.file_uploader(key="crop").set_value(("crop.png", crop(), "image/png")).run()
    assert not app.exception
    assert "Your own crop" in texts(app)
    assert texts(app).count("The 8 nearest of 12 images") == 2
    assert "✓" not in "".join(rankings(app))


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints of which the second's gallery is of another folder: fewer images, one another's by its name."""
    folder = write_checkpoints(tmp_path)
    other, place = write_yard(tmp_path / "other", (25, 26), (1, 3)), folder / "reid-full"
    shutil.copy(other / "images" / "0026_c3.webp", other / "images" / "0025_c1.webp")
    build_folder(dcal.load(place), dataset_images("yard", other), place / "gallery", place.name, workers=0)
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    return folder


def test_another_gallery_is_asked_for_the_query_itself(apart: Path) -> None:
    app = AppTest.from_function(find_page, default_timeout=PATIENCE).run()
    assert not app.exception
    name, query = "reid-full", apart.parent / "yard" / "images" / "0025_c1.webp"
    seen = dcal.inspect(dcal.load(apart / name), query)
    direct = dcal.rank(dcal.open_gallery(apart / name / "gallery"), seen)
    mine, others = rankings(app)
    assert "✓" in mine and "✓" not in others and "✗" not in others
    for hit in direct.hits:
        said = f"vehicle {hit.item.identity}, camera {hit.item.camera}, similarity {hit.similarity:.3f}"
        assert f'alt="Rank {hit.rank}, {said}"' in others
    assert f"The 4 nearest of 4 images, by the cosine of the two embeddings. {reid_captions.NOT_THERE}" in texts(app)
    assert texts(app).count(reid_captions.NOT_THERE) == 1
    assert "Why did it match?" not in [heading.value for heading in app.subheader]  # no file is in both galleries


def test_what_is_wrong_with_one_checkpoint_stands_in_its_column(apart: Path) -> None:
    app = AppTest.from_function(find_page, default_timeout=PATIENCE).run()
    app.multiselect(key="find_cameras").set_value(["8"]).run()
    (said,) = (error.value for error in app.error)
    assert said.startswith("reid-full: no image has the cameras '8'; the gallery has '1', '3'")
    assert len(rankings(app)) == 1 and "Why did it match?" in [heading.value for heading in app.subheader]
    shutil.rmtree(apart / "reid-full" / "gallery")
    app.multiselect(key="find_cameras").set_value([]).run()
    (said,) = (error.value for error in app.error)
    assert said.startswith("reid-full: reid-full has no gallery to search") and len(rankings(app)) == 1
    app.multiselect(key="find_compared").set_value(["reid-full"]).run()
    assert [error.value for error in app.error] == [said] and not app.exception
    assert len(app.table) == 1  # the figures stand all the same


def test_an_image_that_was_deleted_is_named(apart: Path) -> None:
    (apart.parent / "yard" / "images" / "0025_c1.webp").unlink()
    app = AppTest.from_function(find_page, default_timeout=PATIENCE).run()
    assert not app.exception
    assert [error.value for error in app.error] == [
        "images/0025_c1.webp cannot be read (No such file or directory): put it back, or build the gallery again "
        "without it"
    ]


def test_figures_are_read_not_computed(app: AppTest, folder: Path) -> None:
    def rows(index: int = 0) -> list[dict[str, str]]:
        return app.table[index].value.to_dict("records")

    assert len(app.table) == 1
    assert [row["checkpoint"] for row in rows()] == ["reid-full", "reid-sa_only"]
    assert [row["mAP, as it ranks"] for row in rows()] == ["35.0%", "25.0%"]
    assert rows()[0]["mAP, GLCA alone"] == "–"
    place = folder / "reid-full" / "evaluation.json"
    kept = {"fingerprint": dcal.fingerprint(dcal.load(folder / "reid-full")), "mAP": 0.5, "glca_rank1": 0.125}
    kept |= {"intervals": {"mAP": [0.4, 0.625]}, "across_cameras": {"sa_mAP": 0.75}}
    place.write_text(json.dumps(kept))
    try:
        app.run()
        assert [row["mAP, SA alone"] for row in rows(0)] == ["75.0%"]  # across cameras
        assert (rows(1)[0]["mAP, as it ranks"], rows(1)[0]["rank-1, GLCA alone"]) == ("50.0% (40.0%–62.5%)", "12.5%")
        place.write_text(json.dumps({**kept, "fingerprint": "of other weights"}))
        app.run()
        assert rows()[0]["mAP, as it ranks"] == "35.0%"
    finally:
        place.unlink()


def test_moving_a_slider_runs_no_model(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcal.DCAL, "embed", lambda *_: pytest.fail("a model ran"))
    app.slider(key="opacity").set_value(0.3).run()
    app.slider(key="find_most").set_value(4).run()
    app.segmented_control(key="branch").set_value("SA").run()
    assert not app.exception


def test_without_anything_to_compare_it_says_so(
    app: AppTest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.multiselect(key="find_compared").set_value([]).run()
    assert "Choose at least one checkpoint." in texts(app)
    dcal.save(dcal.create_model("test_vit", 3, img_size=(32, 32)), tmp_path / "birds")
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path))
    empty = AppTest.from_function(find_page, default_timeout=PATIENCE).run()
    assert reid_captions.NO_CHECKPOINT in texts(empty)


Page = Callable[[], None]


def inspect_page() -> None:
    from dcal_explorer.dashboard.views import inspect

    inspect.page()


def compare_page() -> None:
    from dcal_explorer.dashboard.views import compare

    compare.page()


@pytest.mark.parametrize("page", [inspect_page, compare_page])
def test_the_other_pages_show_such_checkpoints_without_classes(
    page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE).run()
    assert not app.exception
    said = texts(app) + "".join(parts(app))
    assert "it predicts no class" in said
    assert "class " not in said.replace("class token", "").replace('class="', "").replace("predicts no class", "")


def test_a_run_computes_nothing_that_was_there(app: AppTest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(module: Any, name: str) -> None:
        own = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return own(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    counted(ranked, "rank")
    counted(draw, "pair")
    counted(match_explanation, "on_part")
    before = texts(app), rankings(app)
    app.run()
    other = AppTest.from_function(find_page, default_timeout=PATIENCE).run()  # another visitor
    assert not app.exception and (texts(app), rankings(app)) == before == (texts(other), rankings(other))
    assert calls == []
    app.slider(key="find_most").set_value(3).run()  # fewer of the same ranking
    assert calls == []
    app.slider(key="opacity").set_value(0.3).run()
    assert calls == ["pair"] * 2
    app.toggle(key="rerank").set_value(True).run()
    assert calls[2:4] == ["rank"] * 2
    calls.clear()
    app.toggle(key="rerank").set_value(False).run()
    assert "rank" not in calls
    place = folder / "reid-full" / "gallery"
    (copy := place.with_name("copy")).write_bytes((place / ITEMS).read_bytes())
    copy.replace(place / ITEMS)  # the gallery was built again
    calls.clear()
    app.run()
    assert not app.exception and calls.count("rank") == 1

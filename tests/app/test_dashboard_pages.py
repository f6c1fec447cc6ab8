"""The dashboard's pages on sets of images and families of checkpoints, run by Streamlit's own harness."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

import dcal
from dcal.analysis.twin_pairs import on_difference, told_apart_by_pair
from dcal.data.reid.yard import Yard
from dcal.evaluation.image_results import ImageResults, packed
from dcal.evaluation.predictions import Predictions
from dcal.gallery import rank
from dcal.gallery.projection import projection
from dcal.gallery.survey import comparison, survey
from dcal.retrieval import Reranking
from dcal.training import epoch_maps
from dcal_explorer.content.numbers import decimal, percent, share
from dcal_explorer.content.places import DATA_ROOT_VARIABLE
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from dcal_explorer.dashboard.views import ablations, retrieval, twins
from dcal_explorer.dashboard.views.runs import RUNS
from tests.app.test_dashboard import PATIENCE, parts, texts
from tests.fixtures.ablations import NAMES, write_ablations
from tests.fixtures.tiny_yard import write_checkpoints

OPEN_SET = {
    "auroc": 0.75,
    "chosen": {"threshold": 0.5, "misses": 0.125, "false_alarms": 0.25},
    "histogram": {"low": 0.0, "high": 1.0, "known": [1, 7], "new": [6, 2]},
}

RELIABILITY = [
    {"low": 0.0, "high": 0.5, "pairs": 8, "probability": 0.25, "matches": 0.125},
    {"low": 0.5, "high": 1.0, "pairs": 4, "probability": 0.75, "matches": 1.0},
]


def ablations_page() -> None:
    from dcal_explorer.dashboard.views import ablations

    ablations.page()


def retrieval_page() -> None:
    from dcal_explorer.dashboard.views import retrieval

    retrieval.page()


def images_page() -> None:
    from dcal_explorer.dashboard.views import images

    images.page()


def runs_page() -> None:
    from dcal_explorer.dashboard.views import runs

    runs.page()


def twins_page() -> None:
    from dcal_explorer.dashboard.views import twins

    twins.page()


def opened(page: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **query: Any) -> AppTest:
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(page, default_timeout=PATIENCE)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


@pytest.fixture(scope="module")
def reid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoints(tmp_path_factory.mktemp("reid"))


class TestAblations:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Four checkpoints, of which two were evaluated on three classes."""
        folder = write_ablations(tmp_path / "four")
        for name, accuracies in {"oak": (0.5, 0.75, 1.0), "ash": (0.75, 0.75, 0.5)}.items():
            rows = [
                {"class": c, "n": 4, "accuracy": a} for c, a in zip(("Owl", "Kiwi", "Emu"), accuracies, strict=True)
            ]
            top1 = float(np.mean(accuracies))
            found = {"dataset": "three birds", "top1": top1, "ece": 0.125, "per_class": rows}
            found |= {"intervals": {"top1": [0.5, 0.875]}, "fingerprint": dcal.fingerprint(dcal.load(folder / name))}
            (folder / name / "evaluation.json").write_text(json.dumps(found))
        return folder

    def test_figures_gains_and_losses(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened(ablations_page, folder, monkeypatch, before="oak", after="ash")
        assert not app.exception and not app.error
        rows = {row["checkpoint"]: row for row in app.dataframe[0].value.to_dict("records")}
        assert list(rows) == list(NAMES)
        assert rows["oak"]["top-1"] == "75.0% (50.0%–87.5%)"
        assert rows["elm"]["top-1"] == "51.0%"  # of training: it was not evaluated
        assert "**1 gain, 1 lose, 1 are equal**, of 3." in texts(app)
        changes = {row["class or camera"]: row["change"] for row in app.dataframe[1].value.to_dict("records")}
        assert list(changes.items()) == [("Owl", "+25.0"), ("Kiwi", "+0.0"), ("Emu", "-50.0")]

    def test_what_was_not_measured_is_said(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened(ablations_page, folder, monkeypatch, before="elm", after="ash")
        assert not app.exception
        assert ["both checkpoints need an evaluation.json" in error.value for error in app.error] == [True]
        assert "Their maps were not measured" in texts(app)  # the rest of the page stands

    def test_evaluations_of_other_images_are_not_compared(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder / "ash" / "evaluation.json"
        path.write_text(path.read_text().replace("three birds", "three others"))
        app = opened(ablations_page, folder, monkeypatch, before="oak", after="ash")
        assert ["evaluated on different images" in error.value for error in app.error] == [True]

    def test_images_by_disagreement(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        images = [f"images/{name}.png" for name in ("owl", "kiwi", "emu")]
        for name, predicted in {"oak": [0, 1, 2], "ash": [0, 2, 2]}.items():
            weights = json.loads((folder / name / "evaluation.json").read_text())["fingerprint"]
            own = np.where(np.array(predicted) == [0, 1, 2], 0.75, 0.25).astype(np.float32)
            answers = Predictions("same", np.arange(3), {"fused": np.array(predicted)}, {"fused": own}, {"fused": own})
            found = ImageResults(weights, "three birds", "squash", tuple(images), answers, {}, ("Owl", "Kiwi", "Emu"))
            (folder / name / "predictions.npz").write_bytes(packed(found))
        root = folder.parent / "data" / "birds"
        (root / "images").mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(root / "images" / "kiwi.png")
        monkeypatch.setenv(DATA_ROOT_VARIABLE, str(root.parent))
        app = opened(ablations_page, folder, monkeypatch, before="oak", after="ash", disagree_right="oak")
        assert not app.exception and not app.error
        assert "**1 images**, 1 to 1 shown." in texts(app) and "✗ ash: Emu; label 25.0%" in texts(app)
        assert "Without elm, yew" in texts(app)
        assert [button.key for button in app.button] == ["open-images/kiwi.png"]
        app.selectbox(key="disagree_right").set_value("any").run()
        assert "**3 images**" in texts(app) and texts(app).index("**Kiwi**") < texts(app).index("**Owl**")

    def test_results_of_other_weights_do_not_count(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "oak" / "predictions.npz").write_bytes(b"cut off")
        app = opened(ablations_page, folder, monkeypatch, before="oak", after="ash")
        assert not app.exception
        assert ["oak/predictions.npz cannot be read" in error.value for error in app.error] == [True]
        assert str(folder) not in app.error[0].value
        assert "Which images they disagree on is not known" in texts(app)

    def test_the_bundled_checkpoints(self) -> None:
        for task, title in ablations.TASKS.items():
            app = AppTest.from_function(ablations_page, default_timeout=PATIENCE)
            app.query_params["task"] = title
            app.run()
            assert not app.exception and not app.error
            assert app.multiselect(key=f"ablations_{task}").value
            assert len(app.dataframe[0].value) == 4
            assert "not measured" not in texts(app)


class TestRetrieval:
    @pytest.mark.parametrize("order", ["worst", "best"])
    def test_queries_come_in_the_order_that_the_page_names(
        self, reid: Path, monkeypatch: pytest.MonkeyPatch, order: str
    ) -> None:
        app = opened(
            retrieval_page,
            reid,
            monkeypatch,
            retrieval_checkpoint="reid-full",
            order=retrieval.ORDERS[order],
            queries_shown="4",
        )
        assert not app.exception and not app.error
        gallery = dcal.open_gallery(reid / "reid-full" / "gallery")
        singles = []
        for item in gallery.items:
            cameras = [camera for camera in gallery.cameras if camera != item.camera]
            singles.append(rank(gallery, item, cameras=cameras).ap)
        expected = sorted(singles, reverse=order == "best")[:4]
        shown = [line for line in texts(app).splitlines() if "· average precision" in line]
        assert [line.split("average precision ")[1].split(" ")[0] for line in shown] == [percent(ap) for ap in expected]
        links = [html.unescape(part) for part in re.findall(r'href="([^"]+)"', "".join(parts(app)))]
        assert len(links) == 4 * 8  # each query and its seven hits
        asked = parse_qs(urlsplit(links[1]).query)
        assert asked["find_compared"] == ["reid-full"] and asked["explained_image"][0].startswith("vehicle ")
        word = "lowest" if order == "worst" else "highest"
        assert f"The 4 queries with the {word} average precision, of 12." in texts(app)
        assert f"**mAP {percent(float(np.mean(singles)))}**" in texts(app)

    def test_random_is_the_same_again(self, reid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pages = [opened(retrieval_page, reid, monkeypatch, order=retrieval.ORDERS["random"]) for _ in range(2)]
        first, second = ([line for line in texts(app).splitlines() if "· average" in line] for app in pages)
        assert first == second and "drawn at random" in texts(pages[0])

    def test_equal_error_rates_are_read_off_the_curves(self, reid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened(retrieval_page, reid, monkeypatch, retrieval_checkpoint="reid-full")
        found = survey(dcal.open_gallery(reid / "reid-full" / "gallery"), across=True)
        missed, accepted = found.error_rates()
        equal = int(np.abs(missed - accepted).argmin())
        assert f"with {percent(float(missed[equal]))} missed and {percent(float(accepted[equal]))} accepted" in texts(
            app
        )

    def test_what_changes_and_the_map(self, reid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened(retrieval_page, reid, monkeypatch, retrieval_checkpoint="reid-full")
        gallery = dcal.open_gallery(reid / "reid-full" / "gallery")
        found = comparison(gallery, Reranking())
        rows = app.dataframe[0].value.to_dict("records")
        assert [row["mAP"] for row in rows] == [percent(quality.mAP) for quality in found.qualities.values()]
        assert "raises the average precision of {} queries and lowers that of {}.".format(
            *found.changed(True)
        ) in texts(app)
        held = sum(projection(gallery).explained)
        assert f"The two components hold {percent(held)} of the variance." in texts(app)
        assert "dcal eval --task reid" in texts(app)  # the open set was not measured
        across = {"open_set": OPEN_SET, "reliability": RELIABILITY, "calibration_error": 0.0625}
        evaluation = {"similarities": {"across": across}}
        place = reid / "reid-full" / "evaluation.json"
        place.write_text(json.dumps({"fingerprint": dcal.fingerprint(dcal.load(place.parent)), **evaluation}))
        try:
            app.run()
            assert "12.5% of the queries that are there are called new, and 25.0% of the new ones pass" in texts(app)
            assert "in 2 bins of 12 pairs. Expected calibration error 6.2%." in texts(app)
        finally:
            place.unlink()

    def test_a_lasso_opens_its_images(self, reid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = {}

        def chart(figure: Any, key: str, **_: Any) -> dict[str, Any]:
            drawn[key] = figure
            return {"selection": {"points": [{"customdata": [4]}, {"customdata": [9]}]}}

        monkeypatch.setattr(st, "plotly_chart", chart)
        app = opened(retrieval_page, reid, monkeypatch, retrieval_checkpoint="reid-full")
        assert not app.exception and "**2 images chosen.**" in texts(app)
        items = dcal.open_gallery(reid / "reid-full" / "gallery").items
        for item in (items[4], items[9]):
            assert f'alt="vehicle {item.identity}, camera {item.camera}"' in "".join(parts(app))
        traces = drawn["embedding_map-pca-vehicle"].data
        assert [trace.name for trace in traces] == ["25", "26", "59", "60"]
        assert sorted(place for trace in traces for (place,) in trace.customdata) == list(range(12))


class TestImages:
    def test_filters_and_one_image(self, reid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened(images_page, reid, monkeypatch, camera="3", annotation="parts")
        assert not app.exception and not app.error
        assert "**40 images**, 1 to 24 shown." in texts(app)
        grid = next(part for part in parts(app) if 'class="cards hits"' in part)
        assert grid.count("<figure>") == 24 and "camera 8" not in grid
        assert len(set(re.findall(r'src="([^"]+)"', grid))) > 20  # each its own image
        assert "It lies on the vehicle" in texts(app) or "of it lies on the vehicle" in texts(app)
        app.selectbox(key="vehicle").set_value("25").run()
        assert "**1 images**" in texts(app) and "Its twin is vehicle 26" in texts(app)
        app.selectbox(key="split").set_value("train").run()
        assert not app.exception
        assert "No image is left" in texts(app) or "images**" in texts(app)

    def test_test_images_of_a_checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = write_ablations(tmp_path / "four")
        weights = dcal.fingerprint(dcal.load(folder / "ash"))
        (folder / "ash" / "evaluation.json").write_text(json.dumps({"fingerprint": weights}))
        own = {"fused": np.array([0.75, 0.25, 0.5], dtype=np.float32)}
        answers = Predictions("same", np.array([0, 1, 2]), {"fused": np.array([0, 2, 2])}, own, own)
        names = ("owl.png", "kiwi.png", "emu.png")
        found = ImageResults(weights, "three birds", "squash", names, answers, {}, ("Owl", "Kiwi", "Emu"))
        (folder / "ash" / "predictions.npz").write_bytes(packed(found))
        asked = {"source": "Test images of a checkpoint", "evaluated_checkpoint": "ash", "evaluated_answer": "Wrong"}
        app = opened(images_page, folder, monkeypatch, **asked)
        assert not app.exception and not app.error
        assert "**1 images**, 1 to 1 shown." in texts(app) and "✗ Emu; label 25.0%" in texts(app)
        assert "The images are not at hand" in texts(app)
        app.selectbox(key="evaluated_checkpoint").set_value("oak").run()
        assert "No test image of this checkpoint is known" in texts(app)


class TestRuns:
    def test_a_run_while_it_goes_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = [
            {"epoch": 0, "step": 10 * i, "loss": 3.0 - i, "losses": {"sa": 2.0}, "distractor_shares": [0.25, 0.5]}
            for i in (1, 2)
        ]
        lines.append({"epoch": 1, "step": 20, "split": "test", "top1": 0.75, "exported": True})
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epo')
        images = np.full((2, 32, 48, 3), 128, dtype=np.uint8)
        epoch_maps.write_images(images, tmp_path / "mine")
        for epoch in (1, 2):
            maps = np.random.default_rng(epoch).random((2, 2, 3)).astype(np.float32)
            epoch_maps.write_maps({"rollout": maps, "glca_input": maps}, epoch, tmp_path / "mine")
        monkeypatch.setenv(RUNS, str(tmp_path))
        app = AppTest.from_function(runs_page, default_timeout=PATIENCE).run()
        assert not app.exception and not app.error
        assert "After epoch 2, each image on a scale of its own." in texts(app)
        assert "**mine** · epoch 0, step 20 · 1 evaluations" in texts(app)
        assert app.dataframe[0].value.to_dict("records")[0]["top1"] == "75.0%"
        assert "**Losses**" in texts(app) and "**PWCA's attention on the distractor**" in texts(app)

    def test_without_runs_it_says_how_to_get_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(RUNS, str(tmp_path / "nowhere"))
        app = AppTest.from_function(runs_page, default_timeout=PATIENCE).run()
        assert not app.exception
        assert "There is no run in the folder `nowhere`." in texts(app) and str(tmp_path) not in texts(app)

    def test_until_there_are_any_it_shows_the_kept_ones(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(RUNS, raising=False)
        monkeypatch.chdir(tmp_path)
        app = AppTest.from_function(runs_page, default_timeout=PATIENCE).run()
        assert not app.exception and "There is no run in the folder `runs` yet" in texts(app)
        assert len(app.multiselect(key="runs").value) == 4 and "12 epochs" in texts(app)
        (tmp_path / "runs" / "mine").mkdir(parents=True)
        (tmp_path / "runs" / "mine" / "log.jsonl").write_text('{"epoch": 0, "step": 10, "loss": 1.5}\n')
        app = AppTest.from_function(runs_page, default_timeout=PATIENCE).run()
        assert app.multiselect(key="runs").value == ["mine"] and "kept runs" not in texts(app)


class TestTwins:
    def test_every_checkpoint_shows_the_pair(self, reid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        app = opened(twins_page, reid, monkeypatch)
        assert not app.exception and not app.error
        assert texts(app).count("Margin **") == 2
        assert len(app.dataframe[0].value) == 20 and len(app.dataframe[1].value) == 2
        app.selectbox(key="kind").set_value("same").run()
        assert not app.exception and texts(app).count("Similarity **") == 2

    def test_all_pairs_are_listed_and_explained_on_request(
        self, reid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reid = shutil.copytree(reid.parent, tmp_path / "copy") / "checkpoints"
        (reid / "reid-sa_only").rename(reid / "pair")  # called as a column is
        pairs = [pair for pair in twins.test_pairs() if pair.identities == (25, 26)]
        monkeypatch.setattr(twins, "test_pairs", lambda: pairs)
        app = opened(twins_page, reid, monkeypatch)
        assert not app.exception and not app.error
        (row,) = app.dataframe[0].value.to_dict("records")
        records = Yard(reid.parent / "yard", "gallery").records
        for name, column in (("reid-full", "reid-full"), ("pair", "checkpoint pair")):
            gallery = dcal.open_gallery(reid / name / "gallery")
            told = told_apart_by_pair(records, gallery.rows(np.arange(len(gallery))))
            assert row[column] == percent(told[25, 26]) and row["pair"] == "25 and 26"
        app.toggle(key="explain_pairs").set_value(True).run()
        assert not app.exception
        (row,) = app.dataframe[1].value.to_dict("records")
        _, on = on_difference(dcal.load(reid / "reid-full"), pairs[0].question)
        assert row["reid-full"] == f"{decimal(on.density)} ({share(on.share)})"
        shutil.rmtree(reid / "pair" / "gallery")
        st.cache_resource.clear()
        app.run()
        assert not app.exception and "pair has no gallery" in app.warning[0].value

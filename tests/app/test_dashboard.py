"""The dashboard's pages, run by Streamlit's own harness."""

import io
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
from dcal.model.model_card import ABOUT
from dcal_explorer.dashboard import sidebar
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from dcal_explorer.dashboard.views import compare
from tests.fixtures.ablations import NAMES, write_ablations

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds


@pytest.fixture
def inspect_page() -> AppTest:
    return AppTest.from_file(
        str(ROOT / "app" / "dcal_explorer" / "dashboard" / "main.py"), default_timeout=PATIENCE
    ).run()


def compare_page() -> None:
    from dcal_explorer.dashboard.views import compare

    compare.page()


def parts(app: AppTest) -> list[str]:
    """What the page says in HTML of its own, piece by piece; style sheets aside."""
    return [part for element in app.get("html") if not (part := element.proto.body).startswith("<style>")]


def fractal() -> bytes:
    """A picture's file."""
    file = io.BytesIO()
    Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).save(file, "PNG")
    return file.getvalue()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.error, *app.info))


def test_a_sample_is_shown_at_once(inspect_page):
    assert not inspect_page.exception and not inspect_page.error
    assert "Relevance for American Goldfinch" in texts(inspect_page)
    assert "cub50-full" in texts(inspect_page)


def test_another_class_and_another_r(inspect_page):
    inspect_page.selectbox(key="target").set_value("Brewer Blackbird").run()
    assert not inspect_page.exception
    assert "Relevance for Brewer Blackbird" in texts(inspect_page)
    inspect_page.slider(key="ratio").set_value(0.5).run()
    assert not inspect_page.exception
    assert "R = 50%: 98 of 196 patches" in texts(inspect_page)


def test_a_checkpoint_without_glca_says_so(inspect_page):
    inspect_page.selectbox(key="checkpoint").set_value("cub50-sa_only").run()
    assert not inspect_page.exception
    assert "without global-local cross-attention" in texts(inspect_page)


def test_a_bad_upload_gets_a_message_and_the_next_one_works(inspect_page):
    inspect_page.file_uploader(key="upload").set_value(("holiday.png", b"%PDF-1.7", "image/png")).run()
    assert not inspect_page.exception
    assert "PDF" in texts(inspect_page)
    inspect_page.file_uploader(key="upload").set_value(("fractal.png", fractal(), "image/png")).run()
    assert "PDF" not in texts(inspect_page)
    assert "Relevance for" in texts(inspect_page)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ablations(tmp_path_factory.mktemp("four"))


class TestCompare:
    @pytest.fixture
    def app(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
        """The page, not run yet, on four checkpoints that nobody knows by name."""
        monkeypatch.setenv(CHECKPOINTS, str(folder))
        st.cache_resource.clear()
        return AppTest.from_function(compare_page, default_timeout=PATIENCE)

    def test_every_ablation_has_a_column_that_says_what_it_is(self, app: AppTest) -> None:
        app.run()
        assert not app.exception
        assert app.multiselect(key="compared").value == list(NAMES)
        heads = [part for part in parts(app) if "about" in part]
        for i, (name, ablation, title) in enumerate(
            zip(NAMES, NAMES.values(), ("SA", "SA + GLCA", "SA + PWCA", "SA + GLCA + PWCA"), strict=True)
        ):
            for said in (f"<h3>{title}</h3>", f"<code>{name}</code>", ABOUT[ablation], f"{0.5 + i / 100:.1%} correct"):
                assert said in heads[i]
        assert (
            sum("All checkpoints predict" in text or "checkpoints disagree" in text for text in texts(app).splitlines())
            == 1
        )

    def test_what_is_absent_is_said(self, app: AppTest) -> None:
        app.run()
        for sentence in (compare.NO_MAP, compare.NO_SELECTION, compare.ONE_BRANCH):
            assert sum(sentence in part for part in parts(app)) == 2
        assert texts(app).count("GLCA's 3 selected patches (R = 25%)") == 2
        assert "**PWCA** is used in training only and has no map" in texts(app)
        app.multiselect(key="compared").set_value(["oak", "yew"]).run()  # none with GLCA
        assert not app.exception
        assert sum(compare.NO_MAP in part for part in parts(app)) == 2

    def test_maps_of_one_kind_are_drawn_on_the_scale_of_them_all(
        self, app: AppTest, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[tuple[np.ndarray, float, float]] = []

        def overlay(seen: dcal.Inspection, map: np.ndarray, low: float, high: float, **look: Any) -> np.ndarray:
            drawn.append((map, low, high))
            return np.zeros((8, compare.SIDE, 3), dtype=np.uint8)

        monkeypatch.setattr(draw, "overlay", overlay)
        app.run()
        app.slider(key="compared_layer").set_value(2).run()
        assert not app.exception
        photo = next(iter(sidebar.samples().values()))
        seen = [dcal.inspect(dcal.load(folder / name), photo) for name in NAMES]
        rollouts, carried = [record.rollout[1] for record in seen], [seen[1].glca_input_map, seen[3].glca_input_map]
        wanted = [rollouts[0], rollouts[1], carried[0], rollouts[2], rollouts[3], carried[1]]
        scales = {id(m): (min(map(np.min, kind)), max(map(np.max, kind))) for kind in (rollouts, carried) for m in kind}
        for (map_, low, high), expected in zip(drawn[-6:], wanted, strict=True):
            np.testing.assert_array_equal(map_, expected)
            assert (low, high) == scales[id(expected)]

    def test_sliders_draw_again_and_compute_nothing(self, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []

        def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                calls.append(name)
                return function(*arguments)

            return call

        for name in ("inspect", "load", "read_image", "fingerprint"):
            monkeypatch.setattr(dcal, name, counted(name, getattr(dcal, name)))
        app.run()
        for value in (1, 4):
            app.slider(key="compared_layer").set_value(value).run()
            assert f"Rollout by layer {value}" in texts(app)
        calls.clear()
        app.file_uploader(key="upload").set_value(("fractal.png", fractal(), "image/png")).run()
        assert sorted(calls) == ["inspect"] * 4 + ["read_image"]  # the four models were loaded before
        calls.clear()
        app.slider(key="compared_layer").set_value(2).run()
        app.slider(key="opacity").set_value(0.3).run()
        app.selectbox(key="colormap").set_value("magma").run()
        app.toggle(key="smooth").set_value(True).run()
        assert not app.exception and "Rollout by layer 2" in texts(app)
        assert calls == []

    def test_a_bad_upload_gets_a_message(self, app: AppTest) -> None:
        app.run()
        app.file_uploader(key="upload").set_value(("holiday.png", b"%PDF-1.7", "image/png")).run()
        assert not app.exception
        assert "PDF" in texts(app)

    def test_without_a_checkpoint_it_asks_for_one(self, app: AppTest) -> None:
        app.run()
        app.multiselect(key="compared").set_value([]).run()
        assert not app.exception
        assert "Choose at least one checkpoint." in texts(app)


def test_the_bundled_ablations_are_compared_at_once() -> None:
    app = AppTest.from_function(compare_page, default_timeout=PATIENCE).run()
    assert not app.exception
    compared = app.multiselect(key="compared").value
    assert {"cub50-sa_only", "cub50-full"} <= set(compared)
    assert sum("about" in part for part in parts(app)) == len(compared)

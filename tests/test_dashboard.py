"""The dashboard's pages, run by Streamlit's own harness, and once in a browser."""

import io
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120  # seconds


@pytest.fixture
def inspect_page() -> AppTest:
    return AppTest.from_file(str(ROOT / "app" / "dashboard.py"), default_timeout=PATIENCE).run()


def compare_page() -> None:
    from app.board import compare

    compare.page()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.error, *app.info))


def test_a_sample_is_shown_at_once(inspect_page):
    assert not inspect_page.exception
    assert "Layer 12 of 12" in texts(inspect_page)
    assert "cub50-full" in texts(inspect_page)


def test_the_layer_slider_redraws(inspect_page):
    inspect_page.slider(key="layer").set_value(3).run()
    assert not inspect_page.exception
    assert "Layer 3 of 12" in texts(inspect_page)
    assert "layer 3" in texts(inspect_page)


def test_a_checkpoint_without_glca_says_so(inspect_page):
    inspect_page.selectbox(key="checkpoint").set_value("cub50-sa_only").run()
    assert not inspect_page.exception
    assert "without global-local cross-attention" in texts(inspect_page)


def test_a_bad_upload_gets_a_message_and_the_next_one_works(inspect_page):
    inspect_page.file_uploader(key="upload").set_value(("holiday.png", b"%PDF-1.7", "image/png")).run()
    assert not inspect_page.exception
    assert "PDF" in texts(inspect_page)
    good = io.BytesIO()
    Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).save(good, "PNG")
    inspect_page.file_uploader(key="upload").set_value(("fractal.png", good.getvalue(), "image/png")).run()
    assert "PDF" not in texts(inspect_page)
    assert "Layer 12 of 12" in texts(inspect_page)


def test_checkpoints_stand_side_by_side():
    app = AppTest.from_function(compare_page, default_timeout=PATIENCE).run()
    assert not app.exception
    assert {element.value for element in app.subheader} >= {"cub50-full", "cub50-sa_only"}
    assert "No GLCA branch in this checkpoint." in texts(app)
    app.multiselect(key="compared").set_value([]).run()
    assert "Choose at least one checkpoint." in texts(app)

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
from dcal.analysis.record_agreement import record_agreement
from dcal.image import FORMATS
from dcal.model.model_card import ABOUT
from dcal_explorer.dashboard import image_bar, sidebar, work
from dcal_explorer.dashboard.pages import FURTHER
from dcal_explorer.dashboard.sidebar import CHECKPOINTS
from dcal_explorer.dashboard.views import compare
from tests.fixtures.ablations import NAMES, write_ablations
from tests.fixtures.documents import code_of

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
    """An image's file."""
    file = io.BytesIO()
    Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).save(file, "PNG")
    return file.getvalue()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.error, *app.info))


def test_a_sample_is_shown_at_once(inspect_page):
    assert not inspect_page.exception and not inspect_page.error
    assert "Relevance for American Goldfinch" in texts(inspect_page)
    assert "cub50-full" in texts(inspect_page)


def test_what_the_address_asks_for_and_is_gone_is_reported():
    app = AppTest.from_file(str(ROOT / "app" / "dcal_explorer" / "dashboard" / "main.py"), default_timeout=PATIENCE)
    app.query_params["checkpoint"] = "cub50-lost"
    app.run()
    assert ["no checkpoint `cub50-lost` any more" in error.value for error in app.error] == [True]
    assert app.selectbox(key="checkpoint").value == "cub50-lost"
    app.selectbox(key="checkpoint").set_value("cub50-full").run()
    assert not app.error and "Relevance for American Goldfinch" in texts(app)


def test_a_page_from_outside_is_in_the_navigation() -> None:
    """The one that docs/extending.md shows."""
    names: dict[str, Any] = {}
    exec(code_of("extending.md", "A page of the dashboard"), names)
    FURTHER.register("notes", names["NOTES"])
    try:
        app = AppTest.from_file(str(ROOT / "app" / "dcal_explorer" / "dashboard" / "main.py"), default_timeout=PATIENCE)
        app.run()
        page = app.session_state["pages"]["notes"]
        assert (page.title, page.url_path) == ("Notes", "notes")
        app._page_hash = page._script_hash  # the harness itself goes only to pages that are files
        app.run()
    finally:
        FURTHER.forget("notes")
    assert not app.exception and app.title[0].value == "What did we learn?"
    assert "Whatever Streamlit can show." in [own.value for own in app.markdown]


def test_an_image_that_is_gone_is_reported(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(folder))
    st.cache_resource.clear()
    app = AppTest.from_function(compare_page, default_timeout=PATIENCE)
    app.query_params["sample"] = "images/lost.jpg"
    app.run()
    assert ["The image `images/lost.jpg` is not in the samples" in error.value for error in app.error] == [True]


def test_another_class_and_another_r(inspect_page):
    inspect_page.selectbox(key="target").set_value("Brewer Blackbird").run()
    assert not inspect_page.exception
    assert "Relevance for Brewer Blackbird" in texts(inspect_page)
    inspect_page.slider(key="ratio").set_value(0.5).run()
    assert not inspect_page.exception
    assert "R = 50%: 98 of 196 patches" in texts(inspect_page)


def test_a_class_is_contrasted_with_one_that_is_chosen(inspect_page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[dict[str, Any], dcal.DCAL]] = []
    monkeypatch.setattr(
        "dcal_explorer.dashboard.live.live_view", lambda seen, packed, model, **_: shown.append((packed, model))
    )

    def contrasted() -> str:
        packed, model = shown[-1]
        assert packed["measures"] and len(model.config.classes) == 50
        return next(str(map["title"]) for map in packed["maps"] if map["key"] == "contrast")

    rival = inspect_page.selectbox(key="rival").run().selectbox(key="rival")
    assert rival.value == "" and "American Goldfinch rather than" in contrasted()
    rival.set_value(next(name for name in rival.options if "Cardinal" in name)).run()
    assert not inspect_page.exception
    assert contrasted() == "American Goldfinch rather than Cardinal"


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


def test_every_format_that_is_read_can_be_uploaded() -> None:
    endings = [ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS]
    common = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"}
    assert common <= set(endings) and {ending[1:] for ending in common} | {"heic", "heif"} == set(image_bar.KINDS)


class TestCompare:
    @pytest.fixture
    def app(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
        """The page, not run yet, on four checkpoints that nobody knows by name."""
        monkeypatch.setenv(CHECKPOINTS, str(folder))
        st.cache_resource.clear()
        return AppTest.from_function(compare_page, default_timeout=PATIENCE)

    def test_stopped_it_shows_what_is_done_and_goes_on(self, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
        inspected, pressed = sidebar.record_of, list[str]()

        def stopping(name: str, data: bytes) -> dcal.Inspection:
            """`record_of`, but while the third checkpoint's is made, Stop is pressed."""
            if name == list(NAMES)[2] and not pressed:
                pressed.append(name)
                versions = [(own, sidebar.library().version(own), data) for own in NAMES]
                work.stop("compare", tuple(versions))
                st.rerun()
            return inspected(name, data)

        monkeypatch.setattr(compare, "record_of", stopping)
        app.run()
        assert not app.exception and pressed == list(NAMES)[2:3]
        assert [info.value for info in app.info] == ["Stopped: Inspecting the image, 2 of 4 done."]
        assert [part.count("about") for part in parts(app) if "about" in part] == [1, 1]
        app.button(key="continue-compare").click().run()
        assert not app.info and sum("about" in part for part in parts(app)) == 4

    def test_every_ablation_has_a_column_that_says_what_it_is(self, app: AppTest) -> None:
        app.run()
        assert not app.exception
        assert app.multiselect(key="compared").value == list(NAMES)
        heads = [part for part in parts(app) if "about" in part]
        for i, (name, ablation, title) in enumerate(
            zip(NAMES, NAMES.values(), ("SA", "SA + GLCA", "SA + PWCA", "SA + GLCA + PWCA"), strict=True)
        ):
            for said in (f"<h3>{title}</h3>", f"<code>{name}</code>", f"{0.5 + i / 100:.1%} correct"):
                assert said in heads[i]
            assert f"Trained with {ABOUT[ablation]}." in [caption.value for caption in app.caption]
        assert (
            sum("All checkpoints predict" in text or "checkpoints disagree" in text for text in texts(app).splitlines())
            == 1
        )

    def test_views_share_scale_and_patch_and_move_together(
        self, app: AppTest, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown: list[tuple[dcal.Inspection, dict[str, Any], dict[str, Any]]] = []

        def view(seen: dcal.Inspection, packed: dict[str, Any], **given: Any) -> None:
            shown.append((seen, packed, given))

        monkeypatch.setattr("dcal_explorer.dashboard.live.live_view", view)
        app.run()
        assert not app.exception and not app.error
        (controls, controlling, own), *columns = shown
        assert controls.selected is not None and own["parts"] == "controls" and own["remembers"]
        assert controlling in [packed for _, packed, _ in columns]
        assert [(given["parts"], given["remembers"]) for _, _, given in columns] == [("maps", False)] * 4
        assert {given["link"] for _, _, given in shown} == {"compare"}
        assert len({packed["id"] for _, packed, _ in columns}) == 4 and len({p["group"] for _, p, _ in columns}) == 1
        assert [given["model"].config for _, _, given in columns] == [record.config for record, _, _ in columns]
        rollouts = [record.rollout for record, _, _ in columns]
        expected = [min(map(np.min, rollouts)), max(map(np.max, rollouts))]
        for _, packed, _ in columns:
            assert next(own["scale"] for own in packed["maps"] if own["key"] == "rollout") == pytest.approx(expected)
            assert {"Features", "Token size"} <= {own["tab"] for own in packed["maps"]}
        target = app.selectbox(key="compared_class").value
        assert {record.classes[record.target] for record, _, _ in columns if record.target is not None} == {target}

    def test_agreement_with_the_reference_in_numbers(self, app: AppTest, folder: Path) -> None:
        app.query_params["reference"] = "ash"
        app.run()
        image = next(iter(image_bar.samples().values()))
        elm, ash = (dcal.inspect(dcal.load(folder / name), image) for name in ("elm", "ash"))
        predictions = {row["checkpoint"]: row for row in app.dataframe[0].value.to_dict("records")}
        assert predictions["oak"]["GLCA"] == "–" and "%" in predictions["ash"]["GLCA"]
        rows = {row["checkpoint"]: row for row in app.dataframe[1].value.to_dict("records")}
        assert rows["ash"]["Rollout after the last layer"] == "1.000" and rows["oak"]["selected patches"] == "–"
        found = record_agreement(elm, ash)
        assert rows["elm"]["Rollout after the last layer"] == f"{found.rollout:.3f}"
        assert rows["elm"]["GLCA's map"] == f"{found.glca:.3f}"

    def test_another_look_computes_nothing(self, app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []

        def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                calls.append(name)
                return function(*arguments)

            return call

        for name in ("inspect", "load", "read_image", "fingerprint"):
            monkeypatch.setattr(dcal, name, counted(name, getattr(dcal, name)))
        app.run()
        calls.clear()
        app.file_uploader(key="upload").set_value(("fractal.png", fractal(), "image/png")).run()
        assert sorted(calls) == ["inspect"] * 4 + ["read_image"]  # the four models were loaded before
        calls.clear()
        app.selectbox(key="reference").set_value("yew").run()
        assert not app.exception and calls == []

    def test_a_checkpoint_that_is_gone_is_reported_and_not_replaced(self, app: AppTest) -> None:
        app.query_params["compared"] = ["oak", "fir"]
        app.run()
        assert not app.exception
        assert ["no checkpoint `fir` any more" in error.value for error in app.error] == [True]
        assert app.multiselect(key="compared").value == ["oak", "fir"]
        assert sum("about" in part for part in parts(app)) == 1

    def test_an_upload_goes_along_to_the_next_page(self, app: AppTest) -> None:
        app.run()
        app.file_uploader(key="upload").set_value(("fractal.png", fractal(), "image/png")).run()
        assert app.session_state["kept_upload"] == ("fractal.png", fractal())
        app.file_uploader(key="upload").set_value([]).run()
        assert "kept_upload" not in app.session_state

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

"""The demo's tools for assistants as plain functions: each call stands by itself, and answers what the page does."""

from __future__ import annotations

import base64
import inspect
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dcal
from dcal import draw
from dcal.analysis.record_agreement import map_of
from dcal_explorer.content import captions
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.map_scores import NOT_MEASURED
from dcal_explorer.demo.callbacks.inspect import COMPARED_SIDE, InspectCallbacks
from dcal_explorer.demo.callbacks.tools import MAPS, ToolError, Tools
from dcal_explorer.demo.uploads import UploadLimits
from tests.fixtures.ablations import CLASSES, LAYERS, PATCHES, write_ablations
from tests.fixtures.tiny_yard import cosines, write_checkpoints

QUERY = "images/0025_c3.webp"


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> CheckpointLibrary:
    return CheckpointLibrary(write_ablations(tmp_path_factory.mktemp("four")))


@pytest.fixture(scope="module")
def reid(tmp_path_factory: pytest.TempPathFactory) -> CheckpointLibrary:
    return CheckpointLibrary(write_checkpoints(tmp_path_factory.mktemp("reid")))


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample."""
    place = tmp_path_factory.mktemp("samples") / "owl.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8)).save(place)
    return place


def made(library: CheckpointLibrary, folder: Path, owl: Path, **limits: int) -> Tools:
    return Tools(InspectCallbacks(library, folder), [owl], UploadLimits(folder, **limits))


@pytest.fixture
def tools(four: CheckpointLibrary, tmp_path: Path, owl: Path) -> Tools:
    return made(four, tmp_path, owl)


@pytest.fixture
def retrieval(reid: CheckpointLibrary, tmp_path: Path, owl: Path) -> Tools:
    return made(reid, tmp_path, owl)


def test_what_there_is(tools: Tools) -> None:
    found = json.loads(tools.list_checkpoints())
    assert {own["checkpoint"]: own["ablation"] for own in found["checkpoints"]} == {
        **{"oak": "sa_only", "elm": "sa_glca", "yew": "sa_pwca", "ash": "full"}
    }
    assert found["samples"] == ["owl"] and "data:" in found["image"]


def test_an_inspection_is_the_core_s(tools: Tools, owl: Path) -> None:
    found = json.loads(tools.inspect_image("owl", "ash"))
    seen = dcal.inspect(tools.inspect.library.model("ash"), owl)
    assert (found["layers"], found["patch_rows"], found["patch_columns"]) == (LAYERS, *PATCHES)
    best, probability = seen.top(1)[0]
    assert next(iter(found["predictions"]["SA + GLCA"].values())) == pytest.approx(probability, abs=1e-6)
    assert next(iter(found["predictions"]["SA + GLCA"])) == best


def test_maps_are_the_page_s(tools: Tools, owl: Path) -> None:
    model = tools.inspect.library.model("ash")
    seen = dcal.inspect(model, owl, target=CLASSES[1])
    low, high = draw.shared_scale(seen.rollout)
    drawn, about = tools.draw_map("owl", "ash")
    np.testing.assert_array_equal(drawn, draw.figure(seen, seen.rollout[-1], low=low, high=high))
    assert f"Layer {LAYERS} of {LAYERS}" in about and "Click" not in about
    drawn, about = tools.draw_map("owl", "ash", "relevance", target=CLASSES[1])
    np.testing.assert_array_equal(drawn, draw.figure(seen, seen.relevance, max_side=COMPARED_SIDE))
    assert "Kiwi" in about
    different = {name: tools.draw_map("owl", "ash", name)[0].tobytes() for name in MAPS}
    assert len(set(different.values())) == len(MAPS)


def test_a_patch(tools: Tools, owl: Path) -> None:
    seen = dcal.inspect(tools.inspect.library.model("ash"), owl)
    drawn, about = tools.draw_patch("owl", "ash", 2, 3, layer=1, head=1)
    np.testing.assert_array_equal(drawn, draw.figure(seen, seen.token(0, 1, 2, head=0), marked=(1, 2)))
    assert "Row 2, column 3, layer 1" in about


def test_a_map_s_worth(tools: Tools) -> None:
    found = json.loads(tools.measure_map("owl", "ash", "glca"))
    assert found["map"] == "glca" and {"deletion", "insertion"} <= set(found["curves"])


def test_checkpoints_side_by_side(tools: Tools, owl: Path) -> None:
    drawn, text = tools.compare_image("owl", "oak, ash")
    found = json.loads(text)
    assert [row["checkpoint"] for row in found["predictions"]] == ["oak", "ash"]
    assert found["agreement"][0]["Rollout after the last layer"] == "1.000"
    said = NOT_MEASURED.replace("*", "").replace("`", "")
    assert found["map_worth"] == {"oak": said, "ash": said}
    maps = [map_of(dcal.inspect(tools.inspect.library.model(name), owl), "rollout") for name in ("oak", "ash")]
    low, high = draw.shared_scale(*maps)
    assert (
        drawn.shape[1]
        >= 2
        * draw.figure(
            dcal.inspect(tools.inspect.library.model("oak"), owl), maps[0], low=low, high=high, max_side=COMPARED_SIDE
        ).shape[1]
    )
    with pytest.raises(ToolError, match="None of these checkpoints has the map 'glca'"):
        tools.compare_image("owl", "oak, yew", "glca")


def test_a_comparison_says_what_its_maps_are_worth(tools: Tools) -> None:
    figures = {"rollout": {"deletion": {"mean": 0.125}}, "random": {"deletion": {"mean": 0.5}}}
    weights = dcal.fingerprint(tools.inspect.library.model("oak"))
    place = tools.inspect.library.folder / "oak" / "analysis.json"
    place.write_text(json.dumps({"fingerprint": weights, "maps": figures}))
    found = json.loads(tools.compare_image("owl", "oak, ash")[1])["map_worth"]
    place.unlink()
    assert "deletion 0.125 (random 0.500; lower is better)" in found["oak"] and "Not measured" in found["ash"]


def test_a_search_and_why_it_matched(retrieval: Tools) -> None:
    listed = json.loads(retrieval.list_gallery("reid-full"))
    assert QUERY in {item["image"] for item in listed["images"]}
    sheet, text = retrieval.search_gallery(QUERY, "reid-full", most=5, across=False)
    found = json.loads(text)
    expected = cosines(retrieval.inspect.library.folder / "reid-full", QUERY)
    nearest = sorted(expected, key=lambda name: -expected[name])[:5]
    assert [hit["image"] for hit in found["hits"]] == nearest and sheet.ndim == 3
    drawn, about = retrieval.explain_match(QUERY, "reid-full", 1, across=False)
    assert "similarity" in about and "Click" not in about and drawn.ndim == 3
    _, text = retrieval.search_gallery("owl", "reid-full", most=3)
    assert len(json.loads(text)["hits"]) == 3 and json.loads(text)["query"]["identity"] is None


def test_images_are_given_in_three_ways(tools: Tools, owl: Path, tmp_path: Path) -> None:
    expected = tools.draw_map("owl", "ash")[0]
    (tmp_path / "a b").mkdir()
    upload = tmp_path / "a b" / "owl.png"
    upload.write_bytes(owl.read_bytes())
    address = f"http://127.0.0.1:7860/gradio_api/file={upload}".replace(" ", "%20")
    data = f"data:image/png;base64,{base64.b64encode(owl.read_bytes()).decode()}"
    for image in (str(upload), address, data):
        np.testing.assert_array_equal(tools.draw_map(image, "ash")[0], expected)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("/etc/passwd", "There is no image '/etc/passwd' here"),
        ("http://127.0.0.1/gradio_api/file=/etc/passwd", "There is no image"),
        ("http://elsewhere.example/owl.png", "There is no image"),
        ("", "There is no image"),
        ("owl\0", "There is no image"),
        ("data:image/png;base64,###", "no base64"),
        ("data:image/png,owl", "in base64"),
        ("data:image/png;base64,AAAA", "image"),
    ],
)
def test_other_images_are_refused(tools: Tools, image: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        tools.draw_map(image, "ash")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("draw_map", "owl", "nobody"), "there is no checkpoint 'nobody'"),
        (("draw_map", "owl", "ash", "nonsense"), "unknown map 'nonsense'"),
        (("draw_map", "owl", "oak", "glca"), "trained without global-local cross-attention"),
        (("draw_map", "owl", "ash", "rollout", 99), "There is no layer 99: choose 1 to 6"),
        (("draw_map", "owl", "ash", "relevance", 0, "<b>"), "There is no class '<b>'"),
        (("draw_patch", "owl", "ash", 0, 1), "There is no row 0"),
        (("compare_image", "owl", "oak"), "Choose 2 to 4 checkpoints"),
        (("list_gallery", "ash"), "was not trained for re-identification"),
    ],
)
def test_a_wrong_call_says_what_was_wrong(tools: Tools, call: tuple[str | int, ...], words: str) -> None:
    with pytest.raises(ToolError) as caught:
        getattr(tools, str(call[0]))(*call[1:])
    assert words in str(caught.value)


def test_nothing_is_kept(tools: Tools, retrieval: Tools) -> None:
    tools.draw_map("owl", "ash")
    tools.compare_image("owl", "oak,ash")
    with pytest.raises(ToolError):
        tools.draw_map("owl", "ash", layer=99)
    retrieval.search_gallery(QUERY, "reid-full")
    assert (len(tools.inspect.records), len(tools.compare.records), len(retrieval.reid.records)) == (0, 0, 0)


def test_data_counts_as_uploads(four: CheckpointLibrary, tmp_path: Path, owl: Path) -> None:
    small = made(four, tmp_path, owl, each=owl.stat().st_size + 10)
    small.draw_map("owl", "ash")
    small.draw_map("owl", "ash")  # the same bytes count once
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    with pytest.raises(ToolError, match="the limit is"):
        small.draw_map(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", "ash")


def test_an_error_that_is_not_ours_names_no_file(
    tools: Tools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "/secret/place")

    monkeypatch.setattr(captions, "summary", broken)
    with pytest.raises(ToolError) as caught:
        tools.inspect_image("owl", "ash")
    assert "OSError" in str(caught.value) and "secret" not in str(caught.value)
    assert "/secret/place" in capsys.readouterr().err


def test_every_tool_says_what_it_does_and_takes(tools: Tools) -> None:
    for function in tools.all():
        lines = (inspect.getdoc(function) or "").splitlines()
        assert len(lines[0]) > 30
        described = {line.split(":")[0].strip() for line in lines[1:] if ": " in line}
        assert described == set(inspect.signature(function).parameters), function.__name__

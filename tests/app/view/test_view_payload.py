"""What Python packs for the live view and answers when the view fetches: strict types, no browser."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

import dcal
from dcal import draw
from dcal.model.kinds import TokenLayout
from dcal_explorer.view.answers import answer, answered
from dcal_explorer.view.arrays import packed
from dcal_explorer.view.maps import ViewMap
from dcal_explorer.view.payload import payload, prefix_names
from tests.fixtures.view_page import COLS, HEADS, LAYERS, ROWS, record


def unpacked(array: Any) -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["data"]), dtype="<f4").reshape(array["shape"])


def test_arrays_come_back_bit_for_bit() -> None:
    array = np.random.default_rng(3).standard_normal((2, 3, 5), dtype=np.float32)
    np.testing.assert_array_equal(unpacked(packed(array.transpose(2, 0, 1))), array.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int64, np.uint8])
def test_only_float32_is_taken(kind: type) -> None:
    with pytest.raises(dcal.DCALError, match="takes float32"):
        packed(np.zeros(3, dtype=kind))


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(dcal.DCALError, match="2 of 4 values are not finite"):
        packed(np.array([0, np.nan, np.inf, 1], dtype=np.float32))


def test_the_payload_holds_every_map_of_the_record() -> None:
    evidence: dict[str, Any] = {
        name: np.ones((ROWS, COLS), np.float32) * value for value, name in enumerate(["relevance", "gradient_rollout"])
    }
    seen = record(target=1, **evidence)
    maps = {map["key"]: map for map in payload(seen, class_name="Heron")["maps"]}
    mask = seen.selected_mask.astype(np.float32)
    expected = {
        "rollout": seen.rollout,
        "sa": seen.sa_map,
        "glca": seen.glca_input_map,
        "glca-block": seen.glca_map,
        "glca-local": seen.glca_local_map,
        "difference": seen.glca_input_map - seen.sa_map,
        "difference-block": seen.glca_map - seen.sa_map,
        "selection": mask,
        "relevance": seen.relevance,
        "gradient-rollout": seen.gradient_rollout,
    }
    assert list(maps) == list(expected)
    for key, map in expected.items():
        np.testing.assert_array_equal(unpacked(maps[key]["values"]["mean"]), map)
    for fusion in ("max", "min"):
        np.testing.assert_array_equal(unpacked(maps["rollout"]["values"][fusion]), seen.rolled(fusion))
    assert maps["relevance"]["title"] == "Relevance for Heron"
    assert maps["sa"]["scale"] == maps["glca"]["scale"] == list(draw.shared_scale(seen.sa_map, seen.glca_input_map))


def test_other_maps_can_be_added() -> None:
    sizes = np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS)
    words: dict[str, Any] = {
        "tab": "Tokens",
        "kind": "Size",
        "title": "Token size",
        "about": "",
        "quantity": "norm",
        "unit": "number",
    }
    extra = ViewMap(key="sizes", values={"mean": sizes}, **words)
    last = payload(record(), extra=[extra])["maps"][-1]
    assert (last["tab"], last["unit"]) == ("Tokens", "number")
    np.testing.assert_array_equal(unpacked(last["values"]["mean"]), sizes)
    with pytest.raises(dcal.DCALError, match=r"two maps have one key: .*sizes, sizes"):
        payload(record(), extra=[extra, extra])


def test_colour_tables_are_dcal_draws() -> None:
    tables = payload(record())["colours"]
    assert list(tables) == [*draw.COLORMAPS, draw.DIVERGING]
    for name, table in tables.items():
        expected = draw.colour(np.arange(256.0)[None], name)[0]
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(table), np.uint8).reshape(256, 3), expected)


def test_large_models_send_rows_and_no_second_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = record()
    assert payload(seen)["attention"]["mode"] == "layers"
    monkeypatch.setattr("dcal_explorer.view.payload.LARGEST_LAYER", 0)
    monkeypatch.setattr("dcal_explorer.view.payload.MOST_FUSED", 0)
    assert payload(seen)["attention"]["mode"] == "rows"
    assert list(payload(seen)["maps"][0]["values"]) == ["mean"]


def test_large_images_are_made_smaller_and_small_ones_are_left() -> None:
    large, small = payload(record((700, 2100), (0.0, 0.0, 2100.0, 700.0))), payload(record())
    assert (large["image"]["width"], large["image"]["height"]) == (1024, 341)
    assert (small["image"]["width"], small["image"]["height"]) == (710, 530)
    assert large["extent"] == [2100, 700]  # boxes and patches are in the original's pixels


def test_records_of_one_image_are_one_group() -> None:
    assert payload(record(seed=1))["group"] == payload(record(seed=2))["group"]
    assert payload(record())["group"] != payload(record(image=(1, 2, 3)))["group"]


def test_scales_can_be_given_for_comparison() -> None:
    maps = {map["key"]: map for map in payload(record(), scales={"rollout": (0.0, 0.5)})["maps"]}
    assert maps["rollout"]["scale"] == [0.0, 0.5]
    with pytest.raises(dcal.DCALError, match="this record has not: relevance"):
        payload(record(), scales={"relevance": (0, 1)})


@pytest.mark.parametrize(
    ("prefix", "backbone", "names"),
    [
        (1, "deit_tiny_patch16_224", ["class token"]),
        (2, "deit_tiny_distilled_patch16_224", ["class token", "distillation token"]),
        (5, "vit_small_patch14_reg4_dinov2", ["class token", "register 1", "register 2", "register 3", "register 4"]),
    ],
)
def test_prefix_tokens_have_names(prefix: int, backbone: str, names: list[str]) -> None:
    assert prefix_names(TokenLayout(prefix, 2, 3), backbone) == names


def test_prefix_tokens_are_called_what_the_record_says() -> None:
    assert prefix_names(TokenLayout(2, 2, 3, ("register 1", "register 2")), "deit") == ["register 1", "register 2"]
    assert prefix_names(TokenLayout(0, 2, 3), "test_vit3") == []


def test_answers() -> None:
    seen = record(prefix=2)
    layer = answer(seen, {"kind": "layer", "layer": 2})
    np.testing.assert_array_equal(unpacked(layer["queries"]), seen.queries[2])
    np.testing.assert_array_equal(unpacked(layer["keys"]), seen.keys[2])
    rows = unpacked(answer(seen, {"kind": "row", "layer": 1, "token": 4})["rows"])
    assert rows.shape == (HEADS, ROWS * COLS + 2)
    np.testing.assert_array_equal(rows[1, 2:].reshape(ROWS, COLS), seen.token(1, 0, 2, head=1))
    rolled = unpacked(answer(seen, {"kind": "rollout", "fusion": "min"})["values"])
    np.testing.assert_array_equal(rolled, seen.rolled("min"))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("layer", "a request is an object, got str"),
        ({}, "unknown request 'None'"),
        ({"kind": ["layer"]}, "unknown request"),
        ({"kind": "layer", "layer": LAYERS}, f"there is no layer {LAYERS}"),
        ({"kind": "layer", "layer": "0"}, "layer is a whole number, got '0'"),
        ({"kind": "layer", "layer": True}, "layer is a whole number, got True"),
        ({"kind": "row", "layer": 0, "token": 16}, "there is no token 16"),
        ({"kind": "row", "layer": 0, "token": -1}, "there is no token -1"),
        ({"kind": "rollout", "fusion": "median"}, "'median'"),
        ({"kind": "rollout", "fusion": 3}, "'3'"),
    ],
)
def test_requests_that_are_none_are_refused(request_: Any, words: str) -> None:
    with pytest.raises(dcal.DCALError) as raised:
        answer(record(), request_)
    assert words in str(raised.value)


def test_faces_get_words_instead_of_errors() -> None:
    seen = {"k": record()}

    def record_of(key: str) -> dcal.Inspection:
        if key not in seen:
            raise dcal.DCALError("This image is no longer kept.")
        return seen[key]

    assert list(answered(record_of, {"id": "k", "kind": "layer", "layer": 0})) == ["queries", "keys"]
    assert answered(record_of, {"id": "x", "kind": "layer", "layer": 0}) == {"error": "This image is no longer kept."}
    assert "names the record" in answered(record_of, {"kind": "layer", "layer": 0})["error"]
    assert "names the record" in answered(record_of, [1, 2])["error"]

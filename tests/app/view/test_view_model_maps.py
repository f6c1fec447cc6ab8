"""What the view shows with the record's model: contrast, start layers, features, token sizes, faithfulness."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

import dcal
from dcal.analysis.faithfulness import faithfulness
from dcal.explain.class_maps import class_maps, contrast
from dcal.explain.features import patch_colours, patch_features, similar_patches
from dcal.explain.tokens import outliers, token_sizes
from dcal_explorer.view.answers import answered
from dcal_explorer.view.maps import Rival
from dcal_explorer.view.measuring import Measurements
from dcal_explorer.view.payload import payload
from tests.fixtures.view_page import MAP, record, set_state, show

CLASSES = ("heron", "stork", "ibis")


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    torch.manual_seed(3)
    return dcal.create_model("deit_tiny_patch16_224", 3, img_size=(48, 80), classes=CLASSES, top_ratio=0.3).eval()


@pytest.fixture(scope="module")
def seen(model: dcal.DCAL) -> dcal.Inspection:
    noise = np.random.default_rng(2).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    return dcal.inspect(model, noise, target=1)


def shown(page: Page) -> np.ndarray:
    page.wait_for_function("() => !view.panes.map.scene.waiting")
    return np.array(page.evaluate("() => Array.from(view.panes.map.scene.colours ?? view.panes.map.scene.values)"))


def test_every_map_of_the_model(page: Page, model: dcal.DCAL, seen: dcal.Inspection) -> None:
    show(page, seen, model=model, rival=Rival(2, "ibis"), class_name="stork")
    for state, expected in (
        ({"map": "contrast"}, contrast(model, seen, 1, 2).relevance),
        ({"map": "contrast", "start": 4}, contrast(model, seen, 1, 2, start=4).relevance),
        ({"map": "relevance", "start": 4}, class_maps(model, seen, 1, 4).relevance),
        ({"map": "rollout", "start": 4, "layer": 8}, seen.rolled(start=4)[4]),
        ({"map": "rollout", "start": 0, "layer": 8, "discard": 0.5}, seen.rolled(discard=0.5)[8]),
        ({"map": "sizes", "layer": 2}, token_sizes(model, seen)[3, 1:]),
        ({"map": "similarity", "layer": 5, "kept": 7}, similar_patches(patch_features(model, seen, 5), 7)),
        ({"map": "colours", "layer": 5}, patch_colours([patch_features(model, seen, 5)], [(3, 5)])[0].colours),
    ):
        set_state(page, **state)
        np.testing.assert_allclose(shown(page), np.ravel(expected), rtol=1e-4, atol=1e-6, err_msg=str(state))
    assert page.locator(f"{MAP} h3").inner_text().startswith("Components as colours after layer 6 of 12")
    set_state(page, map="contrast")
    assert page.locator(f"{MAP} h3").inner_text() == "stork rather than ibis"


def test_a_rollout_may_be_another_prefix_tokens(page: Page) -> None:
    seen = record(prefix=2)
    show(page, seen)
    set_state(page, prefix=1, layer=2)
    np.testing.assert_allclose(shown(page), seen.rolled(token=1)[2].ravel(), rtol=1e-5)
    assert "share of the register 1" in page.locator(f"{MAP} .dcal-quantity").inner_text()


def test_token_sizes_far_above_the_others_are_named(page: Page) -> None:
    show(page, record())
    for seed in range(3):
        values = np.random.default_rng(seed).normal(20, 1, 60).astype(np.float32)
        values[[3, 11]] = 60, 90
        found = page.evaluate("values => viewParts.farOut(values)", values.tolist())
        own = outliers(values)
        assert tuple(found["patches"]) == own.patches
        assert (found["share"], found["high"]) == pytest.approx((own.share, own.high))


def test_the_map_on_screen_is_measured(page: Page, model: dcal.DCAL, seen: dcal.Inspection) -> None:
    show(page, seen, model=model)
    set_state(page, map="relevance")
    page.get_by_role("button", name="Faithfulness").click()
    page.get_by_role("button", name="Measure this map").click()
    expect(page.locator(".dcal-charts svg")).to_have_count(2)
    *_, last = faithfulness(model, seen, seen.relevance, 1)
    own = [[last.result.area("deletion", o), last.result.area("insertion", o)] for o in ("map", "centre", "random")]
    cells = page.locator(".dcal-areas tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('td')].slice(0, 2).map(td => Number(td.textContent)))"
    )
    np.testing.assert_allclose(cells, own, atol=6e-4)
    set_state(page, map="rollout")
    expect(page.get_by_role("status").filter(has_text="another map")).to_be_visible()
    page.get_by_role("button", name="Measure this map").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Measure this map")).to_be_enabled()
    set_state(page, map="selection")
    expect(page.get_by_role("button", name="Measure this map")).to_be_disabled()  # it ranks nothing


def test_measurements_are_stepped_given_up_and_bounded(model: dcal.DCAL, seen: dcal.Inspection) -> None:
    measurements = Measurements(most=2)

    def ask(**request: Any) -> dict[str, Any]:
        full = {"id": "k", "kind": "measure", **request}
        return answered(lambda _: seen, full, lambda _: nullcontext(model), measurements)

    values = payload(seen)["maps"][0]["values"]["mean"]
    sa = next(map for map in payload(seen)["maps"] if map["key"] == "sa")["values"]["mean"]
    first, second, third = (ask(values=sa, target=None) for _ in range(3))
    assert (first["done"], first["total"], len(measurements)) == (1, 20, 2)
    assert ask(job=first["job"]) == {"error": "This measurement was given up. Start it again."}
    assert ask(job=second["job"])["done"] == 2
    assert ask(job=second["job"], stop=True) == {"job": second["job"]}
    assert "given up" in ask(job=second["job"])["error"]
    for expected in range(2, 21):
        step = ask(job=third["job"])
        assert step["done"] == expected and ("result" in step) is (expected == 20)
    assert len(measurements) == 0
    assert "must be 3×5 finite numbers" in ask(values=values)["error"]  # all layers at once
    assert "no array of float32" in ask(values={"shape": [3], "data": "%%"})["error"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"kind": "class", "map": "saliency", "target": 1}, "'saliency'"),
        ({"kind": "class", "map": "relevance", "target": 7}, "there is no class 7"),
        ({"kind": "class", "map": "relevance", "target": 1, "start": 12}, "there is no layer 12"),
        ({"kind": "contrast", "target": 1, "rival": None}, "rival is a whole number"),
        ({"kind": "contrast", "target": 1, "rival": 1}, "itself"),
        ({"kind": "features", "layer": -1}, "there is no layer -1"),
        ({"kind": "rollout", "fusion": "mean", "discard": "all"}, "discard is a number"),
    ],
)
def test_requests_that_the_model_cannot_answer(
    model: dcal.DCAL, seen: dcal.Inspection, request_: dict[str, Any], words: str
) -> None:
    answer = answered(lambda _: seen, {"id": "k", **request_}, lambda _: nullcontext(model))
    assert words in answer["error"]


def test_without_its_model_a_record_has_no_such_maps(seen: dcal.Inspection) -> None:
    assert not {map["tab"] for map in payload(seen)["maps"]} & {"Features", "Token size"}
    assert "unknown request 'sizes'" in answered(lambda _: seen, {"id": "k", "kind": "sizes"})["error"]


def test_glcas_own_map_leads_where_the_carried_one_all_but_equals_sas() -> None:
    seen = record()
    keys = [map["key"] for map in payload(seen)["maps"]]
    assert keys.index("glca") < keys.index("glca-block")
    same = record(glca_input_map=record().sa_map * 1.001)
    maps = payload(same)["maps"]
    keys = [map["key"] for map in maps]
    assert keys.index("glca-block") < keys.index("glca")
    assert keys.index("difference-block") < keys.index("difference")
    assert "rank correlation 1.00, 4 of the 4 top patches shared" in maps[keys.index("glca")]["about"]

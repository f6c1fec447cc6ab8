"""The tab "Compare" as plain functions: one image, several checkpoints, one class, shared scales."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import dcal
from dcal import draw
from dcal.analysis.record_agreement import record_agreement
from dcal_explorer.content import captions
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.numbers import score, whole_percent
from dcal_explorer.demo.callbacks.compare import CompareCallbacks
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.compare_tab import CompareTab
from tests.fixtures.ablations import CLASSES, NAMES, write_ablations

FOUR = list(NAMES)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CheckpointLibrary:
    return CheckpointLibrary(write_ablations(tmp_path_factory.mktemp("four")))


@pytest.fixture
def callbacks(library: CheckpointLibrary, tmp_path: Path) -> CompareCallbacks:
    return CompareCallbacks(InspectCallbacks(library, tmp_path))


@pytest.fixture
def image(tmp_path: Path) -> dict[str, Any]:
    noise = np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.png")
    return {"path": str(tmp_path / "image.png")}


def test_every_checkpoint_predicts_and_is_explained_for_one_class(
    callbacks: CompareCallbacks, image: dict[str, Any]
) -> None:
    key, rows, verdict = callbacks.compare_checkpoints(image, FOUR)
    seen = callbacks.records.get(key).seen
    assert [row["checkpoint"] for row in rows] == FOUR
    for row, (name, record) in zip(rows, seen.items(), strict=True):
        top, probability = dcal.inspect(callbacks.library.model(name), image["path"]).top(1)[0]
        assert row["prediction"] == f"{captions.readable(top)} {probability:.1%}"
        assert ("GLCA" in row) == (record.glca_probabilities is not None)
    assert len({record.target for record in seen.values()}) == 1
    assert verdict == captions.verdict(list(seen.values()))


def test_a_class_of_ones_choice(callbacks: CompareCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.compare_checkpoints(image, ["oak", "ash"], CLASSES[2])
    seen = callbacks.records.get(key).seen
    for name, record in seen.items():
        expected = dcal.inspect(callbacks.library.model(name), image["path"], target=2)
        np.testing.assert_allclose(record.relevance, expected.relevance, atol=1e-7)


def test_agreement_with_a_reference(callbacks: CompareCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.compare_checkpoints(image, FOUR)
    seen = callbacks.records.get(key).seen
    rows = {row["checkpoint"]: row for row in callbacks.agreements(key, "elm")}
    assert rows["elm"]["Rollout after the last layer"] == "1.000" and rows["elm"]["selected patches"] == "100%"
    assert rows["oak"]["GLCA's map"] == rows["oak"]["selected patches"] == "–"
    found = record_agreement(seen["ash"], seen["elm"])
    assert rows["ash"]["Relevance for the class"] == score(found.relevance)
    assert rows["ash"]["selected patches"] == whole_percent(found.selected)


def test_differences_share_a_scale(callbacks: CompareCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.compare_checkpoints(image, FOUR)
    seen = callbacks.records.get(key).seen
    shown = callbacks.differences(key, "oak", "rollout")
    assert [caption for _, caption in shown] == ["elm − oak", "yew − oak", "ash − oak"]
    deltas = [seen[name].sa_map - seen["oak"].sa_map for name in ("elm", "yew", "ash")]
    most = max(float(np.abs(delta).max()) for delta in deltas)
    for (drawn, _), delta, name in zip(shown, deltas, ("elm", "yew", "ash"), strict=True):
        expected = draw.figure(seen[name], delta, colormap=draw.DIVERGING, low=-most, high=most, max_side=512)
        np.testing.assert_array_equal(drawn, expected)
    assert [caption for _, caption in callbacks.differences(key, "elm", "glca")] == ["ash − elm"]
    assert callbacks.differences(key, "oak", "glca") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["ash"],), "Choose 2 to 4 checkpoints to compare, not 1"),
        ((["oak", "elm", "yew", "ash", "fir"],), "not 5"),
        (("ash",), "checkpoints must be a list of texts"),
        (([1, 2],), "checkpoints must be a list of texts"),
        ((["ash", "../x"],), r"there is no checkpoint '\.\./x'"),
        ((["ash", "oak"], "Dodo"), "no class 'Dodo'"),
        ((["ash", "oak"], 7), "target must be text, got int"),
    ],
)
def test_wrong_arguments_are_named_and_the_comparison_stays(
    callbacks: CompareCallbacks, image: dict[str, Any], arguments: tuple[Any, ...], message: str
) -> None:
    key, _, _ = callbacks.compare_checkpoints(image, ["oak", "ash"])
    with pytest.raises(gr.Error, match=message):
        compare: Any = callbacks.compare_checkpoints
        compare(image, *arguments, record=key)
    assert list(callbacks.records.get(key).seen) == ["oak", "ash"]


def test_an_unknown_class_is_told_before_any_image_is_inspected(
    callbacks: CompareCallbacks, image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks.models, "inspect", lambda *_: pytest.fail("it was inspected"))
    with pytest.raises(gr.Error, match="no class 'Dodo'"):
        callbacks.compare_checkpoints(image, ["oak", "ash"], "Dodo")


def test_wrong_references_and_maps_are_named(callbacks: CompareCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.compare_checkpoints(image, ["oak", "ash"])
    with pytest.raises(gr.Error, match="unknown reference 'elm'"):
        callbacks.agreements(key, "elm")
    with pytest.raises(gr.Error, match="unknown map 'heads'"):
        callbacks.differences(key, "oak", "heads")


class TestTab:
    @pytest.fixture
    def tab(self, callbacks: CompareCallbacks) -> CompareTab:
        async def build() -> CompareTab:
            with gr.Blocks(), gr.Tabs(), gr.Tab("Compare") as tab:
                return CompareTab(tab, callbacks, [])

        return asyncio.run(build())

    def test_all_views_share_scales_and_the_patch(self, tab: CompareTab, image: dict[str, Any]) -> None:
        key, _, _ = tab.callbacks.compare_checkpoints(image, FOUR)
        page = tab.show(key, "elm")
        packed = [page[view] for view in tab.views]
        assert [one["id"] for one in packed] == [f"{key}/{name}" for name in FOUR]
        assert len({one["group"] for one in packed}) == 1
        for name in ("rollout", "relevance", "sa"):
            scales = [map["scale"] for one in packed for map in one["maps"] if map["key"] == name]
            assert len(scales) == 4 and all(scale == scales[0] for scale in scales)
        assert page[tab.reference]["value"] == "elm" and page[tab.target]["value"] in CLASSES
        assert tab.one_record(f"{key}/ash") is tab.callbacks.records.get(key).seen["ash"]
        with pytest.raises(dcal.DCALError, match="other checkpoints"):
            tab.one_record(f"{key}/fir")

    def test_two_checkpoints_leave_two_columns(self, tab: CompareTab, image: dict[str, Any]) -> None:
        key, _, _ = tab.callbacks.compare_checkpoints(image, ["oak", "ash"])
        page = tab.show(key, "yew")
        assert [page[column]["visible"] for column in tab.columns] == [True, True, False, False]
        assert page[tab.reference]["value"] == "oak"

    def test_a_removed_image_clears_everything(self, tab: CompareTab, image: dict[str, Any]) -> None:
        key, _, _ = tab.callbacks.compare_checkpoints(image, ["oak", "ash"])
        record, rows, verdict, *emptied = tab.clear(key)
        assert record is None and rows == [] and verdict == captions.EMPTY and not any(emptied)
        with pytest.raises(dcal.DCALError):
            tab.callbacks.records.get(key)

    def test_without_an_image_a_comparison_stays_and_none_is_no_error(
        self, tab: CompareTab, image: dict[str, Any]
    ) -> None:
        key, _, _ = tab.callbacks.compare_checkpoints(image, ["oak", "ash"])
        assert tab.callbacks.compare_checkpoints(None, ["oak", "ash"], None, key) == (gr.skip(),) * 3
        assert list(tab.callbacks.records.get(key).seen) == ["oak", "ash"]
        assert (tab.show(None, "oak"), tab.agreed_on(None, "oak"), tab.preview(None)) == ({}, "", gr.skip())

    def test_tables_name_their_rows_and_columns(self, tab: CompareTab, image: dict[str, Any]) -> None:
        key, rows, _ = tab.callbacks.compare_checkpoints(image, FOUR)
        table = tab.show(key, "elm")[tab.table]
        assert table.count('<th scope="row">') == len(FOUR) and table.count("<td>") == len(FOUR) * 4
        assert '<th scope="col">GLCA</th>' in table and rows[0]["prediction"] in table
        agreement = tab.agreed_on(key, "elm")
        assert "<td>1.000</td>" in agreement and agreement.count("<tr>") == 1 + len(FOUR)
        assert tab.tabled([{"a": "<b>", "c": "1"}]).count("&lt;b&gt;") == 1 and tab.tabled([]) == ""

    def test_after_a_failure_the_page_keeps_what_it_had(self, tab: CompareTab, image: dict[str, Any]) -> None:
        key, _, _ = tab.callbacks.compare_checkpoints(image, ["oak", "ash"])
        assert tab.restore(key) == (image["path"], ["oak", "ash"])
        assert tab.restore(None)[0] is None

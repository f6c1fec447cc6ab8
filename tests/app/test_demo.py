"""The demo's callbacks as plain functions: they draw what the core says, and run a model only where it must."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio import processing_utils
from PIL import Image

import dcal
from dcal import draw
from dcal.analysis.faithfulness import faithfulness
from dcal.explain.class_maps import contrast
from dcal.explain.tokens import token_sizes
from dcal.model.exported_backbone import encoded
from dcal_explorer.content import captions, markdown
from dcal_explorer.content.checkpoints import LOADED_BYTES, CheckpointLibrary
from dcal_explorer.demo import inspect_tab, program, server
from dcal_explorer.demo.address import Wanted, wanted
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.model_maps import ModelMapCallbacks
from dcal_explorer.demo.inputs import NOT_UPLOADED
from dcal_explorer.demo.sessions import Entry, SessionStore, size

SIZE = (96, 64)  # 6 × 4 patches
CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "Crested <Auklet>", "Parakeet|Auklet", "e", "f", "g")
ENDPOINTS = {
    *("inspect", "layer", "layers", "heads", "token", "compare", "select", "evidence"),
    *("contrast", "token_sizes", "similar_patches", "faithfulness"),
    *("download_image", "download_record"),
    *("compare_checkpoints", "agreements", "differences"),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cub50-full` and `other`, which has no GLCA; tiny, untrained."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, ablation in (("other", "sa_only"), ("cub50-full", "full")):
        model = dcal.create_model(
            "deit_tiny_patch16_224", len(CLASSES), ablation=ablation, img_size=SIZE, classes=CLASSES, top_ratio=0.25
        )
        dcal.save(model, folder / name, metrics={"top1": 0.793})
    return folder


@pytest.fixture(scope="module")
def library(checkpoints: Path) -> CheckpointLibrary:
    return CheckpointLibrary(checkpoints)


@pytest.fixture(scope="module")
def blocks(library: CheckpointLibrary, tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    async def build() -> gr.Blocks:  # outside a running loop gradio makes loops of its own and leaves them open
        return server.page(InspectCallbacks(library, tmp_path_factory.mktemp("page")), [])

    return asyncio.run(build())


@pytest.fixture
def callbacks(library: CheckpointLibrary, tmp_path: Path) -> InspectCallbacks:
    return InspectCallbacks(library, tmp_path)


@pytest.fixture
def upload(tmp_path: Path) -> dict[str, Any]:
    """An uploaded image, 90 × 130 px, as gradio describes it."""
    path = tmp_path / "bird.png"
    noise = np.random.default_rng(1).integers(0, 256, (13, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((90, 130)).save(path)
    return {"path": str(path), "orig_name": "bird.png", "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def key(callbacks: InspectCallbacks, upload: dict[str, Any]) -> str:
    found, _, _ = callbacks.inspect(upload, "cub50-full")
    assert found is not None
    return found


def test_what_is_warmed_is_the_engine_that_visitors_get(
    callbacks: InspectCallbacks, upload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def engine(name: str) -> Any:
        asked.append(name)
        return encoded

    monkeypatch.setattr(callbacks.library, "encoder", engine)
    warmed = callbacks.warm([Path(upload["path"])])
    found, _, _ = callbacks.inspect(upload, callbacks.library.names()[0])
    assert asked == [callbacks.library.names()[0]] * 2 and found is not None
    np.testing.assert_allclose(warmed.rollout, callbacks.records.get(found).seen.rollout, atol=1e-6)


@pytest.fixture
def no_model(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a forward pass fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a model ran")

    monkeypatch.setattr(dcal.DCAL, "embed", refuse)


class TestInspect:
    def test_predictions_of_each_branch_and_a_summary(
        self, callbacks: InspectCallbacks, upload: dict[str, Any]
    ) -> None:
        key, predictions, summary = callbacks.inspect(upload, "cub50-full")
        seen = callbacks.records.get(key).seen
        assert list(predictions) == ["SA + GLCA", "SA", "GLCA"]
        for name, branch in (("SA + GLCA", "fused"), ("SA", "sa"), ("GLCA", "glca")):
            assert list(predictions[name].items()) == seen.top(5, branch)
        for part in ("cub50-full", "deit_tiny_patch16_224", "64×96 px", "6×4 patches", "12 layers of 3 heads", "79.3%"):
            assert part in summary
        np.testing.assert_array_equal(seen.image, np.asarray(Image.open(upload["path"])))

    def test_without_glca_there_is_sa_alone(self, callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
        assert list(callbacks.inspect(upload, "other")[1]) == ["SA"]

    def test_no_image_is_no_error(self, callbacks: InspectCallbacks) -> None:
        assert callbacks.inspect(None, "cub50-full") == (None, {}, captions.EMPTY)

    def test_between_two_images_the_record_stays(self, callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
        key, _, _ = callbacks.inspect(upload, "cub50-full")
        assert callbacks.inspect(None, "cub50-full", key) == (gr.skip(),) * 3
        assert callbacks.records.get(key).checkpoint == "cub50-full"

    def test_a_new_image_takes_the_place_of_the_old(self, callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
        first, _, _ = callbacks.inspect(upload, "cub50-full")
        second, _, _ = callbacks.inspect(upload, "other", first)
        assert len(callbacks.records) == 1
        assert callbacks.records.get(second).checkpoint == "other"

    def test_a_bad_image_gets_the_cores_message(self, callbacks: InspectCallbacks, tmp_path: Path) -> None:
        path = tmp_path / "not-an-image.png"
        path.write_bytes(b"%PDF-1.4")
        with pytest.raises(gr.Error, match="PDF document") as caught:
            callbacks.inspect({"path": str(path)}, "cub50-full")
        assert str(tmp_path) not in str(caught.value)  # no visitor learns where the server keeps its files
        assert caught.value.duration is None  # stays until it is closed

    def test_an_unknown_checkpoint_lists_the_known(self, callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
        with pytest.raises(gr.Error, match=r"'\.\./x'; there are cub50-full, other"):
            callbacks.inspect(upload, "../x")

    @pytest.mark.parametrize(
        "image",
        [
            {"path": str(Path(__file__).parents[2] / "README.md")},
            {"path": "https://example.org/a.png"},
            {"path": None, "url": "data:image/png;base64,iVBORw0KGgo="},
            "https://example.org/a.png",
            7,
        ],
    )
    def test_nothing_is_read_that_was_not_uploaded(self, callbacks: InspectCallbacks, image: Any) -> None:
        with pytest.raises(gr.Error, match=NOT_UPLOADED):
            callbacks.inspect(image, "cub50-full")

    def test_a_path_out_of_the_folder_is_refused(self, callbacks: InspectCallbacks, tmp_path: Path) -> None:
        with pytest.raises(gr.Error, match=NOT_UPLOADED):
            callbacks.inspect({"path": f"{tmp_path}/../bird.png"}, "cub50-full")


@pytest.mark.usefixtures("no_model")
class TestMaps:
    """What is drawn from the record alone."""

    def test_a_layer(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        drawing, said = callbacks.layer(key, 5, colormap="magma", opacity=1, smooth=True)
        low, high = float(seen.rollout.min()), float(seen.rollout.max())
        np.testing.assert_array_equal(drawing, draw.figure(seen, seen.rollout[4], 1, "magma", low, high, True))
        assert said.startswith("**Layer 5 of 12.**")
        assert draw.percent(float(seen.rollout[4].sum())) in said

    def test_a_layer_on_its_own_scale_under_another_fusion(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        drawing, said = callbacks.layer(key, 3, "max", 0.5, one_scale=False)
        np.testing.assert_array_equal(drawing, draw.figure(seen, seen.rolled("max", 0.5)[2]))
        assert "maximum over heads" in said
        assert "50%" in said

    def test_all_layers(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        drawing, said = callbacks.layers(key)
        np.testing.assert_array_equal(drawing, draw.strip(seen, seen.rollout, [str(i) for i in range(1, 13)]))
        assert "12 layers" in said

    def test_heads(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        drawing, said = callbacks.heads(key, 2)
        maps = np.stack([seen.head(1, head) for head in range(3)])
        grid = draw.grid(seen, maps, ["head 1", "head 2", "head 3"], 3, tile=1024 // 3)
        np.testing.assert_array_equal(drawing[: len(grid)], grid)
        assert "3 heads" in said

    @pytest.mark.parametrize("head", [0, 3])
    def test_a_token(self, callbacks: InspectCallbacks, key: str, head: int) -> None:
        seen = callbacks.records.get(key).seen
        drawing, said = callbacks.token(key, 6, 4, 11, head)
        map = seen.token(10, 5, 3, head - 1 if head else None)
        np.testing.assert_array_equal(drawing, draw.figure(seen, map, marked=(5, 3)))
        assert "Row 6, column 4, layer 11" in said

    @pytest.mark.parametrize(
        ("kind", "name"), [("input", "glca_input_map"), ("block", "glca_map"), ("local", "glca_local_map")]
    )
    def test_sa_and_glca_share_a_scale(self, callbacks: InspectCallbacks, key: str, kind: str, name: str) -> None:
        seen = callbacks.records.get(key).seen
        sa, glca, difference, *said = callbacks.compare(key, kind)
        maps = seen.sa_map, getattr(seen, name)
        low, high = draw.shared_scale(*maps)
        for drawing, map in zip((sa, glca), maps, strict=True):
            np.testing.assert_array_equal(drawing, draw.figure(seen, map, low=low, high=high, max_side=512))
        delta, most = draw.difference(*maps)
        expected = draw.figure(seen, delta, colormap=draw.DIVERGING, low=-most, high=most, max_side=512)
        np.testing.assert_array_equal(difference, expected)
        assert all(said)

    def test_a_selection(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        drawing, said = callbacks.select(key, 0.5)
        again = dcal.reselect(callbacks.library.model("cub50-full"), seen, 0.5)
        np.testing.assert_array_equal(drawing, draw.selection(seen, again.selected_mask))
        assert "R = 50%: 12 of 24 patches" in said
        assert f"{again.top(1)[0][1]:.1%}" in said
        assert "R = 25%, as trained" in said

    def test_the_first_layer_of_the_model_is_1(self, callbacks: InspectCallbacks, key: str) -> None:
        for layer in (0, 13, 2.5, None, "2"):
            with pytest.raises(gr.Error, match=r"There is no layer .*: choose 1 to 12"):
                callbacks.layer(key, layer)  # type: ignore[arg-type]
        with pytest.raises(gr.Error, match="There is no row 7: choose 1 to 6"):
            callbacks.token(key, 7, 1, 1)
        with pytest.raises(gr.Error, match="There is no column 5: choose 1 to 4"):
            callbacks.token(key, 1, 5, 1)
        with pytest.raises(gr.Error, match="There is no head 4: choose 1 to 3"):
            callbacks.token(key, 1, 1, 1, head=4)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda e, k: e.layer(k, 1, colormap="jet"), "'jet'.*'viridis'"),
            (lambda e, k: e.layer(k, 1, fusion="sum"), "'sum'.*'mean', 'max', 'min'"),
            (lambda e, k: e.layer(k, 1, opacity=60.0), "opacity must be a number from 0 to 1, got 60"),
            (lambda e, k: e.layer(k, 1, discard=1.0), r"\[0, 1\), got 1"),
            (lambda e, k: e.select(k, 0.0), r"\(0, 1\], got 0"),
            (lambda e, k: e.compare(k, "both"), "'both'.*'input', 'block', 'local'"),
            (lambda e, k: e.evidence(k, "Dodo"), "'Dodo': choose one of the 7"),
        ],
    )
    def test_the_page_says_what_is_wrong(
        self, callbacks: InspectCallbacks, key: str, call: Callable[..., Any], message: str
    ) -> None:
        with pytest.raises(gr.Error, match=message):
            call(callbacks, key)


class TestWithoutGLCA:
    def test_every_view_says_so(self, callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
        key, _, _ = callbacks.inspect(upload, "other")
        assert callbacks.select(key, 0.5) == (None, captions.NO_GLCA)
        sa, glca, difference, *said = callbacks.compare(key)
        assert sa is not None
        assert (glca, difference) == (None, None)
        assert said[1] == captions.NO_GLCA


class TestEvidence:
    def test_maps_for_a_class_are_kept_with_the_record(
        self, callbacks: InspectCallbacks, key: str, upload: dict[str, Any]
    ) -> None:
        relevance, gradient, *said = callbacks.evidence(key, CLASSES[3])
        seen = dcal.inspect(callbacks.library.model("cub50-full"), upload["path"], target=3)
        kept = callbacks.records.get(key).seen
        assert kept.target == 3
        assert kept.notes == seen.notes
        for drawing, name in ((gradient, "gradient_rollout"), (relevance, "relevance")):
            np.testing.assert_allclose(getattr(kept, name), getattr(seen, name), rtol=1e-4, atol=1e-7)
            np.testing.assert_array_equal(drawing, draw.figure(seen=kept, map=getattr(kept, name), max_side=512))
        assert all("Parakeet\\|Auklet" in sentence for sentence in said)

    @pytest.mark.usefixtures("no_model")
    def test_the_same_class_again_runs_nothing(self, callbacks: InspectCallbacks, key: str) -> None:
        entry = callbacks.records.get(key)
        maps = {"gradient_rollout": entry.seen.sa_map, "relevance": entry.seen.sa_map}
        for name, value in {"target": 2, **maps}.items():
            object.__setattr__(entry.seen, name, value)
        callbacks.evidence(key, CLASSES[2])


class TestLive:
    def test_the_payload_has_the_class_first_and_the_selection_at_r(
        self, callbacks: InspectCallbacks, key: str
    ) -> None:
        packed, bars, moved = callbacks.live(key, CLASSES[2], CLASSES[4], 0.5)
        seen = callbacks.records.get(key).seen
        assert packed["id"] == key and callbacks.record_of(key) is seen
        assert [map["key"] for map in packed["maps"][:2]] == ["relevance", "contrast"]
        assert packed["maps"][1]["title"] == "Crested <Auklet> rather than e"
        assert packed["maps"][1]["source"] == {"kind": "contrast", "target": 2, "rival": 4}
        assert seen.target == 2
        again = dcal.reselect(callbacks.library.model("cub50-full"), seen, 0.5)
        assert packed["selected"] == again.selected.tolist()
        assert moved.startswith("**12 of 24 patches.** The prediction ")
        assert f"{again.top(1)[0][1]:.1%}" in moved and f"{again.top(1)[0][1]:.1%}" in bars

    def test_the_rival_is_the_most_probable_other_class(self, callbacks: InspectCallbacks, key: str) -> None:
        order = np.argsort(-callbacks.records.get(key).seen.probabilities)
        for target, rival in ((order[0], order[1]), (order[2], order[0])):
            packed, *_ = callbacks.live(key, CLASSES[target], "", None)
            assert packed["maps"][1]["source"]["rival"] == rival

    def test_without_glca_r_does_not_count(self, callbacks: InspectCallbacks, upload: dict[str, Any]) -> None:
        key, _, _ = callbacks.inspect(upload, "other")
        packed, bars, moved = callbacks.live(key, None, "", 0.5)
        assert packed["selected"] is None and moved == ""
        assert bars.count("<b ") == 5  # one column
        assert callbacks.records.get(key).seen.target is not None  # the most probable class

    def test_every_map_says_what_it_is_worth(self, callbacks: InspectCallbacks, key: str) -> None:
        scores = {map["key"]: map["score"] for map in callbacks.live(key, None, "", None)[0]["maps"]}
        assert "dcal eval --analysis measures it" in scores["relevance"]
        assert scores["rollout"] and scores["glca-block"] and not scores["sizes"]


class TestModelMaps:
    @pytest.fixture
    def maps(self, callbacks: InspectCallbacks) -> ModelMapCallbacks:
        return ModelMapCallbacks(callbacks)

    def test_a_contrast(self, maps: ModelMapCallbacks, callbacks: InspectCallbacks, key: str) -> None:
        drawing, said = maps.contrast(key, CLASSES[0], CLASSES[3])
        seen = callbacks.records.get(key).seen
        map = contrast(callbacks.library.model("cub50-full"), seen, 0, 3).relevance
        low, high = draw.shared_scale(map)
        drawn = draw.overlay(seen, map, low=low, high=high)
        np.testing.assert_array_equal(drawing[: len(drawn)], drawn)
        assert said.startswith("**Black footed Albatross rather than Parakeet\\|Auklet.**")

    def test_token_sizes(self, maps: ModelMapCallbacks, callbacks: InspectCallbacks, key: str) -> None:
        _, said = maps.token_sizes(key, 3)
        sizes = token_sizes(callbacks.library.model("cub50-full"), callbacks.records.get(key).seen)[3, 1:]
        assert said.startswith(f"**Token size, layer 3.** {sizes.min():.1f} to {sizes.max():.1f}.")

    def test_similar_patches(self, maps: ModelMapCallbacks, key: str) -> None:
        _, said = maps.similar_patches(key, 2, 4, 12)
        assert said.startswith("**Similarity to row 2, column 4, layer 12.**")
        with pytest.raises(gr.Error, match="There is no column 5"):
            maps.similar_patches(key, 2, 5, 12)

    def test_faithfulness(self, maps: ModelMapCallbacks, callbacks: InspectCallbacks, key: str) -> None:
        found = maps.faithfulness(key, "glca-block")
        seen = callbacks.records.get(key).seen
        *_, last = faithfulness(callbacks.library.model("cub50-full"), seen, seen.glca_map)
        assert found["scores"]["map"] == pytest.approx(last.result.score())
        assert len(found["shares"]) == len(found["curves"]["deletion"]["random"]) == 11
        with pytest.raises(gr.Error, match="'heads'"):
            maps.faithfulness(key, "heads")

    def test_what_they_draw_can_be_downloaded(
        self, maps: ModelMapCallbacks, callbacks: InspectCallbacks, key: str
    ) -> None:
        maps.token_sizes(key, 3)
        assert Path(callbacks.download_image(key)).name == "dcal-token-sizes-layer-3.png"


class TestAddress:
    NAMES, SAMPLES = ["cub50-full", "other"], [Path("cardinal.webp"), Path("cat.webp")]

    def test_what_is_chosen_comes_back(self) -> None:
        search = '?tab=compare&image=cat&checkpoint=other&class=e&rival=f&r=0.3&view=%7B"map":"sa","layer":4%7D'
        assert wanted(search, self.NAMES, self.SAMPLES) == Wanted(
            "compare", "cat", "other", "e", "f", 0.3, {"map": "sa", "layer": 4}
        )

    @pytest.mark.parametrize(
        "search",
        [
            "",
            "?",
            "?tab=x&image=../etc&checkpoint=none&r=2&view=[1]",
            "?r=nan&view={",
            "?image=&r=",
            "?view=" + "[" * 9999,
        ],
    )
    def test_what_the_page_has_not_is_left_out(self, search: str) -> None:
        assert wanted(search, self.NAMES, self.SAMPLES) == Wanted()

    def test_the_tab_is_fitted_to_it(self, callbacks: InspectCallbacks, key: str) -> None:
        tab = inspect_tab.InspectTab.__new__(inspect_tab.InspectTab)
        tab.callbacks, tab.samples = callbacks, self.SAMPLES
        target, rival, ratio, after, moved, packed, _ = tab.settle(
            key, Wanted(target="e", rival="nobody", ratio=0.5, state={"map": "sa"})
        )
        assert (target["value"], rival["value"], ratio["value"], after) == ("e", "", 0.5, Wanted())
        assert moved["value"].startswith("**12 of 24 patches.**") and packed["state"] == {"map": "sa"}
        assert tab.place(Wanted(image="cat", checkpoint="other")) == ("cat.webp", "other", "cat")
        assert tab.place(Wanted()) == ("cardinal.webp", "cub50-full", "cardinal")


class TestDownloads:
    def test_the_image_drawn_last_large_and_lossless(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        callbacks.token(key, 2, 3, 4, colormap="cividis")
        path = Path(callbacks.download_image(key))
        assert path.name == "dcal-patch-2-3-layer-4.png"
        expected = draw.figure(seen, seen.token(3, 1, 2), colormap="cividis", max_side=2048, marked=(1, 2))
        saved = np.asarray(Image.open(path))
        np.testing.assert_array_equal(saved[: len(expected)], expected)
        assert len(saved) > len(expected)  # the caption: checkpoint, image, what is shown

    @pytest.mark.parametrize(
        "draws",
        [
            lambda e, k: e.layer(k, 4),
            lambda e, k: e.heads(k, 4),
            lambda e, k: e.compare(k),
            lambda e, k: e.select(k, 0.3),
            lambda e, k: e.evidence(k, CLASSES[0]),
        ],
    )
    def test_every_view_can_be_downloaded(
        self, callbacks: InspectCallbacks, key: str, draws: Callable[..., Any]
    ) -> None:
        draws(callbacks, key)
        with Image.open(callbacks.download_image(key)) as image:
            assert image.mode == "RGB"
            assert min(image.size) > 200

    def test_nothing_drawn_nothing_to_download(self, callbacks: InspectCallbacks, key: str) -> None:
        with pytest.raises(gr.Error, match="No image has been drawn"):
            callbacks.download_image(key)

    def test_the_record_comes_back_under_the_r_chosen_last(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        plain = dcal.Inspection.from_npz(callbacks.download_record(key))
        assert plain.top_ratio == 0.25
        np.testing.assert_array_equal(plain.rollout, seen.rollout)
        callbacks.select(key, 0.5)
        chosen = dcal.Inspection.from_npz(callbacks.download_record(key))
        assert chosen.top_ratio == 0.5
        assert chosen.selected is not None
        assert len(chosen.selected) == 12


class TestRecords:
    def test_the_ones_not_used_for_longest_go(self, callbacks: InspectCallbacks, key: str) -> None:
        entry = callbacks.records.get(key)
        records = SessionStore[Entry](most=2)
        first, second = (records.keep(Entry("a", entry.seen)) for _ in range(2))
        records.get(first)
        third = records.keep(Entry("a", entry.seen))
        assert records.get(first)
        assert records.get(third)
        with pytest.raises(dcal.DCALError, match="no longer kept"):
            records.get(second)

    def test_many_bytes_let_go_too_but_one_always_stays(self, callbacks: InspectCallbacks, key: str) -> None:
        seen = callbacks.records.get(key).seen
        assert size(seen) > seen.queries.nbytes + seen.keys.nbytes + seen.image.nbytes
        records = SessionStore[Entry](most_bytes=size(seen) * 2 + 10)
        keys = [records.keep(Entry("a", seen)) for _ in range(3)]
        assert len(records) == 2
        small = SessionStore[Entry](most_bytes=10)
        assert small.get(small.keep(Entry("a", seen)))
        assert len(set(keys)) == 3

    def test_before_the_first_image(self, callbacks: InspectCallbacks) -> None:
        with pytest.raises(gr.Error, match="no image yet"):
            callbacks.layer("", 1)
        with pytest.raises(gr.Error, match="no longer kept"):
            callbacks.layer("gone", 1)


class TestCheckpointLibrary:
    @pytest.fixture
    def wide(self, tmp_path: Path) -> CheckpointLibrary:
        """Checkpoints of every kind, as far as a library reads them before one is chosen: configurations."""
        owl = {"backbone": "vit", "num_classes": 2, "classes": ["Owl", "Kiwi"]}
        kinds = {
            "zebra": {**owl, "ablation": "full"},
            "yak": {**owl, "ablation": "sa_only"},
            "ant": {**owl, "ablation": "sa_pwca", "top_ratio": 0.3},
            "bee": {**owl, "ablation": "sa_pwca"},
            "cow": {**owl, "ablation": "full", "task": "reid"},
            "dog": {**owl, "ablation": "sa_glca", "classes": ["Owl", "Emu"]},
            ".hidden": owl,
        }
        for name, config in kinds.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text(json.dumps({"format": 1, **config}))
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "config.json").write_text("{")
        (tmp_path / "empty").mkdir()
        return CheckpointLibrary(tmp_path)

    def test_the_classifier_with_all_branches_comes_first_whatever_its_name(self, wide: CheckpointLibrary) -> None:
        assert wide.names() == ["zebra", "ant", "bad", "bee", "cow", "dog", "yak"]
        assert wide.names("reid") == ["cow"]
        assert wide.names("fgvc") == ["zebra", "ant", "bee", "dog", "yak"]  # "bad" cannot say what it is

    def test_ablations_of_the_same_task_and_classes(self, wide: CheckpointLibrary) -> None:
        assert wide.ablations("zebra") == ["yak", "ant", "zebra"]
        assert wide.ablations("bee") == ["yak", "bee", "zebra"]  # itself, not the first of its kind
        assert wide.ablations("dog") == ["dog"]
        assert wide.ablations("cow") == ["cow"]

    def test_a_checkpoint_that_cannot_be_read_says_so_when_it_is_chosen(self, wide: CheckpointLibrary) -> None:
        with pytest.raises(dcal.CheckpointError, match=r"bad/config\.json is not a configuration of ours"):
            wide.model("bad")
        with pytest.raises(dcal.CheckpointError, match="bad"):
            wide.ablations("bad")

    def test_models_are_loaded_when_asked_for_and_few_are_kept(
        self, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded: list[str] = []

        def load(path: Path) -> object:
            loaded.append(path.name)
            return object()

        monkeypatch.setattr(dcal, "load", load)
        each = [LOADED_BYTES]
        monkeypatch.setattr("dcal_explorer.content.checkpoints.size_of", lambda _: each[0])
        for name in "abcde":
            shutil.copytree(checkpoints / "other", tmp_path / name)
        library = CheckpointLibrary(tmp_path)
        assert (
            library.names() == list("abcde") and library.version("a") and library.ablations("a") == ["a"] and not loaded
        )
        for name in "abcda":
            library.model(name)
        assert loaded == list("abcd")
        library.model("e")  # b, not used for longest, goes
        for name in "cdaeb":
            library.model(name)
        assert loaded == list("abcdeb")
        each[0] = LOADED_BYTES // 5  # small ones are all kept
        for name in "cabedc":
            library.model(name)
        assert loaded == list("abcdebc")

    def test_an_empty_folder_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(dcal.CheckpointError, match=r"dcal train.*--checkpoints"):
            CheckpointLibrary(tmp_path)

    def test_a_model_is_loaded_once_and_again_when_its_file_changed(self, checkpoints: Path, tmp_path: Path) -> None:
        shutil.copytree(checkpoints / "other", tmp_path / "mine")
        library = CheckpointLibrary(tmp_path)
        first = library.model("mine")
        assert library.model("mine") is first
        dcal.save(first, tmp_path / "mine")
        assert library.model("mine") is not first


class TestWords:
    def test_bars_are_safe_html_with_percent(self) -> None:
        bars = captions.bars({"SA": {"<b>x</b>_y": 0.1234}})
        assert "&lt;b&gt;x&lt;/b&gt; y" in bars
        assert "<b>x" not in bars
        assert "12.3%" in bars
        assert "--p:12.34%" in bars

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("001.Black_footed_Albatross", "Black footed Albatross"),
            ("goldfinch", "goldfinch"),
            ("7.", "7."),
            ("a.b", "a.b"),
        ],
    )
    def test_readable_class_names(self, name: str, shown: str) -> None:
        assert captions.readable(name) == shown

    def test_markdown_is_shown_as_it_is(self) -> None:
        assert markdown.plain("a*b_c|[d]") == r"a\*b\_c\|\[d\]"


class TestPage:
    def test_each_event_is_an_endpoint_that_a_person_would_guess(self, blocks: gr.Blocks) -> None:
        public = {f.api_name for f in blocks.fns.values() if f.api_visibility == "public"}
        assert public == ENDPOINTS
        assert {f.api_visibility for f in blocks.fns.values()} == {"public", "private"}

    def test_every_endpoint_explains_itself(self, blocks: gr.Blocks) -> None:
        described = blocks.get_api_info()["named_endpoints"]
        assert set(described) == {f"/{name}" for name in ENDPOINTS}
        for name, endpoint in described.items():
            assert len(endpoint["description"]) > 30, name
            names = [parameter["parameter_name"] for parameter in endpoint["parameters"]]
            assert not [n for n in names if n.startswith("param_") or n == "record"], names

    def test_controls_fit_the_first_checkpoint(self, blocks: gr.Blocks) -> None:
        ratios = [b for b in blocks.blocks.values() if isinstance(b, gr.Slider) and b.elem_id == "live-ratio"]
        assert [(s.maximum, s.value, s.visible) for s in ratios] == [(1, 0.25, True)]
        layers = [b for b in blocks.blocks.values() if isinstance(b, gr.Slider) and b.label == "Layer"]
        assert not layers  # the live view has the only one

    def test_gradio_fetches_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = processing_utils.async_ssrf_protected_download
        monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", original)
        server.fetch_nothing()
        with pytest.raises(gr.Error, match=NOT_UPLOADED):
            asyncio.run(processing_utils.async_ssrf_protected_download("https://example.org/a.png", "/nowhere"))


class TestCommand:
    def test_arguments(self) -> None:
        options = program.parse(["--port", "7000", "--checkpoints", "mine", "--no-browser"])
        assert (options.port, options.checkpoints, options.browser) == (7000, Path("mine"), False)
        assert program.parse([]).checkpoints.name == "checkpoints"
        assert program.parse([]).browser

    def test_without_checkpoints_it_says_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GRADIO_TEMP_DIR", "unchanged")
        assert program.main(["--checkpoints", str(tmp_path), "--no-browser"]) == 2
        assert "dcal train" in capsys.readouterr().err

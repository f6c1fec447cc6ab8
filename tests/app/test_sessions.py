"""The store of records: what leaves it is freed at once, its limits count everything, what left comes back."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import dcal
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.sessions import Entry, SessionStore, total_bytes
from tests.fixtures.ablations import CLASSES, write_ablations


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CheckpointLibrary:
    return CheckpointLibrary(write_ablations(tmp_path_factory.mktemp("four")))


@pytest.fixture
def callbacks(library: CheckpointLibrary, tmp_path: Path) -> InspectCallbacks:
    return InspectCallbacks(library, tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> dict[str, Any]:
    noise = np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.png")
    return {"path": str(tmp_path / "image.png")}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """From here on only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


VIEWS = {
    "layer": lambda c, k: c.layer(k, 2, "max", 0.3),
    "layers": lambda c, k: c.layers(k),
    "heads": lambda c, k: c.heads(k, 2),
    "token": lambda c, k: c.token(k, 1, 1, 2),
    "compare": lambda c, k: c.compare(k),
    "select": lambda c, k: c.select(k, 0.5),
    "evidence": lambda c, k: c.evidence(k, CLASSES[1]),
    "download_image": lambda c, k: (c.layer(k, 1), c.download_image(k)),
    "download_record": lambda c, k: c.download_record(k),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.usefixtures("no_collection")
def test_a_record_is_freed_when_it_leaves(callbacks: InspectCallbacks, image: dict[str, Any], name: str) -> None:
    key, _, _ = callbacks.inspect(image, "ash")
    VIEWS[name](callbacks, key)
    freed = weakref.ref(callbacks.records.get(key).seen)
    callbacks.records.let_go(key)
    assert freed() is None


@pytest.mark.usefixtures("no_collection")
def test_few_records_are_alive_after_many(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    callbacks.records.most, refs = 2, []
    for _ in range(6):
        key, _, _ = callbacks.inspect(image, "ash")
        callbacks.layer(key, 1)
        callbacks.evidence(key, CLASSES[0])
        refs.append(weakref.ref(callbacks.records.get(key).seen))
    assert sum(ref() is not None for ref in refs) == 2


def test_what_an_entry_computes_later_counts_and_makes_room(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    first, second = (callbacks.inspect(image, "ash")[0] for _ in range(2))
    before = callbacks.records.get(second).nbytes
    callbacks.records.most_bytes = 2 * before + 8
    callbacks.layer(second, 1, "max", 0.25)
    entry = callbacks.records.get(second)
    assert entry.nbytes >= before + entry.rollouts["max", 0.25].nbytes
    assert first not in callbacks.records and second in callbacks.records


def test_the_evidence_of_a_class_counts(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.inspect(image, "ash")
    before = callbacks.records.get(key).nbytes
    callbacks.evidence(key, CLASSES[0])
    assert callbacks.records.get(key).nbytes > before


def test_settings_of_the_rollout_do_not_pile_up(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.inspect(image, "ash")
    for step in range(20):
        callbacks.layer(key, 1, "mean", step / 50)
    assert len(callbacks.records.get(key).rollouts) == 8


def test_an_array_that_several_share_is_counted_once_and_a_view_as_its_whole() -> None:
    whole = np.zeros(1000, dtype=np.uint8)
    assert total_bytes([whole, whole[:10], whole[5:]]) == 1000


def test_a_record_that_left_for_want_of_room_comes_back(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    callbacks.records.most = 1
    first, _, _ = callbacks.inspect(image, "ash")
    rollout = callbacks.records.get(first).seen.rollout
    second, _, _ = callbacks.inspect(image, "oak")
    assert first not in callbacks.records
    callbacks.layer(first, 1)
    np.testing.assert_array_equal(callbacks.records.get(first).seen.rollout, rollout)
    assert second not in callbacks.records  # there is room for one
    Path(image["path"]).unlink()
    with pytest.raises(gr.Error, match=r"no longer kept on the server\. Upload it again"):
        callbacks.layer(second, 1)


def test_a_record_that_was_replaced_does_not_come_back(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    first, _, _ = callbacks.inspect(image, "ash")
    callbacks.inspect(image, "ash", first)
    with pytest.raises(gr.Error, match="no longer kept"):
        callbacks.layer(first, 1)


def test_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcal_explorer.demo.sessions.REMEMBERED", 3)

    class Small:
        nbytes, source = 1, "here"

        def close(self) -> None:
            pass

    store = SessionStore[Any](most=1, renew=lambda source: Small())
    keys = [store.keep(Small()) for _ in range(6)]
    assert store.get(keys[4]) is not None
    with pytest.raises(dcal.DCALError, match="no longer kept"):
        store.get(keys[0])


class Thing:
    """An entry of ten bytes; one with a source can be made again."""

    nbytes = 10

    def __init__(self, source: str | None) -> None:
        self.source = source

    def close(self) -> None:
        pass


def test_what_can_be_made_again_leaves_before_what_cannot() -> None:
    store = SessionStore[Any](most_bytes=25, renew=Thing)
    upload, lasting, newest = (store.keep(Thing(source)) for source in ("a.png", None, "b.png"))
    assert upload not in store and lasting in store and newest in store
    store.keep(Thing("c.png"))
    assert newest not in store and lasting in store
    assert store.get(upload).source == "a.png"


def test_an_entry_that_is_quite_forgotten_is_made_from_what_the_page_shows() -> None:
    store = SessionStore[Any](renew=Thing)
    with pytest.raises(dcal.DCALError, match="no longer kept"):
        store.get("a key from before a restart")
    assert store.record("a key from before a restart", "shown.png").source == "shown.png"
    assert store.get("a key from before a restart").source == "shown.png"


def test_memory_stays_where_the_limit_is(callbacks: InspectCallbacks, tmp_path: Path) -> None:
    """By the process's own account: each image is 12 MB, and twenty-five would be 300."""
    limit, page = 40_000_000, os.sysconf("SC_PAGE_SIZE")
    callbacks.records.most_bytes = limit

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    def visit(number: int) -> None:
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (2000, 2000), (number, 90, 90)).save(path, compress_level=1)
        key, _, _ = callbacks.inspect({"path": str(path)}, "ash")
        callbacks.layer(key, 2, "max", 0.2)

    for number in range(6):
        visit(number)
    before = resident()
    for number in range(6, 31):
        visit(number)
    assert callbacks.records.nbytes <= limit and len(callbacks.records) >= 2
    assert resident() - before < 100_000_000


class TestEvidence:
    def test_only_the_evidence_is_computed(
        self, callbacks: InspectCallbacks, image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key, _, _ = callbacks.inspect(image, "ash")
        monkeypatch.setattr(dcal, "inspect", lambda *_, **__: pytest.fail("the image was inspected again"))
        callbacks.evidence(key, CLASSES[2])
        assert callbacks.records.get(key).seen.target == 2

    def test_maps_of_other_weights_are_not_mixed_in(self, tmp_path: Path, image: dict[str, Any]) -> None:
        library = CheckpointLibrary(write_ablations(tmp_path / "mine"))
        callbacks = InspectCallbacks(library, tmp_path)
        key, _, _ = callbacks.inspect(image, "ash")
        other = dcal.create_model("test_vit", 3, ablation="full", img_size=(64, 48), top_ratio=0.25, classes=CLASSES)
        dcal.save(other, library.folder / "ash")
        with pytest.raises(gr.Error, match="made by another checkpoint: inspect the image again"):
            callbacks.evidence(key, CLASSES[0])
        assert callbacks.records.get(key).seen.relevance is None

    def test_it_equals_an_inspection_for_the_class(self, callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
        key, _, _ = callbacks.inspect(image, "ash")
        callbacks.evidence(key, CLASSES[1])
        seen = callbacks.records.get(key).seen
        direct = dcal.inspect(callbacks.library.model("ash"), image["path"], target=1)
        for name in ("relevance", "gradient_rollout", "rollout", "glca_input_map"):
            np.testing.assert_allclose(getattr(seen, name), getattr(direct, name), atol=1e-7)


def test_a_drawing_does_not_hold_its_entry(callbacks: InspectCallbacks, image: dict[str, Any]) -> None:
    key, _, _ = callbacks.inspect(image, "ash")
    for draw in VIEWS.values():
        draw(callbacks, key)
        entry = callbacks.records.get(key)
        assert entry.shown is not None or draw in (VIEWS["layers"],)
        cells = getattr(entry.shown.draw, "__closure__", None) or () if entry.shown else ()
        assert not any(isinstance(cell.cell_contents, Entry) for cell in cells)

"""The tab "Re-identify": other galleries, several images as one query, margins, probabilities, reviews and files."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import dcal
from dcal import draw
from dcal.gallery.build import build_folder
from dcal.gallery.reviews import Reviews
from dcal.gallery.sources import dataset_images
from dcal.retrieval import Reranking
from dcal.retrieval.calibration import Calibration, Curve, write_calibration
from dcal_explorer.content import cards, reid_captions
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.galleries import Galleries
from dcal_explorer.content.numbers import margin
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.reid_tab import FindTab
from tests.fixtures.tiny_yard import write_checkpoints

QUERY = "images/0025_c3.webp"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints with galleries, and beside them folders of more: `mine` of reid-full, `theirs` of reid-sa_only."""
    folder = write_checkpoints(tmp_path_factory.mktemp("reid"))
    images = dataset_images("yard", folder.parent / "yard")
    some = type(images)(images.root, tuple(item for item in images.items if item.camera != "8"))
    for name, checkpoint in (("mine", "reid-full"), ("theirs", "reid-sa_only")):
        model = dcal.load(folder / checkpoint)
        build_folder(model, some, folder.parent / "galleries" / name, checkpoint, workers=0)
    return folder


@pytest.fixture
def callbacks(folder: Path, tmp_path: Path) -> ReIDCallbacks:
    inspect = InspectCallbacks(CheckpointLibrary(folder), tmp_path)
    return ReIDCallbacks(inspect, [folder.parent / "galleries"])


@pytest.fixture
def tab(callbacks: ReIDCallbacks) -> FindTab:
    async def build() -> FindTab:
        with gr.Blocks(), gr.Tabs(), gr.Tab("Re-identify") as tab:
            return FindTab(tab, callbacks, callbacks.galleries.names())

    return asyncio.run(build())


@pytest.fixture
def key(callbacks: ReIDCallbacks) -> str:
    found, _ = callbacks.choose(QUERY, "reid-full")
    callbacks.ranking(found, across=False, most=100)
    return found


class TestGalleries:
    def test_those_of_the_same_weights_can_be_chosen(self, callbacks: ReIDCallbacks, folder: Path) -> None:
        galleries = callbacks.galleries
        assert list(galleries.choices("reid-full")) == ["", "mine"] and list(galleries.choices("reid-sa_only")) == [
            "",
            "theirs",
        ]
        assert (
            len(galleries.open("reid-full", "mine").embedded) == 8 and len(galleries.open("reid-full").embedded) == 12
        )
        with pytest.raises(
            dcal.DCALError, match="no gallery 'theirs' that reid-full embedded; there are gallery, mine"
        ):
            galleries.open("reid-full", "theirs")
        one = Galleries(CheckpointLibrary(folder), [folder.parent / "galleries" / "mine"])
        assert list(one.choices("reid-full")) == ["", "mine"]
        with pytest.raises(dcal.DCALError, match="yard is no gallery, and holds none"):
            Galleries(CheckpointLibrary(folder), [folder.parent / "yard"])

    def test_a_checkpoint_without_its_own_searches_another(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder / "reid-full", tmp_path / "reid-full", ignore=shutil.ignore_patterns("gallery"))
        galleries = Galleries(CheckpointLibrary(tmp_path), [folder.parent / "galleries"])
        assert list(galleries.choices("reid-full")) == ["mine"] and len(galleries.open("reid-full").embedded) == 8

    def test_a_gallery_is_listed(self, callbacks: ReIDCallbacks) -> None:
        found = callbacks.gallery("reid-full", "mine", camera="3")
        assert found["galleries"] == ["gallery", "mine"] and found["cameras"] == ["1", "3"]
        assert (found["count"], found["pages"], found["viewpoints"]) == (4, 1, [])
        assert [image["image"] for image in found["images"]] == [f"images/00{i}_c3.webp" for i in (25, 26, 59, 60)]
        with pytest.raises(gr.Error, match="no page 2: choose 1 to 1"):
            callbacks.gallery("reid-full", "mine", page=2)

    def test_filters_and_the_query_survive_another_checkpoint_and_gallery(
        self, tab: FindTab, callbacks: ReIDCallbacks
    ) -> None:
        opened = tab.arrive("reid-full", "", None)
        assert opened[tab.gallery]["choices"] == [("gallery", ""), ("mine", "mine")] and opened[tab.gallery]["visible"]
        model = opened[tab.model]["choices"][1][1]
        kept = "3", model, ["1", "8"], [model], "glca"
        moved = tab.change_checkpoint("reid-sa_only", "", opened[tab.record], *kept)
        assert moved[tab.ranked.cameras]["value"] == ["1", "8"] and moved[tab.ranked.models]["value"] == [model]
        assert (moved[tab.camera]["value"], moved[tab.model]["value"]) == ("3", model)
        assert moved[tab.match.branch]["value"] == "fused"  # it has no GLCA
        there = tab.change("reid-sa_only", "theirs", moved[tab.record], *kept)
        assert there[tab.ranked.cameras]["value"] == ["1"]
        assert "no longer a filter: camera 8" in there[tab.caption]
        session = callbacks.records.get(there[tab.record])
        assert (session.gallery, session.known.path) == ("theirs", "images/0025_c1.webp")
        back = tab.change_checkpoint("reid-full", "theirs", there[tab.record], *kept)
        assert back[tab.gallery]["value"] == "" and callbacks.records.get(back[tab.record]).gallery == ""

    def test_a_copied_checkpoint_finds_the_yard_s_images(self, tmp_path: Path) -> None:
        bundled = Path(__file__).resolve().parents[2] / "checkpoints" / "reid-sa_only"
        shutil.copytree(bundled / "gallery", tmp_path / "elsewhere" / "gallery")
        gallery = dcal.open_gallery(tmp_path / "elsewhere" / "gallery")
        assert gallery.image_path(0).is_file()


class TestRanking:
    def test_re_ranking_and_one_image_per_identity(self, callbacks: ReIDCallbacks, key: str, folder: Path) -> None:
        found, worth = callbacks.ranking(key, across=True, rerank=True, most=50)
        gallery = dcal.open_gallery(folder / "reid-full" / "gallery")
        direct = dcal.rank(
            gallery, gallery.items[gallery.index_of(QUERY)], k=50, cameras=["1", "8"], reranking=Reranking()
        )
        assert [hit["image"] for hit in found["hits"]] == [hit.item.path for hit in direct.hits]
        assert found["reranked"] and "re-ranked" in worth
        found, worth = callbacks.ranking(key, across=True, per_identity=True, most=50)
        assert sorted(hit["identity"] for hit in found["hits"]) == ["25", "26", "59", "60"]
        assert {hit["images"] for hit in found["hits"]} == {2}
        html = cards.hits(callbacks.galleries.open("reid-full"), callbacks.records.get(key).ranking)
        assert html.count(">best of 2<") == 4
        with pytest.raises(gr.Error, match="viewpoint is not known"):
            callbacks.ranking(key, same_view=True)

    def test_several_images_are_one_query(self, callbacks: ReIDCallbacks, key: str, folder: Path) -> None:
        both, said = callbacks.choose("images/0025_c1.webp", "reid-full", key, add=True)
        assert "**2 images are the query**" in said and "- vehicle 25, camera 1" in said
        found, _ = callbacks.ranking(both, across=False, most=50)
        gallery = dcal.open_gallery(folder / "reid-full" / "gallery")
        items = [gallery.items[gallery.index_of(path)] for path in (QUERY, "images/0025_c1.webp")]
        direct = dcal.rank(gallery, items, k=50)
        assert [(hit["image"], hit["verdict"]) for hit in found["hits"]] == [
            (hit.item.path, hit.verdict) for hit in direct.hits
        ]
        hit = callbacks.records.get(both).ranking.hits[0]
        rows = [gallery.rows(np.array([gallery.index_of(item.path)]))[0] for item in [*items, hit.item]]
        closer = items[int(np.argmax([rows[0] @ rows[2], rows[1] @ rows[2]]))]
        seen = dcal.inspect(dcal.load(folder / "reid-full"), folder.parent / "yard" / closer.path)
        np.testing.assert_array_equal(callbacks.explained(both, 1).match.query.image, seen.image)
        alone, said = callbacks.choose(QUERY, "reid-full", both, add=True)  # a second click takes it out
        assert "vehicle 25, camera 1" in said and len(callbacks.records.get(alone).images) == 1
        assert callbacks.query_image(alone).shape == (512, 512, 3)

    def test_a_margin_is_explained(self, callbacks: ReIDCallbacks, key: str, folder: Path) -> None:
        hits = callbacks.records.get(key).ranking.hits
        yard, paths = folder.parent / "yard", [hits[0].item.path, hits[2].item.path]
        expected = dcal.explain_match(dcal.load(folder / "reid-full"), *(yard / path for path in (QUERY, *paths)))
        drawing, said, _ = callbacks.match(key, 1, "sa", against=3)
        evidence = expected.evidence("sa")
        np.testing.assert_array_equal(drawing, draw.pair(expected, evidence, regions=regions(callbacks, key, 1)))
        assert f"rather than rank 3: margin {margin(evidence.score)}**" in said and "Measured worth" in said
        sentences = callbacks.branches(key, 1, against=3)[2:]
        scale = draw.evidence_scale(expected.evidence("sa"), expected.evidence("glca"))
        assert scale[0] == -scale[1]
        assert all(
            f"margin {margin(expected.evidence(b).score)}" in s for b, s in zip(("sa", "glca"), sentences, strict=True)
        )
        with pytest.raises(gr.Error, match="cannot be held against itself"):
            callbacks.match(key, 1, against=1)
        assert "similarity" in callbacks.match(key, 1, "sa")[1]  # and without it, the similarity again


def regions(callbacks: ReIDCallbacks, key: str, hit: int) -> tuple[Any, Any]:
    return callbacks.explained(key, hit, 3).regions()


class TestProbabilities:
    def test_cards_show_them_and_the_answer_says_what_is_probably_new(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard", tmp_path / "yard")
        place = tmp_path / "checkpoints" / "reid-full"
        curve = Curve("logistic", (-1.0, 1.0), (0.0, 1.0), 4, 2)
        for threshold, said in ((2.0, "Probably not in this gallery"), (-2.0, "Probably in this gallery")):
            weights = dcal.fingerprint(dcal.load(place))
            write_calibration(place, Calibration(weights, "by hand", curve, curve, threshold, 0.5))
            callbacks = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(place.parent), tmp_path))
            key, _ = callbacks.choose(QUERY, "reid-full")
            found, worth = callbacks.ranking(key, most=50)
            assert said in worth and found["probably_new"] == (threshold > 0)
            gallery, ranking = callbacks.galleries.open("reid-full"), callbacks.records.get(key).ranking
            html = cards.hits(gallery, ranking)
            for hit in ranking.hits:
                assert hit.probability == pytest.approx((hit.similarity + 1) / 2, abs=1e-6)
                assert (
                    f"the same vehicle with a probability of {hit.probability:.0%}, similarity {hit.similarity:.3f}"
                    in (html.replace("&gt;99", "100"))
                )
                assert f"{reid_captions.chance(hit)}".replace(">", "&gt;") in html
        measured = {"across": {"open_set": {"chosen": {"misses": 0.125, "false_alarms": 0.25}}}}
        told = reid_captions.newness(gallery, ranking, measured)
        assert "misses 12.5% of the queries that are there and lets 25.0% of the new ones pass" in told


class TestReviews:
    @pytest.fixture(autouse=True)
    def fresh(self, callbacks: ReIDCallbacks) -> None:
        Reviews(callbacks.galleries.open("reid-full").folder).path.unlink(missing_ok=True)

    def test_two_visitors_answer_and_both_are_kept(
        self, callbacks: ReIDCallbacks, tab: FindTab, key: str, folder: Path, tmp_path: Path
    ) -> None:
        other = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(folder), tmp_path))
        second, _ = other.choose(QUERY, "reid-full")
        other.ranking(second, across=False, most=100)
        version = callbacks.library.version("reid-full")
        assert callbacks.review(key, 1, "same") == "Kept: same. 1 answer in `gallery.reviews.jsonl`."
        assert "2 answers" in other.review(second, 2, "new identity")
        assert (other.answer_of(second, 1), callbacks.answer_of(key, 2)) == ("same", "new identity")
        assert callbacks.library.version("reid-full") == version  # nothing has to be read again
        html = tab.match.marked(key, 2)
        assert html.count("reviewed: same</span>") == 1 and html.count("reviewed: new identity</span>") == 1
        assert html.count('aria-pressed="true"') == 1
        assert callbacks.review(key, 1, "").startswith("Taken back. 1 answer")
        with pytest.raises(gr.Error, match="'maybe': choose one of"):
            callbacks.review(key, 1, "maybe")
        rows = list(csv.DictReader(io.StringIO(Path(callbacks.download_reviews(key)).read_text())))
        hit = callbacks.records.get(key).ranking.hits[1].item
        assert [(row["query"], row["image"], row["answer"]) for row in rows] == [(QUERY, hit.path, "new identity")]

    def test_the_hits_and_an_image_can_be_taken_away(self, callbacks: ReIDCallbacks, key: str) -> None:
        callbacks.review(key, 2, "cannot tell")
        rows = list(csv.DictReader(io.StringIO(Path(callbacks.download_hits(key)).read_text())))
        hits = callbacks.records.get(key).ranking.hits
        assert [row["path"] for row in rows] == [hit.item.path for hit in hits]
        assert [row["review"] for row in rows[:3]] == ["", "cannot tell", ""]
        assert float(rows[0]["similarity"]) == pytest.approx(hits[0].similarity, abs=1e-6)
        with Image.open(callbacks.download_ranking(key)) as sheet:
            assert sheet.size[0] > 1000 and sheet.size[1] > 3 * 192  # the query's row and two of hits
        with pytest.raises(gr.Error, match="Nothing has been ranked"):
            callbacks.download_hits(callbacks.choose(QUERY, "reid-full")[0])

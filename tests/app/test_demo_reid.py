"""The tab "Re-identify" as plain functions: what they rank is the core's, what they draw is `dcal.draw`'s."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import dcal
from dcal import draw
from dcal.analysis import on_part
from dcal.data.reid.yard import Yard
from dcal.gallery.build import build_folder
from dcal.gallery.sources import dataset_images
from dcal_explorer.content import captions, cards, match_captions, reid_captions
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.galleries import Galleries
from dcal_explorer.demo import server
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.callbacks.reid_ranking import named
from dcal_explorer.demo.inputs import NOT_UPLOADED
from dcal_explorer.demo.reid_tab import FindTab
from dcal_explorer.demo.restart import Shown
from tests.app.test_demo import ENDPOINTS
from tests.fixtures.tiny_yard import COLS, ROWS, cosines, write_checkpoints
from tools.yard.detail import DETAILS

QUERY = "images/0025_c3.webp"  # of vehicle 25, whose twin is 26
FOUND = {
    *("search", "choose", "gallery", "ranking", "match", "branches", "review"),
    *("download_ranking", "download_hits", "download_reviews"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoints(tmp_path_factory.mktemp("reid"))


@pytest.fixture
def callbacks(folder: Path, tmp_path: Path) -> ReIDCallbacks:
    return ReIDCallbacks(InspectCallbacks(CheckpointLibrary(folder), tmp_path))


@pytest.fixture
def key(callbacks: ReIDCallbacks) -> str:
    found, _ = callbacks.choose(QUERY, "reid-full")
    callbacks.ranking(found, across=False, most=100)
    return found


@pytest.fixture
def crop(tmp_path: Path) -> dict[str, Any]:
    """An uploaded crop, 61 × 40 px, as gradio describes it."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "crop.png")
    return {"path": str(tmp_path / "crop.png"), "orig_name": "crop.png", "meta": {"_type": "gradio.FileData"}}


def place_of(callbacks: ReIDCallbacks, key: str, path: str) -> int:
    """Where an image stands in the ranking shown, from 1."""
    return [hit.item.path for hit in callbacks.records.get(key).ranking.hits].index(path) + 1


class Text(HTMLParser):
    """The elements of a piece of HTML and the text of it all."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class TestGalleries:
    def test_the_yard_says_whom_it_shows(self, folder: Path) -> None:
        gallery = Galleries(CheckpointLibrary(folder)).open("reid-full")
        assert (gallery.noun, len(gallery.embedded)) == ("vehicle", 12)
        record = gallery.known(gallery.item(QUERY))
        assert (record.identity, record.camera, record.twin) == (25, 3, 26)
        assert len(gallery.models) == 2
        assert gallery.identities([record.label]) == ["25", "26"]
        assert gallery.identities([]) is None
        assert [item.identity for item in gallery.images_of("3", record.label)] == ["25", "26"]
        assert {item.camera for item in gallery.images_of(model=record.label)} == {"1", "3", "8"}
        assert len(gallery.images_of()) == 12

    def test_it_is_opened_once_and_again_when_its_files_changed(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard", tmp_path / "yard")
        galleries = Galleries(CheckpointLibrary(tmp_path / "checkpoints"))
        first = galleries.open("reid-full")
        assert galleries.open("reid-full") is first
        table = tmp_path / "checkpoints" / "reid-full" / "gallery" / "items.csv"
        lines = table.read_text().splitlines()
        path, _, camera = lines[1].split(",")
        table.write_text("\n".join([lines[0], f"{path},renamed,{camera}", *lines[2:], ""]))  # as the error advises
        second = galleries.open("reid-full")
        assert second is not first and second.item(path).identity == "renamed"
        shutil.copytree(table.parent, tmp_path / "new")
        shutil.rmtree(table.parent)
        (tmp_path / "new").rename(table.parent)
        assert galleries.open("reid-full") is not second

    def test_what_is_missing_is_said(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder / "reid-full", tmp_path / "mine")
        galleries = Galleries(CheckpointLibrary(tmp_path))
        shutil.copytree(folder / "reid-sa_only" / "gallery", tmp_path / "mine" / "gallery", dirs_exist_ok=True)
        with pytest.raises(dcal.DCALError, match="reid-sa_only"):  # other weights
            galleries.open("mine")
        shutil.rmtree(tmp_path / "mine" / "gallery")
        with pytest.raises(dcal.DCALError, match=r"no gallery.*dcal index build"):
            galleries.open("mine")
        with pytest.raises(dcal.DCALError, match="no checkpoint 'other'"):
            galleries.open("other")

    def test_an_image_is_another_gallerys_own_if_it_is_the_same_file(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard", tmp_path / "yard")
        mine, full = (Galleries(CheckpointLibrary(folder)).open(name) for name in ("reid-sa_only", "reid-full"))
        copy = Galleries(CheckpointLibrary(tmp_path / "checkpoints")).open("reid-full")
        assert full.own(mine, QUERY) == full.item(QUERY)
        assert copy.own(mine, QUERY) is None and full.own(mine, "images/0999_c1.webp") is None
        (tmp_path / "yard" / QUERY).unlink()
        (tmp_path / "yard" / QUERY).symlink_to((folder.parent / "yard" / QUERY).resolve())
        assert copy.own(mine, QUERY) == copy.item(QUERY)

    def test_a_gallery_of_other_images_knows_no_twins(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard" / "images", tmp_path / "yard" / "images")  # without its table
        gallery = Galleries(CheckpointLibrary(tmp_path / "checkpoints")).open("reid-full")
        assert (gallery.noun, gallery.models) == ("identity", ())
        assert gallery.known(gallery.item(QUERY)) is None
        with pytest.raises(dcal.DCALError, match="no model 'van'; there are none"):
            gallery.identities(["van"])


class TestRanking:
    def test_one_of_the_gallerys_images(self, callbacks: ReIDCallbacks, folder: Path) -> None:
        key, said = callbacks.choose(QUERY, "reid-full")
        assert "vehicle 25, camera 3" in said
        assert "its twin is vehicle 26" in said
        found, worth = callbacks.ranking(key, across=False, most=5)
        expected = sorted(cosines(folder / "reid-full", QUERY).items(), key=lambda pair: -pair[1])
        assert [hit["image"] for hit in found["hits"]] == [path for path, _ in expected[:5]]
        for hit, (path, similarity) in zip(found["hits"], expected, strict=False):
            assert hit["similarity"] == pytest.approx(similarity, abs=1e-5)
            assert hit["verdict"] == ("match" if "/0025_" in path else "wrong")
        ranks = [rank for rank, (path, _) in enumerate(expected, 1) if "/0025_" in path]
        precision = sum(number / rank for number, rank in enumerate(ranks, 1)) / len(ranks)
        assert f"{precision:.1%}" in worth
        assert ("ranks **first**" if ranks[0] == 1 else f"**rank {ranks[0]}**") in worth
        assert f"{sum(rank <= 5 for rank in ranks)} of the 5 shown are correct, of 2 in all." in worth
        assert "among 11 images." in worth

    def test_by_the_other_cameras_alone(self, callbacks: ReIDCallbacks, folder: Path) -> None:
        key, _ = callbacks.choose(QUERY, "reid-full")
        found, worth = callbacks.ranking(key)
        expected = sorted(cosines(folder / "reid-full", QUERY).items(), key=lambda pair: -pair[1])
        assert [hit["image"] for hit in found["hits"]] == [path for path, _ in expected if "_c3" not in path]
        assert "among 8 images of the other cameras" in worth
        found, worth = callbacks.ranking(key, cameras=["3", "8"])
        assert {hit["camera"] for hit in found["hits"]} == {"8"}
        found, worth = callbacks.ranking(key, cameras=["3"])
        assert (found["hits"], worth) == ([], "No image is left to rank: include more cameras or models.")

    def test_an_image_by_nobody_knows_which_camera_is_not_by_the_querys(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard", tmp_path / "yard")
        table, lost = tmp_path / "checkpoints" / "reid-full" / "gallery" / "items.csv", "images/0059_c3.webp"
        table.write_text(table.read_text().replace(f"{lost},59,3", f"{lost},59,"))
        callbacks = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(tmp_path / "checkpoints"), tmp_path))
        key, _ = callbacks.choose(QUERY, "reid-full")
        found, worth = callbacks.ranking(key)
        expected = sorted(cosines(folder / "reid-full", QUERY).items(), key=lambda pair: -pair[1])
        assert [hit["image"] for hit in found["hits"]] == [
            path for path, _ in expected if "_c3" not in path or path == lost
        ]
        assert "among 9 images of the other cameras or of an unknown one." in worth
        found, _ = callbacks.ranking(key, cameras=["3", "8"])
        assert {hit["camera"] for hit in found["hits"]} == {"8"}

    def test_filters(self, callbacks: ReIDCallbacks, key: str) -> None:
        found, worth = callbacks.ranking(key, False, ["1", "3"], [], 50)
        assert {hit["camera"] for hit in found["hits"]} == {"1", "3"}
        assert "The only other image of this vehicle" in worth
        label = callbacks.galleries.open("reid-full").yard
        other = next(record.label for record in label.values() if record.identity == 59)
        found, worth = callbacks.ranking(key, False, [], [other], 50)
        assert {hit["identity"] for hit in found["hits"]} == {"59", "60"}
        assert "no image can be correct here" in worth
        with pytest.raises(gr.Error, match="'9'; the gallery has '1', '3', '8'"):
            callbacks.ranking(key, cameras=["9"])
        with pytest.raises(gr.Error, match="choose 1 to 100"):
            callbacks.ranking(key, most=0)

    def test_an_upload_is_ranked_but_not_judged(
        self, callbacks: ReIDCallbacks, folder: Path, crop: dict[str, Any]
    ) -> None:
        key, said = callbacks.search(crop, "reid-full")
        assert "Your own crop" in said
        assert callbacks.search(None, "reid-full", key) == (gr.skip(),) * 2  # the page is between two images
        found, worth = callbacks.ranking(key, most=4)
        seen = dcal.inspect(dcal.load(folder / "reid-full"), crop["path"])
        direct = dcal.rank(dcal.open_gallery(folder / "reid-full" / "gallery"), seen, k=4)
        expected = direct.to_dict()
        assert found == expected | {"query": named(expected["query"]), "hits": [named(hit) for hit in expected["hits"]]}
        assert all("path" not in hit for hit in found["hits"])  # a client would take it for a file
        assert {hit["verdict"] for hit in found["hits"]} == {None}
        assert worth.startswith("The 4 nearest of 12 images")
        np.testing.assert_array_equal(callbacks.query_image(key), draw.tile(seen.image, draw.PAIR_SIDE))

    def test_bad_uploads_get_a_message_and_leave_the_query_as_it_was(
        self, callbacks: ReIDCallbacks, key: str, tmp_path: Path
    ) -> None:
        (tmp_path / "holiday.png").write_bytes(b"%PDF-1.7")
        for path, message in ((tmp_path / "holiday.png", "PDF document"), (Path("/etc/passwd"), NOT_UPLOADED)):
            with pytest.raises(gr.Error, match=message) as caught:
                callbacks.search({"path": str(path)}, "reid-full", key)
            assert str(tmp_path) not in str(caught.value)
        assert callbacks.records.get(key).known.path == QUERY
        with pytest.raises(gr.Error, match=r"no image '\.\./\.\./x'"):
            callbacks.choose("../../x", "reid-full", key)

    def test_the_same_query_for_another_checkpoint(
        self, callbacks: ReIDCallbacks, key: str, crop: dict[str, Any]
    ) -> None:
        again, _ = callbacks.change("reid-sa_only", key)
        session = callbacks.records.get(again)
        assert (session.checkpoint, session.known.path) == ("reid-sa_only", QUERY)
        own, _ = callbacks.change("reid-full", callbacks.search(crop, "reid-sa_only")[0])
        seen = callbacks.records.get(own).seen
        assert seen.config.ablation == "full"
        np.testing.assert_array_equal(seen.image, np.asarray(Image.open(crop["path"])))


class TestWhy:
    def test_the_evidence_of_each_branch(self, callbacks: ReIDCallbacks, key: str, folder: Path) -> None:
        path = "images/0059_c1.webp"
        match = dcal.explain_match(
            dcal.load(folder / "reid-full"), *(folder.parent / "yard" / name for name in (QUERY, path))
        )
        hit = place_of(callbacks, key, path)
        for branch, name in (("fused", "SA + GLCA"), ("sa", "SA"), ("glca", "GLCA")):
            drawing, said, twins = callbacks.match(key, hit, branch, colormap="magma", opacity=1, smooth=True)
            expected = draw.pair(match, match.evidence(branch), colormap="magma", opacity=1, smooth=True)
            np.testing.assert_array_equal(drawing, expected)
            assert f"similarity {match.evidence(branch).similarity:.3f}** ({name})" in said
            assert twins == "" and "Measured worth: none yet for this checkpoint" in said
        sa, glca, *sentences = callbacks.branches(key, hit)
        both = [match.evidence(branch) for branch in ("sa", "glca")]
        scale = draw.shared_scale(*(m for evidence in both for m in (evidence.query_map, evidence.match_map)))
        for drawing, branch, sentence in zip((sa, glca), ("sa", "glca"), sentences, strict=True):
            np.testing.assert_array_equal(drawing, draw.pair(match, match.evidence(branch), side=320, scale=scale))
            assert f"{match.evidence(branch).similarity:.3f}" in sentence

    def test_the_evidence_s_measured_worth_stands_beside_it(
        self, callbacks: ReIDCallbacks, key: str, folder: Path
    ) -> None:
        worth = {
            name: {"worth": {"mean": value}}
            for name, value in (("relevance", 0.2468), ("centre", 0.1), ("random", -0.002))
        }
        evidence = {"targets": {"similarity": {"sa": worth, "fused": worth, "glca": worth}}}
        path = folder / "reid-full" / "analysis.json"
        try:
            for fingerprint, expected in (
                (
                    dcal.fingerprint(dcal.load(path.parent)),
                    "for the similarity: insertion − deletion 0.247 (centre prior 0.100, random -0.002).",
                ),
                ("0" * 64, "none yet for this checkpoint"),  # of other weights
            ):
                path.write_text(json.dumps({"fingerprint": fingerprint, "evidence": evidence}))
                callbacks.ranking(key)
                _, said, _ = callbacks.match(key, 1, "fused")
                assert "Measured worth" in said and expected in said
                assert all(expected in own for own in callbacks.branches(key, 1)[2:])
        finally:
            path.unlink()

    def test_what_one_patch_found(self, callbacks: ReIDCallbacks, key: str) -> None:
        hit = place_of(callbacks, key, "images/0060_c8.webp")
        drawing, said, _ = callbacks.match(key, hit, "sa", row=2, column=5)
        match = callbacks.explained(key, hit).match
        evidence, patch = match.evidence("sa"), COLS + 4
        np.testing.assert_array_equal(drawing, draw.partners(match, evidence, patch))
        assert "Row 2, column 5 of the query" in said
        assert f"at most {evidence.partner(patch).max():.2f}" in said
        for row, column, message in ((ROWS + 1, 1, "row 4: choose 1 to 3"), (1, COLS + 1, "column 6: choose 1 to 5")):
            with pytest.raises(gr.Error, match=message):
                callbacks.match(key, hit, row=row, column=column)

    def test_twins_differ_in_a_part_that_is_ringed_and_weighed(
        self, callbacks: ReIDCallbacks, key: str, folder: Path
    ) -> None:
        records = {record.path.name: record for record in Yard(folder.parent / "yard", "gallery").records}
        for path in ("images/0026_c1.webp", "images/0025_c8.webp"):
            hit = place_of(callbacks, key, path)
            drawing, _, said = callbacks.match(key, hit, "glca")
            pair = records["0025_c3.webp"], records[Path(path).name]
            query_region, region = (record.difference() if record.visible else None for record in pair)
            match = callbacks.explained(key, hit).match
            evidence = match.evidence("glca")
            np.testing.assert_array_equal(drawing, draw.pair(match, evidence, regions=(query_region, region)))
            assert ("These two are twins" in said) == ("0026" in path)
            owner, without = (25, 26) if pair[0].present else (26, 25)
            assert f"Vehicle {owner} has {match_captions.PARTS[pair[0].differs]}; vehicle {without} does not." in said
            sides = zip(pair, (match.query, match.match), (evidence.query_map, evidence.match_map), strict=True)
            for record, seen, map in sides:
                on = on_part(record, seen, map)
                assert (f"**{draw.percent(on.share)}**" in said) == (record.visible > 0)
            assert sum(record.visible > 0 for record in pair), "choose cameras that see the part"

    def test_without_glca_there_is_one_branch(self, callbacks: ReIDCallbacks) -> None:
        key, _ = callbacks.choose(QUERY, "reid-sa_only")
        callbacks.ranking(key)
        _, said, _ = callbacks.match(key, 1, "fused")
        assert "(SA)" in said
        sa, glca, _, said_glca = callbacks.branches(key, 1)
        assert sa is not None
        assert (glca, said_glca) == (None, match_captions.ONE_BRANCH)
        with pytest.raises(gr.Error, match="'glca': choose one of 'sa'"):
            callbacks.match(key, 1, "glca")

    def test_images_are_looked_at_once(
        self, callbacks: ReIDCallbacks, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        callbacks.match(key, 1)
        monkeypatch.setattr(dcal.DCAL, "embed", lambda *_: pytest.fail("a model ran"))
        callbacks.match(key, 1, "sa")
        callbacks.match(key, 1, row=1, column=1)
        callbacks.branches(key, 1)
        callbacks.ranking(key, cameras=["1"])

    def test_nothing_is_explained_before_it_is_ranked(self, callbacks: ReIDCallbacks) -> None:
        key, _ = callbacks.choose(QUERY, "reid-full")
        with pytest.raises(gr.Error, match="Nothing has been ranked"):
            callbacks.match(key, 1)
        callbacks.ranking(key, most=3)
        with pytest.raises(gr.Error, match="no image in the ranking 4: choose 1 to 3"):
            callbacks.match(key, 4)


class TestCards:
    def test_every_hit_says_what_it_is_without_colour(self, callbacks: ReIDCallbacks, key: str) -> None:
        session, gallery = callbacks.records.get(key), callbacks.galleries.open("reid-full")
        found = Text(cards.hits(gallery, session.ranking))
        buttons, images = found.all("button"), found.all("img")
        assert [button["data-card"] for button in buttons] == [str(i) for i in range(1, 12)]
        assert all(image["alt"] == "" for image in images)  # the button's title says it
        for button, item, hit in zip(buttons, found.all("li"), session.ranking.hits, strict=True):
            twin = hit.item.identity == "26"
            text = "correct" if hit.verdict == "match" else "its twin" if twin else "wrong"
            assert "aria-label" not in button  # its name is what can be read on it
            assert button["title"] == (
                f"Rank {hit.rank}, vehicle {hit.item.identity}, camera {hit.item.camera}, "
                f"similarity {hit.similarity:.3f}, {text}"
            )
            assert item["class"] == ("right" if hit.verdict == "match" else "wrong")
        assert found.text.count("✓ correct") == 2
        assert found.text.count("✗ its twin") == 3
        assert found.text.count("✗ wrong") == 6

    def test_images_are_enlarged(self, callbacks: ReIDCallbacks, key: str) -> None:
        gallery = callbacks.galleries.open("reid-full")
        address = Text(cards.thumbnails(gallery, gallery.images_of("1"), "images/0059_c1.webp"))
        assert [button["aria-pressed"] for button in address.all("button")] == ["false", "false", "true", "false"]
        path = gallery.file_path("images/0059_c1.webp")
        first = cards.data_uri(path, path.stat().st_mtime_ns, 300)
        assert first.startswith("data:image/webp;base64,")
        assert cards.data_uri(path, path.stat().st_mtime_ns, 300) is first

    def test_text_is_escaped_and_a_lost_image_is_said(self, tmp_path: Path) -> None:
        card = cards.Card('"><script>', tmp_path / "gone.png", 'a "b" <c>', lines=("<i>x</i>",))
        for clickable in (True, False):
            html = cards.row([card], 64, "hits", clickable)
            assert "<script>" not in html and "<i>" not in html and "<c>" not in html
            assert "cannot be read" in html
        (tmp_path / "gone.png").write_bytes(b"%PDF-1.7")
        assert "cannot be read" in cards.row([card], 64, "hits", True)

    def test_figures_have_their_text_where_nothing_can_be_clicked(self, callbacks: ReIDCallbacks, key: str) -> None:
        session, gallery = callbacks.records.get(key), callbacks.galleries.open("reid-full")
        found = Text(cards.hits(gallery, session.ranking, clickable=False))
        assert not found.all("button")
        assert [image["alt"][:6] for image in found.all("img")] == [f"Rank {i}"[:6] for i in range(1, 12)]


class TestWords:
    def test_every_part_of_the_yard_has_its_words(self) -> None:
        assert match_captions.PARTS.keys() == DETAILS.keys()

    def test_what_is_left_out_is_marked_and_explained(
        self, callbacks: ReIDCallbacks, folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard", tmp_path / "yard")
        table = tmp_path / "checkpoints" / "reid-full" / "gallery" / "items.csv"
        table.write_text(table.read_text().replace("0025_c8.webp,25,8", "0025_c8.webp,25,3"))  # the query's camera
        callbacks = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(tmp_path / "checkpoints"), tmp_path))
        key, _ = callbacks.choose(QUERY, "reid-full")
        found, worth = callbacks.ranking(key, across=False, most=50)
        left = next(hit for hit in found["hits"] if hit["image"].endswith("0025_c8.webp"))
        assert (left["rank"], left["verdict"]) == (None, "junk")
        assert "∅ marks images that count as neither" in worth
        assert "The only other image of this vehicle" in worth
        html = Text(cards.hits(callbacks.galleries.open("reid-full"), callbacks.records.get(key).ranking))
        assert "∅ excluded" in html.text
        assert any(
            (button["title"] or "").startswith("Excluded from the ranking, vehicle 25") for button in html.all("button")
        )


@pytest.fixture(scope="module")
def blocks(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    async def build() -> gr.Blocks:  # outside a running loop gradio makes loops of its own and leaves them open
        return server.page(InspectCallbacks(CheckpointLibrary(folder), tmp_path_factory.mktemp("page")), [])

    return asyncio.run(build())


class TestPage:
    def test_each_event_is_an_endpoint_that_a_person_would_guess(self, blocks: gr.Blocks) -> None:
        public = {f.api_name for f in blocks.fns.values() if f.api_visibility == "public"}
        assert public == ENDPOINTS | FOUND
        described = blocks.get_api_info()["named_endpoints"]
        for name in FOUND:
            assert len(described[f"/{name}"]["description"]) > 30
            names = [parameter["parameter_name"] for parameter in described[f"/{name}"]["parameters"]]
            assert not [n for n in names if n.startswith("param_") or n == "record"], names

    def test_nothing_of_the_galleries_is_read_before_the_tab_is_opened(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Galleries, "open", lambda *_: pytest.fail("a gallery was opened"))

        async def build() -> gr.Blocks:
            return server.page(InspectCallbacks(CheckpointLibrary(folder), tmp_path), [])

        asyncio.run(build())

    def test_without_a_checkpoint_the_tab_says_how_to_get_one(self, folder: Path, tmp_path: Path) -> None:
        async def build() -> gr.Blocks:
            return server.page(InspectCallbacks(CheckpointLibrary(tmp_path), tmp_path), [])

        dcal.save(dcal.create_model("test_vit", 3, img_size=(32, 32)), tmp_path / "birds")
        shown = [b.value for b in asyncio.run(build()).blocks.values() if isinstance(b, gr.Markdown)]
        assert reid_captions.NO_CHECKPOINT in shown


class TestTab:
    @pytest.fixture
    def tab(self, callbacks: ReIDCallbacks) -> FindTab:
        async def build() -> FindTab:
            with gr.Blocks(), gr.Tabs(), gr.Tab("Re-identify") as tab:
                return FindTab(tab, callbacks, callbacks.galleries.names())

        return asyncio.run(build())

    def test_the_query_that_was_shown_before_the_page_was_loaded_again_comes_back(
        self, tab: FindTab, callbacks: ReIDCallbacks, crop: dict[str, Any]
    ) -> None:
        opened = tab.come(Shown(query=Path(crop["path"])), "reid-full", "", None)
        query = callbacks.records.get(opened[tab.record])
        assert query.images[0].path == Path(crop["path"]) and len(callbacks.records) == 1
        chosen = tab.come(Shown(card=QUERY), "reid-full", "", None)
        assert callbacks.records.get(chosen[tab.record]).known.path == QUERY
        lost = tab.come(Shown(card="of another gallery"), "reid-full", "", None)
        assert callbacks.records.get(lost[tab.record]).known.path == "images/0025_c1.webp"
        assert tab.come(Shown(card=QUERY), "reid-full", "", opened[tab.record]) == {}

    def test_it_opens_with_the_first_image_and_stays_with_a_query(self, tab: FindTab, callbacks: ReIDCallbacks) -> None:
        assert callbacks.galleries.names() == ["reid-full", "reid-sa_only"]
        opened = tab.arrive("reid-full", "", None)
        record = opened[tab.record]
        assert callbacks.records.get(record).known.path == "images/0025_c1.webp"
        assert opened[tab.camera]["choices"] == [("All cameras", ""), *((f"Camera {c}", c) for c in "138")]
        assert opened[tab.camera]["value"] == "1"
        assert len(opened[tab.model]["choices"]) == 3
        assert opened[tab.queries].count("<button") == 4
        assert opened[tab.queries].count('aria-pressed="true"') == 1
        assert [value for _, value in opened[tab.match.branch]["choices"]] == ["fused", "sa", "glca"]
        assert opened[tab.image].shape == (512, 512, 3)
        assert tab.arrive("reid-full", "", record) == {}
        moved = tab.change("reid-sa_only", "", record)
        assert moved[tab.match.branch]["choices"] == [("SA", "fused")]
        assert callbacks.records.get(moved[tab.record]).checkpoint == "reid-sa_only"
        with pytest.raises(gr.Error, match="no longer kept"):
            callbacks.ranking(record)

    def test_after_a_failure_the_query_and_its_checkpoint_stay(self, tab: FindTab, key: str) -> None:
        with pytest.raises(gr.Error, match="no checkpoint 'other'"):
            tab.change_checkpoint("other", "", key)
        assert tab.back(key) == {tab.checkpoint: "reid-full", tab.gallery: ""}
        assert tab.back("let go")[tab.record] is None
        assert tab.back(None)[tab.caption] == reid_captions.EMPTY

    def test_a_query_that_cannot_be_shown_again_is_not_let_go(
        self, tab: FindTab, callbacks: ReIDCallbacks, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(_: str) -> None:
            raise dcal.DCALError("the image is gone")

        monkeypatch.setattr(callbacks, "query_image", lost)
        with pytest.raises(gr.Error, match="the image is gone"):
            tab.change("reid-sa_only", "", key)
        assert tab.back(key) == {tab.checkpoint: "reid-full", tab.gallery: ""}

    def test_a_gallery_without_the_query_is_asked_for_it_all_the_same(self, folder: Path, tmp_path: Path) -> None:
        shutil.copytree(folder, tmp_path / "checkpoints")
        shutil.copytree(folder.parent / "yard", tmp_path / "yard")
        other, images = tmp_path / "checkpoints" / "reid-sa_only", dataset_images("yard", tmp_path / "yard")
        few = replace(images, items=tuple(item for item in images.items if item.path != QUERY))
        shutil.rmtree(other / "gallery")
        build_folder(dcal.load(other), few, other / "gallery", "reid-sa_only", workers=0)
        callbacks = ReIDCallbacks(InspectCallbacks(CheckpointLibrary(tmp_path / "checkpoints"), tmp_path))
        key, _ = callbacks.choose(QUERY, "reid-full")
        moved, said = callbacks.change("reid-sa_only", key)
        assert callbacks.records.get(moved).known == dcal.QueryInfo()
        assert "Your own crop" in said
        assert (callbacks.query_image(moved) == callbacks.query_image(callbacks.choose(QUERY, "reid-full")[0])).all()

    def test_images_to_choose_from_come_in_pages(
        self, tab: FindTab, callbacks: ReIDCallbacks, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dcal_explorer.demo.reid_tab.PAGE", 5)
        last = tab.choices("reid-full", "", "", "", 9, key)
        assert last[tab.page]["value"] == last[tab.page]["maximum"] == 3
        assert last[tab.page]["visible"]
        assert last[tab.queries].count("<button") == 2
        assert not tab.choices("reid-full", "", "1", "", 1, None)[tab.page]["visible"]

    def test_the_ranking_is_shown_with_nothing_open(self, tab: FindTab, callbacks: ReIDCallbacks, key: str) -> None:
        shown = tab.ranked.show(key)
        assert shown[tab.ranked.hits].count("<button") == 11
        assert (shown[tab.match.hit], shown[tab.match.place]["visible"], shown[tab.match.hint]["visible"]) == (
            0,
            False,
            True,
        )
        assert tab.ranked.show(None)[tab.ranked.hits] == ""
        assert tab.ranked.ranking(None, True, [], [], 12) == (None, "")

    def test_a_click_on_a_card_opens_it(self, tab: FindTab, callbacks: ReIDCallbacks, key: str) -> None:
        hit, row, column, place, hint, rival, answer, kept = tab.match.opened(key, gr.EventData(None, {"card": "7"}))
        assert (hit, row, column, place["visible"], hint["visible"]) == (7, 0, 0, True, False)
        assert [value for _, value in rival["choices"]] == [0, *range(1, 7), *range(8, 12)] and rival["value"] == 0
        first = callbacks.records.get(key).ranking.hits[0]
        assert rival["choices"][1][0].startswith(f"1: vehicle {first.item.identity}, camera {first.item.camera} (")
        assert (answer, kept) == ("", "")

    def test_a_click_on_the_query_finds_its_patch(self, tab: FindTab, callbacks: ReIDCallbacks, key: str) -> None:
        def click(x: int, y: int) -> gr.SelectData:
            return SimpleNamespace(index=[x, y])  # type: ignore[return-value]

        for row in range(ROWS):
            for column in range(COLS):
                x, y = round((column + 0.5) * 512 / COLS), round((row + 0.5) * 512 / ROWS)
                assert tab.match.patch_at(key, 1, 0, click(x, y)) == (row + 1, column + 1)
        with pytest.raises(gr.Error, match="That is the match"):
            tab.match.patch_at(key, 1, 0, click(700, 100))
        with pytest.raises(gr.Error, match="no patch there"):
            tab.match.patch_at(key, 1, 0, click(519, 100))


class TestInspecting:
    """The tab "Inspect" with a checkpoint that names no classes."""

    @pytest.fixture
    def callbacks(self, folder: Path, tmp_path: Path) -> InspectCallbacks:
        return InspectCallbacks(CheckpointLibrary(folder), tmp_path)

    def test_it_names_nothing(self, callbacks: InspectCallbacks, crop: dict[str, Any]) -> None:
        key, predictions, summary = callbacks.inspect(crop, "reid-full")
        assert predictions == {}
        assert "mAP 35.0% on test images, standard protocol" in summary
        assert re.sub(r"<[^>]+>", "", captions.bars(predictions)) == captions.NO_CLASSES
        gradient, relevance, said, other = callbacks.evidence(key, "class 3")
        assert (gradient, relevance, said, other) == (None, None, captions.NO_CLASSES, "")
        drawing, _ = callbacks.layer(key, 2)
        assert drawing.ndim == 3

    def test_r_moves_the_embedding(self, callbacks: InspectCallbacks, crop: dict[str, Any]) -> None:
        key, _, _ = callbacks.inspect(crop, "reid-full")
        _, said = callbacks.select(key, 0.6)
        seen = callbacks.records.get(key).seen
        again = dcal.reselect(callbacks.library.model("reid-full"), seen, 0.6)
        a, b = seen.embedding.astype(float), again.embedding.astype(float)
        cosine = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
        assert f"is {cosine:.3f}." in said
        assert "prediction" not in said

    def test_bars_and_verdicts_pass_it_over(self, callbacks: InspectCallbacks, crop: dict[str, Any]) -> None:
        key, _, _ = callbacks.inspect(crop, "reid-full")
        seen = callbacks.records.get(key).seen
        assert captions.verdict([seen]) == ""
        assert captions.choices(seen) == [] and captions.first_choice(seen) is None

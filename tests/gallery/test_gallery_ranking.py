"""One query's ranking: the verdicts by hand and by loop, its AP, and who may ask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dcal
from dcal.errors import DCALError
from dcal.gallery import EmbeddedGallery, Exclusion, Item, Origin, QueryInfo, Ranking, open_gallery, rank
from dcal.gallery.embed import origin_of
from dcal.gallery.storage import Stored, write_folder
from dcal.retrieval import STANDARD, Protocol, Reranking, rerank
from dcal.retrieval.calibration import Calibration, Curve, write_calibration
from tests.fixtures.tiny_gallery import (
    IDENTITIES,
    N,
    naive_search,
    random_gallery,
    random_items,
    random_rows,
    tiny_model,
)
from tests.fixtures.tiny_sets import write_image
from tests.retrieval.test_retrieval import average_precision


def line(*similarities: float) -> np.ndarray:
    """Embeddings (n, 2) with these cosines to (1, 0)."""
    cosines = np.array(similarities)
    return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)


ITEMS = (
    Item("own.jpg", "7", "1"),  # the query itself
    Item("same-camera.jpg", "7", "1"),
    Item("wrong.jpg", "5", "1"),
    Item("match.jpg", "7", "2"),
    Item("junk.jpg", "-1", "3"),
    Item("nobody.jpg", None, "2"),
    Item("distractor.jpg", "0", "2"),
    Item("late.jpg", "7", None),
)
QUERY = np.array([1, 0], dtype=np.float32)


def by_hand() -> EmbeddedGallery:
    rows = line(1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    return EmbeddedGallery(ITEMS, rows, Origin("ab" * 32, "tiny", {"sa": 2}), "images")


def seen(ranking: Ranking) -> list[tuple[str, int | None, str | None]]:
    return [(Path(hit.item.path).stem, hit.rank, hit.verdict) for hit in ranking.hits]


def test_a_ranking_by_hand():
    """Without junk and the query itself: wrong, match, wrong, match; so AP is (1/2 + 2/4) / 2."""
    expected = [
        *(("same-camera", None, "junk"), ("wrong", 1, "wrong"), ("match", 2, "match"), ("junk", None, "junk")),
        *(("nobody", None, "junk"), ("distractor", 3, "wrong"), ("late", 4, "match")),
    ]
    found = rank(by_hand(), ITEMS[0])
    assert seen(found) == expected and found.known == QueryInfo("7", "1", "own.jpg")
    assert found.ap == pytest.approx(1 / 2) and found.first == 2
    assert (found.matches, found.candidates) == (2, 7)
    assert [hit.index for hit in found.hits] == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose([hit.similarity for hit in found.hits], [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4], atol=1e-6)
    short = rank(by_hand(), ITEMS[0], k=2, leave_out_junk=True)
    assert seen(short) == [("wrong", 1, "wrong"), ("match", 2, "match")]
    assert short.ap == found.ap and short.first == 2 and short.candidates == 7


def test_what_is_known_decides_what_is_judged():
    unknown = rank(by_hand(), QUERY, k=3)
    assert seen(unknown) == [("own", 1, None), ("same-camera", 2, None), ("wrong", 3, None)]
    assert (unknown.ap, unknown.first, unknown.matches, unknown.quality) == (None, None, None, None)
    no_camera = rank(by_hand(), QUERY, known=QueryInfo("7", path="own.jpg"))
    assert seen(no_camera)[:2] == [("same-camera", 1, "match"), ("wrong", 2, "wrong")] and no_camera.matches == 3
    one_camera = rank(by_hand(), ITEMS[0], protocol=Protocol(exclude_same_camera=False))
    assert seen(one_camera)[0] == ("same-camera", 1, "match")
    itself = rank(by_hand(), QUERY, known=QueryInfo(path="own.jpg"), k=1)
    assert seen(itself) == [("same-camera", 1, None)] and itself.candidates == 7
    nobody = rank(by_hand(), QUERY, known=QueryInfo("99", "1"))
    assert nobody.matches == 0 and nobody.ap is None and {hit.verdict for hit in nobody.hits} == {"wrong", "junk"}


def test_filters_restrict_the_figures_too():
    found = rank(by_hand(), ITEMS[0], cameras=["2"])
    assert seen(found) == [("match", 1, "match"), ("nobody", None, "junk"), ("distractor", 2, "wrong")]
    assert found.ap == 1 and (found.matches, found.candidates) == (1, 3)
    with pytest.raises(DCALError, match="no image has the cameras '9'"):
        rank(by_hand(), ITEMS[0], cameras=["9"])


@pytest.mark.parametrize("k", [1, 9, N + 3])
def test_rankings_of_a_random_gallery_are_walks_down_it(k: int):
    gallery, items, rows = random_gallery(), random_items(), random_rows(N)
    for index in range(0, N - 2, 5):
        own = items[index]
        walk = [hit for hit in naive_search(items, rows, rows[index], N, lambda *_: True) if hit[0] != index]
        junk = {other for other, item in enumerate(items) if (item.identity, item.camera) == (own.identity, own.camera)}
        junk |= {other for other, item in enumerate(items) if item.identity is None}
        answers = [items[other].identity == own.identity for other, _ in walk if other not in junk]
        found = rank(gallery, own, k=k)
        assert [hit.index for hit in found.hits] == [other for other, _ in walk[:k]]
        assert found.ap == pytest.approx(average_precision(answers, "hits"), abs=1e-12)
        assert found.first == answers.index(True) + 1 and found.matches == sum(answers)
        clean = rank(gallery, own, k=k, leave_out_junk=True)
        assert [hit.index for hit in clean.hits] == [other for other, _ in walk if other not in junk][:k]
        assert [hit.rank for hit in clean.hits] == list(range(1, len(clean.hits) + 1))
        assert clean.ap == found.ap


def test_a_ranking_says_the_same_as_a_search_and_as_json():
    gallery, query = random_gallery(), random_rows(1, seed=9)
    found = rank(gallery, query[0], k=12, known=QueryInfo("3", "c1"), identities=[str(k) for k in range(IDENTITIES)])
    assert found.candidates == N - 1
    hits = gallery.search(query, 13)
    kept = [index for index in hits.indices[0].tolist() if gallery.items[index].identity is not None][:12]
    assert [hit.index for hit in found.hits] == kept
    told = json.loads(json.dumps(found.to_dict()))
    assert (
        told["query"] == {"identity": "3", "camera": "c1", "path": None, "viewpoint": None} and told["ap"] == found.ap
    )
    first = found.hits[0]
    assert told["hits"][0]["path"] == first.item.path and told["hits"][0]["similarity"] == first.similarity
    protocol = gallery.search(query, 12, exclude=[Exclusion(None, "3", "c1")])
    clean = rank(gallery, query[0], k=11, known=QueryInfo("3", "c1"), leave_out_junk=True)
    labelled = [index for index in protocol.indices[0].tolist() if gallery.items[index].identity is not None]
    assert [hit.index for hit in clean.hits] == labelled[:11]


def test_an_image_a_record_and_an_embedding_ask_alike(tmp_path: Path):
    model = tiny_model()
    write_image(tmp_path / "query.png", 57, 43, seed=5)
    record = dcal.inspect(model, tmp_path / "query.png")
    rows = np.random.default_rng(0).standard_normal((9, len(record.embedding))).astype(np.float32)
    rows[4] = record.embedding + 0.01 * rows[4]
    gallery = EmbeddedGallery([Item(f"{i}.jpg") for i in range(9)], rows, origin_of(model, "tiny"), "images")
    answers = [rank(gallery, query, model, k=3) for query in (tmp_path / "query.png", record, record.embedding)]
    for found in answers:
        assert [hit.index for hit in found.hits] == [hit.index for hit in answers[0].hits]
        np.testing.assert_allclose(found.embedding, answers[0].embedding, atol=1e-6)
    assert answers[0].hits[0].index == 4 and answers[0].hits[0].similarity > 0.9
    with pytest.raises(DCALError, match="needs the model"):
        rank(gallery, tmp_path / "query.png")
    with pytest.raises(DCALError, match="embedded by tiny"):
        rank(gallery, replace(record, fingerprint="0" * 64))
    with pytest.raises(DCALError, match="embedded by tiny"):
        rank(gallery, tmp_path / "query.png", tiny_model(seed=4))
    with pytest.raises(DCALError, match=r"no image there\.jpg"):
        rank(gallery, Item("there.jpg"))
    with pytest.raises(DCALError, match="k must be at least 1"):
        rank(gallery, record, k=0)


def calibrated(new_below: float) -> EmbeddedGallery:
    """`by_hand` with a curve for other cameras, the square root of the similarity by two knots, and another for all."""
    across = Curve("isotonic", (0.4, 0.9), (0.5, 1.0), 10, 5)
    mixed = Curve("isotonic", (0.0, 1.0), (0.0, 0.5), 10, 5)
    gallery = by_hand()
    gallery.calibration = Calibration(gallery.fingerprint, "made up", across, mixed, new_below, 0.5)
    return gallery


def test_hits_have_the_probability_of_their_camera_s_curve():
    ranking = rank(calibrated(0.5), ITEMS[0], k=9)
    found = {Path(hit.item.path).stem: hit.probability for hit in ranking.hits}
    expected = {
        "same-camera": 0.475,
        "wrong": 0.45,  # the query's own camera
        "match": 0.9,
        "junk": 0.8,
        "nobody": 0.7,
        "distractor": 0.6,
        "late": 0.2,  # of an unknown camera
    }
    assert found == pytest.approx(expected, abs=1e-6)
    unknown = rank(calibrated(0.5), QUERY, k=2)
    assert [hit.probability for hit in unknown.hits] == pytest.approx([0.5, 0.475])
    assert json.loads(json.dumps(ranking.to_dict()))["hits"][1]["probability"] == pytest.approx(0.45, abs=1e-6)
    assert rank(by_hand(), QUERY).hits[0].probability is None


def test_only_the_ten_most_similar_have_a_probability():
    """Of the images of other cameras, and of all for those of the query's own."""
    items = tuple(Item(f"{i}.jpg", str(i), "1" if i % 2 else "2") for i in range(40))
    gallery = EmbeddedGallery(items, line(*np.linspace(0.9, 0.5, 40)), Origin("ab" * 32, "tiny", {"sa": 2}), "images")
    gallery.calibration = calibrated(0.5).calibration
    ranking = rank(gallery, QUERY, k=40, known=QueryInfo(camera="1"))
    given = [hit.index for hit in ranking.hits if hit.probability is not None]
    assert given == [*range(10), *range(10, 20, 2)]


def test_a_query_may_be_new():
    """The most similar image of another camera has 0.8; those of the query's own do not count, nor itself."""
    for new_below, new in ((0.79, False), (0.81, True), (0.97, True)):
        ranking = rank(calibrated(new_below), ITEMS[0], k=1)
        assert ranking.probably_new is new and ranking.to_dict()["probably_new"] is new
    assert rank(calibrated(0.99), QUERY).probably_new is False  # nothing is known of it: all images count
    assert rank(calibrated(0.5), ITEMS[0], cameras=["1"]).probably_new is None
    assert rank(calibrated(0.65), ITEMS[0], cameras=["2"], identities=["0", None]).probably_new is True
    assert rank(by_hand(), ITEMS[0]).probably_new is None


def test_the_calibration_lies_around_the_gallery(tmp_path: Path):
    gallery, own = by_hand(), calibrated(0.5).calibration
    assert own is not None
    (tmp_path / "checkpoint" / "gallery").mkdir(parents=True)
    stored = Stored(ITEMS, gallery.embeddings, gallery.origin, Path("images"))
    write_folder(tmp_path / "checkpoint" / "gallery", stored)
    assert open_gallery(tmp_path / "checkpoint" / "gallery").calibration is None
    write_calibration(tmp_path / "checkpoint", own)
    assert open_gallery(tmp_path / "checkpoint" / "gallery").calibration == own
    (tmp_path / "elsewhere").mkdir()
    write_calibration(tmp_path / "elsewhere", replace(own, new_below=0.7))
    moved = open_gallery(tmp_path / "checkpoint" / "gallery", checkpoint=tmp_path / "elsewhere")
    assert moved.calibration is not None and moved.calibration.new_below == 0.7
    write_calibration(tmp_path / "checkpoint", replace(own, fingerprint="cd" * 32))
    with pytest.raises(DCALError, match=r"calibration\.json was fitted with the weights cdcd"):
        open_gallery(tmp_path / "checkpoint" / "gallery")


def test_several_images_are_one_query():
    gallery = by_hand()
    pair = rank(gallery, [ITEMS[0], ITEMS[3]], k=8)
    mean = (line(1)[0] + line(0.8)[0]) / 2
    shown = {hit.item.path: hit.similarity for hit in pair.hits}
    assert shown.keys() == {item.path for item in ITEMS} - {"own.jpg", "match.jpg"}
    assert shown["wrong.jpg"] == pytest.approx(mean @ line(0.9)[0] / np.linalg.norm(mean), abs=1e-6)
    assert (pair.known.identity, pair.known.camera, pair.known.path) == ("7", None, None)
    verdicts = {hit.item.path: hit.verdict for hit in pair.hits}  # no camera in common: none is left out
    assert (verdicts["same-camera.jpg"], verdicts["late.jpg"], pair.matches) == ("match", "match", 2)
    assert rank(gallery, [ITEMS[0], ITEMS[2]], k=8).matches is None  # of two identities: nothing is judged
    assert seen(rank(gallery, [ITEMS[0]], k=8)) == seen(rank(gallery, ITEMS[0], k=8))
    with pytest.raises(DCALError, match="an image at least"):
        rank(gallery, [])


def test_one_image_of_each_identity_at_its_own_rank():
    found = rank(by_hand(), ITEMS[0], k=3, per_identity=True)
    assert [(hit.item.path, hit.rank, hit.images) for hit in found.hits] == [
        ("wrong.jpg", 1, 1),
        ("match.jpg", 2, 3),  # before it comes junk of that identity
        ("junk.jpg", None, 1),
    ]
    everything = rank(by_hand(), ITEMS[0], k=8, per_identity=True)
    assert [hit.item.path for hit in everything.hits[3:]] == ["nobody.jpg", "distractor.jpg"]
    assert everything.ap == rank(by_hand(), ITEMS[0], k=8).ap


def test_one_viewpoint_alone():
    views = ["left", "left", "rear", "left", None, "left", "rear", "left"]
    items = [replace(item, viewpoint=view) for item, view in zip(ITEMS, views, strict=True)]
    hand = by_hand()
    gallery = EmbeddedGallery(items, hand.embeddings, hand.origin, "photos")
    found = rank(gallery, items[0], k=8, viewpoints=["left"])
    assert [hit.item.path for hit in found.hits] == ["same-camera.jpg", "match.jpg", "nobody.jpg", "late.jpg"]
    assert (found.candidates, found.matches, found.known.viewpoint) == (4, 2, "left")
    assert [hit.item.path for hit in rank(gallery, items[0], viewpoints=["rear", None]).hits] == [
        "wrong.jpg",
        "junk.jpg",
        "distractor.jpg",
    ]
    with pytest.raises(DCALError, match="viewpoints 'top'; the gallery has 'left', 'rear'"):
        rank(gallery, items[0], viewpoints=["top"])


def test_re_ranking_is_that_of_the_admitted_images(monkeypatch: pytest.MonkeyPatch):
    gallery, settings = random_gallery(), Reranking(k1=6, k2=3)
    items = gallery.items
    query = gallery.index_of(items[8].path)
    cameras = [camera for camera in gallery.cameras if camera != items[8].camera]
    found = rank(gallery, items[8], k=N, cameras=cameras, reranking=settings)
    admitted = np.array([i for i, item in enumerate(items) if item.camera in cameras])
    distances = rerank(gallery.embeddings[query][None], gallery.embeddings[admitted], settings)[0]
    expected = sorted(zip(distances.tolist(), admitted.tolist(), strict=True))
    assert [hit.index for hit in found.hits] == [index for _, index in expected]
    assert found.reranked and [hit.index for hit in rank(gallery, items[8], k=N, cameras=cameras).hits] != [
        hit.index for hit in found.hits
    ]
    right = [items[index].identity == items[8].identity for _, index in expected if items[index].identity is not None]
    assert found.ap == pytest.approx(average_precision(right, STANDARD.average_precision))
    for hit in found.hits[:5]:
        assert hit.similarity == pytest.approx(
            float(gallery.embeddings[query] @ gallery.embeddings[hit.index]), abs=1e-6
        )
    monkeypatch.setattr("dcal.gallery.ranking.MOST_RERANKED", 10)
    with pytest.raises(DCALError, match="of 10 at most; the filters admit"):
        rank(gallery, items[8], reranking=settings)

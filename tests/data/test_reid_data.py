"""The Re-ID loaders on generated copies of the official layouts, on lists and on folders by pattern."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from dcal.data import DATASETS, REID_DATASETS
from dcal.data.reid.base import ReIDRecord, numbers, training_labels, whole_splits
from dcal.data.reid.csv import ReIDCsv
from dcal.data.reid.folder import PatternFolder
from dcal.data.reid.persons import MSMT17, DukeMTMC, Market1501
from dcal.data.reid.vehicles import Vehicle2Cam, VeRi776
from dcal.errors import DCALError
from dcal_explorer.cli.main import main
from tests.fixtures.tiny_reid import write_duke, write_files, write_market, write_msmt, write_vehicles, write_veri
from tests.fixtures.tiny_sets import write_image

WRITERS = {
    "market1501": write_market,
    "dukemtmc": write_duke,
    "msmt17": write_msmt,
    "veri776": write_veri,
    "vehicle2cam": write_vehicles,
}


def said(records: tuple[ReIDRecord, ...]) -> list[tuple[str, int, int]]:
    return [(record.path.name, record.identity, record.camera) for record in records]


# --- the official layouts -----------------------------------------------------------------------------------------


def test_the_official_counts():
    found = {
        name: [(kind.official[split]["identities"], kind.official[split]["images"]) for split in kind.splits]
        for name, kind in REID_DATASETS.items()
        if kind.official
    }
    assert found == {
        "market1501": [(751, 12936), (750, 3368), (750, 19732 - 3819)],
        "dukemtmc": [(702, 16522), (702, 2228), (702 + 408, 17661)],
        "msmt17": [(1041, 30248 + 2373), (3060, 11659), (3060, 82161)],
        "veri776": [(576, 37778), (200, 1678), (200, 11579)],
        "vehicle2cam": [(507, 2 * 507), (60, 60), (60, 60)],
        "yard": [(80, 8 * 80), (40, 8 * 40), (40, 8 * 40)],
    }
    assert DATASETS.keys() & REID_DATASETS.keys() == {"yard"}  # which serves both tasks


def test_market(tmp_path: Path):
    root = write_market(tmp_path)
    (root / "query" / "Thumbs.db").write_bytes(b"as in the archive")
    train, query, gallery = (Market1501(tmp_path, split) for split in Market1501.splits)
    assert said(train.records)[:2] == [("0002_c1s1_000451_03.jpg", 2, 1), ("0002_c2s1_000301_01.jpg", 2, 2)]
    assert said(query.records) == [("0003_c1s6_015971_00.jpg", 3, 1), ("0005_c4s1_002001_00.jpg", 5, 4)]
    assert [record.identity for record in gallery.records] == [0, 0, 0, 3, 3, 5]  # no junk
    assert [record.camera for record in gallery.records] == [1, 5, 6, 1, 2, 3]
    assert gallery.found() == {"identities": 2, "images": 6, "cameras": 5}
    assert str(gallery) == (
        "Market-1501, gallery split: 2 of the 750 identities, 6 images, 5 cameras (a subset; the whole split has "
        "15,913); 3 of the images are distractors (identity 0); 2 junk images (identity -1) left out"
    )
    assert all(record.track is None for record in gallery.records)
    assert Market1501(root, "query").records == query.records


def test_market_writes_each_identity_one_way(tmp_path: Path):
    """By place in order of name, junk would be no. 0, the distractors' number."""
    root = write_market(tmp_path)
    write_image(root / "bounding_box_test" / "3_c4s1_000401_01.jpg", 33, 17, seed=0)
    with pytest.raises(DCALError, match=r"0003, 3 are one number: write each identity one way"):
        Market1501(root, "gallery")


def test_a_whole_market_must_have_its_counts(tmp_path: Path):
    root = write_market(tmp_path)

    class Tiny(Market1501):
        official = whole_splits(train=(2, 4), query=(2, 2), gallery=(2, 6))

    assert all(Tiny(root, split).whole for split in Tiny.splits)
    write_image(root / "query" / "0005_c1s1_002099_00.jpg", 33, 17, seed=0)
    with pytest.raises(DCALError, match=r"has 2 identities, 3 images in its query split, .* 2 identities, 2 images"):
        Tiny(root, "query")


def test_duke(tmp_path: Path):
    write_duke(tmp_path)
    train, query, gallery = (DukeMTMC(tmp_path, split) for split in DukeMTMC.splits)
    assert [(record.identity, record.camera) for record in train.records] == [(1, 2), (1, 5), (8, 6)]
    assert said(query.records) == [("0005_c2_f0046985.jpg", 5, 2)]
    assert [(record.identity, record.camera) for record in gallery.records] == [(5, 5), (139, 2)]


@pytest.mark.parametrize("version", [1, 2])
def test_msmt(tmp_path: Path, version: int):
    root = write_msmt(tmp_path, version)
    train, query, gallery = (MSMT17(tmp_path, split) for split in MSMT17.splits)
    folder = {1: "train", 2: "mask_train_v2"}[version]
    assert train.records[0].path == root / folder / "0000" / "0000_000_01_0303morning_0008_0.jpg"
    assert [(record.identity, record.camera) for record in train.records] == [(0, 1), (1, 14), (0, 7)]  # val is last
    assert [(record.identity, record.camera) for record in query.records] == [(0, 5)]
    assert [(record.identity, record.camera) for record in gallery.records] == [(0, 2), (3, 15)]
    assert not query.notes  # identity 0 of the training half is somebody else


def test_msmt_with_broken_lists(tmp_path: Path):
    root = write_msmt(tmp_path)
    (root / "test" / "0003" / "0003_009_15_0303noon_0001_1.jpg").unlink()
    with pytest.raises(DCALError, match=r"1 of the 2 gallery images .* missing: test/0003/0003_009_15_0303noon_0001_1"):
        MSMT17(root, "gallery")
    listed = root / "list_val.txt"
    listed.write_text("0000/0000_011.jpg 0\n")
    with pytest.raises(DCALError, match=r"list_val\.txt: expected .* got 0000/0000_011\.jpg 0"):
        MSMT17(root)
    listed.unlink()
    with pytest.raises(DCALError, match=r"MSMT17_V1 lacks list_val\.txt;"):
        MSMT17(tmp_path)
    listed.write_text("")
    (root / "train").rename(root / "images")
    with pytest.raises(DCALError, match="neither a folder train nor mask_train_v2"):
        MSMT17(root)


def test_veri(tmp_path: Path):
    root = write_veri(tmp_path)
    train, query, gallery = (VeRi776(tmp_path, split) for split in VeRi776.splits)
    assert said(train.records)[1] == ("0001_c003_00016460_0.jpg", 1, 3)
    assert query.records == (ReIDRecord(root / "image_query" / "0002_c002_00030600_0.jpg", 2, 2, track=1),)
    assert [(record.camera, record.track) for record in gallery.records] == [(2, 1), (2, 1), (19, 2)]
    assert all(record.track is None for record in train.records)
    (root / "test_track.txt").unlink()
    assert all(record.track is None for record in VeRi776(root, "gallery").records)


def test_vehicle2cam(tmp_path: Path):
    write_vehicles(tmp_path)
    train, query, gallery = (Vehicle2Cam(tmp_path, split) for split in Vehicle2Cam.splits)
    assert [query.names[record.identity] for record in query.records] == ["car_0001", "truck_0001"]
    assert {record.camera for record in query.records} == {1} and {record.camera for record in gallery.records} == {2}
    assert [record.identity for record in query.records] == [record.identity for record in gallery.records]
    assert len(train) == 6 and len({record.identity for record in train.records}) == 3
    assert not {record.identity for record in train.records} & {record.identity for record in query.records}
    assert "3 of the 507 identities, 6 images, 2 cameras (a subset; the whole split has 1,014)" in str(train)


def test_vehicle2cam_has_two_cameras(tmp_path: Path):
    root = write_vehicles(tmp_path)
    write_image(root / "images" / "test" / "car_0001_cam3.jpg", 33, 17, seed=0)
    with pytest.raises(DCALError, match="camera 3; the test half has cameras 1 and 2"):
        Vehicle2Cam(root, "query")


@pytest.mark.parametrize("name", REID_DATASETS)
def test_a_wrong_root_is_one_clear_error(name: str, tmp_path: Path):
    with pytest.raises(DCALError, match=str(tmp_path / "nowhere")):
        REID_DATASETS[name](tmp_path / "nowhere", "query")
    with pytest.raises(DCALError, match="unknown split 'test': choose one of 'train', 'query', 'gallery'"):
        REID_DATASETS[name](tmp_path, "test")


def test_an_image_with_a_strange_name_is_named(tmp_path: Path):
    root = write_market(tmp_path)
    write_image(root / "query" / "holiday.jpg", 33, 17, seed=0)
    with pytest.raises(DCALError, match=r"1 of the 3 images in .*query do not match the pattern .*: holiday\.jpg"):
        Market1501(root, "query")


@pytest.mark.parametrize("name", WRITERS)
def test_data_check(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = WRITERS[name](tmp_path)
    assert main(["data", "check", name, str(root), "--workers", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [split["split"] for split in found["splits"]] == ["train", "query", "gallery"]
    image = next(path for path in sorted(root.rglob("*.jpg")) if "train" in path.parts[-2] or "train" in path.parts[-3])
    image.write_bytes(image.read_bytes()[:300])
    assert main(["data", "check", name, str(root), "--workers", "0"]) == 1
    assert f"unreadable: {image.relative_to(root)}" in capsys.readouterr().out


# --- numbers --------------------------------------------------------------------------------------------------------


def test_numbers():
    assert numbers(["0007", "-1", "12", "0007"]) == {"-1": -1, "0007": 7, "12": 12}
    assert numbers(["car_2", "bus_1", "7"]) == {"7": 0, "bus_1": 1, "car_2": 2}
    assert numbers([]) == {}
    for names in (["1", "01", "7"], ["0", "-0", "12"]):  # never one number for two names
        assert numbers(names) == {name: place for place, name in enumerate(sorted(names))}


def test_training_labels_are_apart_from_identities():
    records = [ReIDRecord(Path(f"{place}.jpg"), identity, 1) for place, identity in enumerate((1501, 2, 7, 2))]
    assert training_labels(records) == (2, 0, 1, 0)


# --- patterns -------------------------------------------------------------------------------------------------------

MARKET_PATTERN = (
    r"(?:(?P<train>bounding_box_train)|(?P<query>query)|(?P<gallery>bounding_box_test))"
    r"/(?P<identity>-?\d+)_c(?P<camera>\d)"
)
VEHICLE_PATTERN = (
    r"images/(?:(?P<train>train)|test)/(?P<identity>[a-z]+_\d+)_cam(?P<camera>(?P<query>1)|(?P<gallery>2))"
)


@pytest.mark.parametrize("split", ["train", "query", "gallery"])
@pytest.mark.parametrize(
    ("write", "kind", "pattern"),
    [(write_market, Market1501, MARKET_PATTERN), (write_vehicles, Vehicle2Cam, VEHICLE_PATTERN)],
)
def test_a_pattern_says_the_same_as_the_loader(
    tmp_path: Path, split: str, write: Callable[[Path], Path], kind: type, pattern: str
):
    root = write(tmp_path)
    found = PatternFolder(root, split, pattern=pattern)
    expected = kind(root, split)
    assert tuple(record for record in found.records if record.identity != -1) == expected.records
    (root / "pattern.txt").write_text(f"{pattern}\n# how our images are named\n")
    assert PatternFolder(root, split).records == found.records


def test_a_pattern_with_a_split_and_tracks(tmp_path: Path):
    folders = {"train/ann": ["north-7-1"], "query/bob": ["north-8-1"], "gallery/bob": ["south-9-2", "north-8-3"]}
    root = write_files(tmp_path / "street", folders)
    pattern = r"(?P<split>\w+)/(?P<identity>\w+)/(?P<camera>\w+)-(?P<track>\d+)-"
    query, gallery = (PatternFolder(root, split, pattern=pattern) for split in ("query", "gallery"))
    assert [(record.identity, record.camera, record.track) for record in gallery.records] == [(1, 0, 8), (1, 1, 9)]
    assert [(record.identity, record.camera, record.track) for record in query.records] == [(1, 0, 8)]
    assert gallery.names == {0: "ann", 1: "bob"}
    assert str(query) == "images by pattern of street, query split: 1 identities, 1 images, 1 cameras"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (None, r"lacks pattern\.txt, whose first line"),
        (r"(?P<identity>\d+", "is not a regular expression: missing \\)"),
        (r"(?P<identity>\d+)_(?P<camera>\d+)", "needs groups identity and split .*; it has identity, camera"),
        (r"(?P<split>\w+)/\d+", "it has split"),
        (r"(\w+)/\d+", "it has none"),
        (r"(?P<split>\w+)/(?P<identity>\d+)_(?P<camera>\d+)", "gives the split 'probe'; the splits are train, query"),
        (r"(?P<split>\w+)/\d+", "needs groups identity and split .*, and maybe camera; it has split"),
        (r"(?P<train>train)?.*?(?P<identity>\d+)_(?P<camera>\d+)", "matched none of the groups train, query, gallery"),
        (
            r"(?P<split>\w+)/(?P<identity>\d+)_c(?P<camera>\d+)",
            r"2 of the 2 images .* do not match the pattern .*: probe/2_1\.jpg",
        ),
    ],
)
def test_patterns_that_are_wrong(tmp_path: Path, pattern: str | None, message: str):
    root = write_files(tmp_path, {"train": ["1_1"], "probe": ["2_1"]})
    with pytest.raises(DCALError, match=message):
        PatternFolder(root, pattern=pattern)


def test_a_pattern_with_a_test_split_and_no_cameras(tmp_path: Path):
    """Every image of test is searched among the others; without a camera group there is one camera."""
    root = write_files(tmp_path, {"train/ann": ["1", "2"], "test/bob": ["1", "2"], "test/eve": ["1", "2"]})
    query, gallery = (
        PatternFolder(root, s, pattern=r"(?P<split>\w+)/(?P<identity>\w+)/") for s in ("query", "gallery")
    )
    assert query.records == gallery.records and len(query.records) == 4
    assert not query.cameras_known and {record.camera for record in query.records} == {1}
    assert query.notes == ["no cameras are named: all images count as one camera's (as with --one-camera)"]
    named = PatternFolder(root, "query", pattern=r"(?:(?P<train>train)|(?P<test>test))/(?P<identity>\w+)/")
    assert named.records == query.records


def test_a_list_with_a_test_split_and_no_cameras(tmp_path: Path):
    lines = [f"images/{number}.jpg,{'ab'[number // 2]},{'test' if number > 1 else 'train'}" for number in range(4)]
    root = write_list(tmp_path, "path,identity,split", *lines)
    query, gallery = (ReIDCsv(root, split) for split in ("query", "gallery"))
    assert query.records == gallery.records and len(query.records) == 2 and not query.cameras_known
    assert ReIDCsv(root, "train").names == {0: "a", 1: "b"}


# --- lists ----------------------------------------------------------------------------------------------------------


COLUMNS = "path,identity,camera,split"


def write_list(root: Path, *lines: str) -> Path:
    write_files(root, {"images": [str(number) for number in range(5)]})
    (root / "set.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_list(tmp_path: Path):
    lines = (
        "images/0.jpg,12,3,train,",
        "images/1.jpg,7,1,query,5",
        "images/1.jpg,7,1,gallery,5",
        "images/2.jpg,7,2,gallery,",
    )
    root = write_list(tmp_path, "path,identity,camera,split,track", *lines)
    query, gallery = ReIDCsv(root, "query"), ReIDCsv(root / "set.csv", "gallery")
    assert query.records == (ReIDRecord(root / "images" / "1.jpg", 7, 1, 5),)
    assert [(record.identity, record.camera, record.track) for record in gallery.records] == [(7, 1, 5), (7, 2, None)]
    assert str(gallery) == "list set.csv, gallery split: 1 identities, 2 images, 2 cameras"


def test_two_names_are_two_identities_and_two_cameras(tmp_path: Path):
    lines = (f"images/{place}.jpg,{name}" for place, name in enumerate(("01,1,gallery", "1,01,gallery", "7,2,gallery")))
    gallery = ReIDCsv(write_list(tmp_path, COLUMNS, *lines), "gallery")
    named = [(gallery.names[record.identity], gallery.camera_names[record.camera]) for record in gallery.records]
    assert named == [("01", "1"), ("1", "01"), ("7", "2")]
    assert gallery.found() == {"identities": 3, "images": 3, "cameras": 3}


def test_what_a_list_should_know_of_itself(tmp_path: Path):
    lines = (
        "images/0.jpg,ann,a,train",
        "images/1.jpg,ann,b,query",
        "images/2.jpg,bob,a,query",
        "images/3.jpg,ann,a,gallery",
    )
    query = ReIDCsv(write_list(tmp_path, "path,identity,camera,split", *lines), "query")
    assert query.notes == [
        "1 identities are not in the gallery: bob",
        "1 identities are in the training split too: ann",
        "1 of the 2 queries have no match by another camera",
    ]


def test_dates_and_viewpoints(tmp_path: Path):
    lines = (
        "images/0.jpg,ann,a,query,2026-03-01,left",
        "images/1.jpg,ann,b,gallery,2026-03-02T08:30,rear",
        "images/2.jpg,bob,a,query,2026-03-04T00:30+02:00,",
        "images/3.jpg,bob,b,gallery,2026-03-03,left",
        "images/4.jpg,ann,c,gallery,,",
    )
    columns = "path,identity,camera,split,date,viewpoint"
    query = ReIDCsv(write_list(tmp_path, columns, *lines), "query")
    assert [(r.date, r.viewpoint) for r in query.records] == [
        (datetime(2026, 3, 1), "left"),
        (datetime(2026, 3, 3, 22, 30), None),
    ]
    assert query.notes == []  # a match of ann has no date
    assert [record.viewpoint for record in ReIDCsv(tmp_path, "gallery").records] == ["rear", "left", None]
    query = ReIDCsv(write_list(tmp_path, columns, *lines[:4]), "query")
    assert query.notes == ["1 of the 2 dated queries are older than all of their matches"]
    with pytest.raises(DCALError, match=r"images/0\.jpg: the date is written as .*got '1 March'"):
        ReIDCsv(write_list(tmp_path, columns, "images/0.jpg,ann,a,query,1 March,"), "query")


def test_a_pattern_with_a_date_and_a_viewpoint(tmp_path: Path):
    root = write_files(tmp_path, {"query": ["7_c1_2026-03-01_left"], "gallery": ["7_c2_2026-04-01_rear"]})
    pattern = r"(?P<split>\w+)/(?P<identity>\d+)_c(?P<camera>\d)_(?P<date>[\d-]+)_(?P<viewpoint>[a-z]+)"
    (record,) = PatternFolder(root, "gallery", pattern=pattern).records
    assert (record.date, record.viewpoint, record.track) == (datetime(2026, 4, 1), "rear", None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,label,split"], "lacks the columns identity"),
        ([COLUMNS, "images/0.jpg,1,,train"], "line 2: camera is empty"),
        (
            [COLUMNS, "images/0.jpg,1,1,probe"],
            "the split is train, query, gallery, test; got 'probe'",
        ),
        (
            [COLUMNS, *["images/0.jpg,1,1,query"] * 2],
            "line 3: .* is listed already, in line 2",
        ),
        ([COLUMNS, "images/0.jpg,1,1,gallery"], "no image belongs to the train split"),
    ],
)
def test_lists_that_are_wrong(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(DCALError, match=message):
        ReIDCsv(write_list(tmp_path, *lines))

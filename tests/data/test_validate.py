"""`dcal data check`: what it says of whole, partial and broken data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcal.data.fgvc.aircraft import Aircraft
from dcal.data.fgvc.base import whole_splits
from dcal.data.fgvc.cars import Cars
from dcal.data.fgvc.cub import CUB
from dcal.data.fgvc.folder import Folder
from dcal.data.reid.folder import PatternFolder
from dcal.data.validate import SplitReport, check, describe, require_readable
from dcal.errors import DCALError, ImageError
from dcal_explorer.cli.main import main
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_sets import write_aircraft, write_cars, write_folders, write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_cub(tmp_path)


def test_nothing_wrong(root: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "check", "cub", str(root), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "test split: 3 of the 200 classes, 9 images (a subset; the whole split has 5,794)" in said
    assert "sizes: 53×41 to 59×47 pixels (width × height)" in said  # of the training images
    assert said.count("no problems found") == 2


def test_missing_and_damaged_images_are_named(root: Path, capsys: pytest.CaptureFixture[str]):
    train, test = CUB(root, "train"), CUB(root, "test")
    gone, cut, text = train.records[4].path, test.records[2].path, test.records[7].path
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:700])
    text.write_text("%PDF-1.7")
    assert main(["data", "check", "cub", str(root), "--workers", "1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    names = [path.relative_to(root).as_posix() for path in (gone, cut, text)]
    assert not found["ok"]
    trained, tested = found["splits"]
    assert (trained["split"], trained["missing"], trained["unreadable"]) == ("train", [names[0]], {})
    assert tested["missing"] == [] and list(tested["unreadable"]) == names[1:]
    assert "damaged or cut off" in tested["unreadable"][names[1]] and "PDF" in tested["unreadable"][names[2]]
    assert tested["found"] == {"classes": 3, "images": 9} and tested["expected"] == {"classes": 200, "images": 5794}
    assert main(["data", "check", "cub", str(root), "--workers", "0"]) == 1
    said = capsys.readouterr().out
    assert f"missing: {names[0]}\n" in said and f"unreadable: {names[2]}: This is a PDF" in said
    assert "no problems found" not in said


def test_images_that_cannot_be_read_are_left_out_by_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Of identities by pattern, in train and test alone: named in a file that every split of the data set heeds."""
    names = [f"{who}/{image}.jpg" for who in ("train/ann", "train/bob", "test/eve", "test/joe") for image in range(3)]
    for name in names:
        write_image(tmp_path / name, 40, 30, 1)
    (tmp_path / "pattern.txt").write_text(r"(?P<split>train|test)/(?P<identity>\w+)/")
    for broken in (names[1], names[8]):
        (tmp_path / broken).write_bytes(b"no image")
    line = ["data", "check", "reid-folder", str(tmp_path), "--workers", "0", "--json"]
    assert main(line) == 1
    with pytest.raises(ImageError, match=r"1\.jpg.*--skip-unreadable leaves them out"):
        require_readable(PatternFolder(tmp_path, "train").records, workers=0)
    capsys.readouterr()
    assert main([*line, "--skip-unreadable"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and [split["found"]["images"] for split in found["splits"]] == [5, 5, 5]
    assert (tmp_path / "skip.txt").read_text() == f"{names[8]}\n{names[1]}\n"
    for split in ("train", "query", "gallery"):
        data = PatternFolder(tmp_path, split)
        require_readable(data.records, workers=0)
        assert "1 image is left out, as skip.txt says" in data.notes
    (tmp_path / names[0]).write_bytes(b"no image either")
    assert main([*line, "--skip-unreadable"]) == 0
    assert (tmp_path / "skip.txt").read_text().splitlines() == [names[8], names[1], names[0]]


def test_wrong_counts(root: Path):
    class Bigger(CUB):
        official = whole_splits(classes=3, train=12, test=10)

    report = check(Bigger, root, workers=0)
    assert [bool(split.problems) for split in report.splits] == [False, True]
    assert "the official one has 3 classes, 10 images" in report.splits[1].problems[0]
    assert [split.whole for split in report.splits] == [True, True]


def test_a_split_that_cannot_be_read_does_not_hide_the_other(tmp_path: Path):
    root = write_cars(tmp_path)
    (root / "cars_test_annos_withlabels.mat").unlink()
    report = check(Cars, root, workers=0)
    assert not report.ok
    assert not report.splits[0].problems and "cars_test_annos_withlabels.mat" in report.splits[1].problems[0]
    assert "no problems found" in str(report) and "WRONG: the test split needs" in str(report)


def test_a_wrong_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "check", "cub", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("lacks images.txt") == 2 and said.count("\n") == 1
    assert main(["data", "check", "dogs", str(tmp_path)]) == 2
    assert "unknown dataset 'dogs': choose one of 'cub', 'cars', 'aircraft', 'folder'" in capsys.readouterr().err


def test_an_image_with_two_labels_is_told(tmp_path: Path):
    root = write_folders(tmp_path, train={"cat": 2, "dog": 2}, test={"cat": 1, "dog": 1})
    (root / "train" / "dog" / "same.jpg").write_bytes((root / "train" / "cat" / "1.jpg").read_bytes())
    (root / "train" / "dog" / "again.jpg").write_bytes((root / "train" / "dog" / "0.jpg").read_bytes())
    assert check(Folder, root, workers=0).splits[0].notes == (
        "1 images have a twin, byte for byte, with another label: train/dog/same.jpg = train/cat/1.jpg",
    )


def test_images_in_both_splits_are_told(tmp_path: Path):
    root = write_folders(tmp_path, train={"cat": 3, "dog": 2}, test={"cat": 1, "dog": 2})
    (root / "test" / "dog" / "same.jpg").write_bytes((root / "train" / "cat" / "1.jpg").read_bytes())
    report = check(Folder, root, workers=0)
    assert report.ok
    assert report.splits[1].notes == (
        "1 images are byte for byte images of the training split: test/dog/same.jpg = train/cat/1.jpg",
    )
    assert "note: 1 images are byte for byte" in str(report)


def test_every_image_is_decoded_as_training_sees_it(tmp_path: Path):
    report = check(Aircraft, write_aircraft(tmp_path), workers=0)
    assert report.splits[0].sizes == ((53, 71), (55, 73))  # without the banner


def test_workers_change_nothing(root: Path):
    assert check(CUB, root, workers=0) == check(CUB, root, workers=1)


def test_a_long_list_is_cut_in_the_text_only():
    split = SplitReport("train", "some set", missing=tuple(f"{index}.jpg" for index in range(25)), problems=("bad",))
    lines = describe(split)
    assert sum("missing: " in line for line in lines) == 20
    assert "… and 5 more, all of them in --json" in lines[-1]


def test_nothing_can_be_read(tmp_path: Path):
    with pytest.raises(DCALError, match="no CUB-200-2011 at"):
        check(CUB, tmp_path / "nowhere", workers=0)

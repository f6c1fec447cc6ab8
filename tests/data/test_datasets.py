"""The loaders on generated copies of the official layouts, on class folders and on lists."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from dcal.data import DATASETS
from dcal.data.csv_reader import ordered
from dcal.data.fgvc.aircraft import Aircraft
from dcal.data.fgvc.base import corners_to_box, whole_splits
from dcal.data.fgvc.cars import Cars
from dcal.data.fgvc.csv import Listing
from dcal.data.fgvc.cub import CUB
from dcal.data.fgvc.folder import FlatFolder, Folder
from dcal.errors import DCALError
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_sets import CARS, VARIANTS, write_aircraft, write_cars, write_folders, write_image

# --- counts -------------------------------------------------------------------------------------------------------


def test_the_official_counts():
    official = {name: kind.official for name, kind in DATASETS.items() if kind.official}
    found = {name: [(half["classes"], half["images"]) for half in both.values()] for name, both in official.items()}
    assert found == {
        "cub": [(200, 5994), (200, 5794)],
        "cars": [(196, 8144), (196, 8041)],
        "aircraft": [(100, 6667), (100, 3333)],
        "yard": [(20, 640), (20, 320)],
    }


class TinyCUB(CUB):
    official = whole_splits(classes=3, train=12, test=8)


def test_a_whole_split_with_the_official_counts(tmp_path: Path):
    data = TinyCUB(write_cub(tmp_path), "train")
    assert data.whole and not data.problems()
    assert str(data) == "CUB-200-2011, train split: 3 classes, 12 images"


def test_a_whole_split_with_other_counts_is_an_error(tmp_path: Path):
    root = write_cub(tmp_path)
    with pytest.raises(DCALError, match=r"3 classes, 9 images in its test split, the official .* 3 classes, 8 images"):
        TinyCUB(root, "test")
    assert len(TinyCUB(root, "test", strict=False)) == 9


def test_a_subset_is_stated(tmp_path: Path):
    data = CUB(write_cub(tmp_path), "test")
    assert not data.whole
    assert str(data) == (
        "CUB-200-2011, test split: 3 of the 200 classes, 9 images (a subset; the whole split has 5,794)"
    )


@pytest.mark.parametrize("name", DATASETS)
def test_a_wrong_root_is_one_clear_error(name: str, tmp_path: Path):
    with pytest.raises(DCALError, match=str(tmp_path / "nowhere")):
        DATASETS[name](tmp_path / "nowhere", "test")


# --- Stanford Cars --------------------------------------------------------------------------------------------------


def test_cars(tmp_path: Path):
    root = write_cars(tmp_path)
    train, test = Cars(root, "train"), Cars(tmp_path, "test")
    assert train.classes == test.classes == CARS
    assert [record.label for record in train.records] == [0, 1, 2] * 3
    assert [record.path.name for record in test.records] == [f"0000{number}.jpg" for number in range(1, 7)]
    assert test.records[0].path.parent == root / "cars_test"
    # the sixth: corners 7, 7, 257, 45, both inside and from 1; 257 - 7 overflows the uint8 that they are stored in
    assert test.records[5].box == (6.0, 6.0, 251.0, 39.0)
    assert test.records[5].label == 2 and test.records[5].parts is None
    assert str(test).startswith("Stanford Cars, test split: 3 of the 196 classes, 6 images (a subset; ")


def test_cars_where_copies_have_them(tmp_path: Path):
    """The labels in devkit/, and the images one folder deeper."""
    root = write_cars(tmp_path)
    (root / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos_withlabels.mat")
    (root / "cars_test").rename(root / "images")
    (root / "cars_test").mkdir()
    (root / "images").rename(root / "cars_test" / "cars_test")
    assert Cars(root, "test").records[0].path == root / "cars_test" / "cars_test" / "00001.jpg"


def test_cars_of_one_image(tmp_path: Path):
    """MATLAB has no lists of one: the axes that loading drops must come back."""
    root = write_cars(tmp_path, train=1, test=1, classes=CARS[:1])
    data = Cars(root, "train", strict=False)
    assert data.classes == CARS[:1] and len(Cars(root, "test", strict=False)) == 1


def test_cars_without_the_test_labels(tmp_path: Path):
    root = write_cars(tmp_path)
    (root / "cars_test_annos_withlabels.mat").unlink()
    assert len(Cars(root, "train")) == 9
    with pytest.raises(DCALError, match=r"devkit/cars_test_annos_withlabels\.mat or .*has no classes"):
        Cars(root, "test")
    shutil.copy(root / "devkit" / "cars_test_annos.mat", root / "cars_test_annos_withlabels.mat")
    with pytest.raises(DCALError, match=r"its annotations lack class\. Is it cars_test_annos_withlabels.mat\?"):
        Cars(root, "test")


def test_cars_with_broken_files(tmp_path: Path):
    root = write_cars(tmp_path)
    meta = root / "devkit" / "cars_meta.mat"
    savemat(meta, {"class_names": np.array(CARS[:2], dtype=object)[None]})
    with pytest.raises(DCALError, match=r"00003\.jpg is of class 3; cars_meta\.mat has 1 to 2"):
        Cars(root)
    savemat(meta, {"names": 1})
    with pytest.raises(DCALError, match=r"should hold 'class_names'; it holds names"):
        Cars(root)
    for content in (b"", b"<html>not found</html>", b"MATLAB 5.0 MAT-file" + b" " * 200):
        meta.write_bytes(content)
        with pytest.raises(DCALError, match=r"cars_meta\.mat is not a MATLAB file that can be read"):
            Cars(root)
    meta.unlink()
    with pytest.raises(DCALError, match=r"stanford_cars lacks devkit/cars_meta\.mat;"):
        Cars(root)


def test_boxes_count_from_zero():
    assert corners_to_box((1.0, 1.0, 1.0, 1.0)) == (0, 0, 1, 1)  # one pixel, the first
    assert corners_to_box((3.0, 5.0, 12.0, 6.0)) == (2, 4, 10, 2)
    with pytest.raises(DCALError, match="x1 ≤ x2"):
        corners_to_box((3.0, 5.0, 2.0, 6.0))


# --- FGVC-Aircraft --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [".", "fgvc-aircraft-2013b", "fgvc-aircraft-2013b/data"])
def test_aircraft(tmp_path: Path, below: str):
    root = write_aircraft(tmp_path)
    train, test = Aircraft(tmp_path / below, "train"), Aircraft(tmp_path / below, "test")
    assert train.classes == test.classes == VARIANTS
    assert [record.label for record in test.records] == [0, 0, 1, 1, 2, 2]
    assert test.records[2].path == root / "data" / "images" / "1000031.jpg"
    assert test.records[2].box == (0.0, 4.0, 74.0, 50.0)
    assert len(train) == 9 and "20 rows of the banner at each image's lower edge are cut off" in str(train)


def test_aircraft_loses_its_banner(tmp_path: Path):
    record = Aircraft(write_aircraft(tmp_path), "test").records[2]
    with Image.open(record.path) as file:
        whole = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(record.open()), whole[:-20])
    left, top, width, height = record.box
    assert (left + width, top + height) == record.open().size  # the box was written to end there


def test_aircraft_with_broken_files(tmp_path: Path):
    root = write_aircraft(tmp_path)
    data = root / "data"
    variants, boxes = data / "variants.txt", data / "images_box.txt"
    variants.write_text("707-320\nCessna 172\n")
    with pytest.raises(DCALError, match=r"trainval\.txt uses 1 variants that are not among the 2 .*: F/A-18"):
        Aircraft(root)
    variants.write_text("\n".join(VARIANTS))
    lines = boxes.read_text().splitlines()
    boxes.write_text("\n".join(lines[:-1]))
    assert len(Aircraft(root, "train")) == 9
    with pytest.raises(DCALError, match=r"lacks 1 of the 6 .*for one: 1000042"):
        Aircraft(root, "test")
    boxes.write_text("\n".join([lines[0] + " 7", *lines[1:]]))
    with pytest.raises(DCALError, match=r"four numbers: xmin ymin xmax ymax, got '1 4 71 53 7'"):
        Aircraft(root)
    boxes.unlink()
    with pytest.raises(DCALError, match=r"2013b/data lacks images_box\.txt"):
        Aircraft(tmp_path)


# --- class folders --------------------------------------------------------------------------------------------------


def test_folders(tmp_path: Path):
    root = write_folders(tmp_path / "pets", train={"dog": 3, "cat": 2, "eel": 1}, test={"cat": 2, "dog": 1})
    (root / "train" / ".cache").mkdir()
    (root / "train" / "dog" / "notes.txt").write_text("a dog")
    write_image(root / "train" / "dog" / "deep" / "down" / "9.JPEG", 31, 43, seed=9)
    train, test = Folder(root, "train"), Folder(root, "test")
    assert train.classes == test.classes == ("cat", "dog", "eel")
    assert [(record.path.relative_to(root / "train").as_posix(), record.label) for record in train.records] == [
        *(("cat/0.jpg", 0), ("cat/1.jpg", 0), ("dog/0.jpg", 1), ("dog/1.jpg", 1), ("dog/2.jpg", 1)),
        *(("dog/deep/down/9.JPEG", 1), ("eel/0.jpg", 2)),
    ]
    assert [record.label for record in test.records] == [0, 0, 1]
    assert str(train).startswith(
        "class folders of pets, train split: 3 classes, 7 images; 1 files in train that are no images are ignored; "
        "1 of the 3 classes in train have their images in folders inside the class folder (dog, dog/deep/down)"
    )
    assert str(test).endswith("1 classes have no image in this split: eel")
    assert test.records[0].box is None


def test_class_folders_inside_class_folders_are_told(tmp_path: Path):
    write_folders(tmp_path / "pets" / "train", cat={"tabby": 2, "siamese": 1}, dog={"poodle": 2})
    write_folders(tmp_path / "pets", test={"cat": 1, "dog": 1})
    (note,) = Folder(tmp_path / "pets").notes
    assert "1 of the 2 classes in train have their images in folders inside the class folder" in note
    assert "(cat/siamese, cat/tabby)" in note and "if the 3 inner folders are the classes" in note


def test_folders_with_val(tmp_path: Path):
    root = write_folders(tmp_path, train={"cat": 2, "dog": 1}, val={"cat": 3})
    assert len(Folder(root, "test")) == 3 and "the test split is the folder val" in str(Folder(root, "test"))
    write_folders(root, test={"cat": 1})
    assert len(Folder(root, "test")) == 1 and "the folder val is not used" in str(Folder(root, "test"))


def test_folders_that_are_not_laid_out_so(tmp_path: Path):
    root = write_folders(tmp_path, train={"cat": 2}, test={"cat": 1})
    write_image(root / "test" / "dog" / "1.jpg", 31, 43, seed=5)
    with pytest.raises(DCALError, match=r"1 class folders in .*test are not in .*train: dog"):
        Folder(root)
    (root / "train" / "dog").mkdir()
    with pytest.raises(DCALError, match=r"1 class folders in .*train hold no image: dog"):
        Folder(root)
    write_image(root / "train" / "loose.png", 31, 43, seed=6)
    with pytest.raises(DCALError, match=r"1 images lie in .*train itself.*: loose\.png"):
        Folder(root)
    shutil.rmtree(root / "test")
    with pytest.raises(DCALError, match=r"lacks the folders test \(or val\).*take the data set 'flat-folder'"):
        Folder(root)


def test_a_flat_folder_is_split_by_name(tmp_path: Path):
    root = write_folders(tmp_path / "a", **{".": {"cat": 13, "dog": 3}})
    train, test = FlatFolder(root, "train"), FlatFolder(root, "test")
    names = [{(record.path.parent.name, record.path.name) for record in data.records} for data in (train, test)]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 16
    assert [record.label for record in test.records] == [0, 0, 0, 1]  # a fifth of 13 and of 3, rounded
    assert names[1] == {("cat", "0.jpg"), ("cat", "3.jpg"), ("cat", "8.jpg"), ("dog", "2.jpg")}  # on every machine
    moved = shutil.copytree(root, tmp_path / "b")
    assert {(record.path.parent.name, record.path.name) for record in FlatFolder(moved, "test").records} == names[1]
    assert "split here by file name, 20% of each class to test" in str(test)


def test_one_class_alone_is_told(tmp_path: Path):
    """Or training would end at once, with a loss of 0 and an accuracy of 100 %."""
    root = write_folders(tmp_path, images={"cat": 3, "dog": 3})
    with pytest.raises(DCALError, match="has one class alone, images: at least two are needed"):
        FlatFolder(root)
    assert len(FlatFolder(root / "images").classes) == 2


def test_flat_folders_that_cannot_be_split(tmp_path: Path):
    with pytest.raises(DCALError, match="holds no class folder"):
        FlatFolder(tmp_path)
    root = write_folders(tmp_path, **{".": {"cat": 2, "dog": 1}})
    with pytest.raises(DCALError, match=r"1 class folders in .* hold fewer than two images: dog"):
        FlatFolder(root)
    split = write_folders(tmp_path / "split", train={"cat": 2, "dog": 3}, val={"cat": 2})
    with pytest.raises(DCALError, match=r"split are train, val, which look like splits: take the data set 'folder'"):
        FlatFolder(split)


# --- lists ----------------------------------------------------------------------------------------------------------


def write_list(folder: Path, *lines: str, images: int = 6) -> Path:
    for index in range(images):
        write_image(folder / "images" / f"{index}.jpg", 31, 43, seed=index)
    path = folder / "set.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def test_a_list(tmp_path: Path):
    path = write_list(
        tmp_path,
        "split,path,width,label,height,left,top,who",
        'train,images/3.jpg,20,"Finch, gold",10,1.5,2,me',
        "test,images/1.jpg,,Dove,,,,you",
        "train,images/0.jpg,,Dove,,,,",
        f"val,{tmp_path}/images/2.jpg,,Emu,,,,",
    )
    train, test = Listing(path, "train"), Listing(tmp_path, "test")
    assert train.classes == test.classes == ("Dove", "Finch, gold")
    assert [(record.path, record.label, record.box) for record in train.records] == [
        (tmp_path / "images" / "3.jpg", 1, (1.5, 2.0, 20.0, 10.0)),
        (tmp_path / "images" / "0.jpg", 0, None),
    ]
    assert [record.path.name for record in test.records] == ["1.jpg"]
    assert str(test) == "list set.csv, test split: 2 classes, 1 images; 1 rows marked val are not used"


def test_a_list_with_val_for_test(tmp_path: Path):
    rows = ("images/0.jpg,10,train", "images/1.jpg,9,train", "images/2.jpg,9,val")
    path = write_list(tmp_path, "path,label,split", *rows)
    assert Listing(path).classes == ("9", "10")
    assert [record.label for record in Listing(path, "test").records] == [0]
    assert str(Listing(path, "test")).endswith("the test split is the rows marked val")


def test_labels_in_order():
    assert ordered({"10", "9", "09"}) == ("09", "9", "10")
    assert ordered({"10", "9", "b"}) == ("10", "9", "b")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,class,split"], "lacks the columns label; its first line names path, class, split"),
        ([""], "lacks the columns path, label, split"),
        (["path,label,split", "a.jpg,x,train", "b.jpg,,test"], "line 3: label is empty"),
        (["path,label,split", "a.jpg,x"], "line 2: split is empty"),
        (["path,label,split", "a.jpg,x,training"], "line 2: the split is train, test, val; got 'training'"),
        (["path,label,split", "a.jpg,x,train", "a.jpg,x,test"], "line 3: a.jpg is listed already, in line 2"),
        (["path,label,split", "a.jpg,x,train", "b.jpg,y,test"], "1 labels of the test split .*: y"),
        (["path,label,split,left,top,width,height", "a.jpg,x,train,1,2,3,"], "line 2: a box is four numbers"),
        (["path,label,split,left,top,width,height", "a.jpg,x,train,1,2,3,0"], "line 2: .* positive, got 3 and 0"),
        (["path,label,split", "a.jpg,x,test"], "1 labels of the test split have no training image: x"),
        (["path,label,split", "nobody.jpg,x,train"], r"1 of the 1 train images .* missing: nobody\.jpg"),
        (["path,label,split", '"a.jpg,x,train'], "cannot read .* as a CSV file"),
    ],
)
def test_lists_that_are_wrong(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(DCALError, match=message):
        Listing(write_list(tmp_path, *lines, images=0))


def test_which_list(tmp_path: Path):
    with pytest.raises(DCALError, match=r"expected a CSV file.*there is none"):
        Listing(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("path,label,split\n")
    with pytest.raises(DCALError, match=r"it holds 2: a\.csv, b\.csv"):
        Listing(tmp_path)
    with pytest.raises(DCALError, match=r"no image belongs to the train split"):
        Listing(tmp_path / "a.csv")

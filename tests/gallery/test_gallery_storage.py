"""A gallery's folder: what comes back from it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from dcal.data.yard_table import HOME
from dcal.errors import DCALError
from dcal.gallery import Item, open_gallery
from dcal.gallery.open import image_folder
from dcal.gallery.storage import Stored, gallery_version, read_about, relative, write_folder
from tests.fixtures.tiny_gallery import ORIGIN, D, N, random_gallery, random_items, random_rows

ODD = ["a,b.jpg", 'say "hi".jpg', "line\nbreak.jpg", "東京/é.jpg", " space .jpg"]


def write(folder: Path, dtype: str = "float32") -> Path:
    """The random gallery in `folder`/gallery, its images in `folder`/images."""
    place = folder / "gallery"
    place.mkdir(parents=True)
    items = random_items()
    items[: len(ODD)] = [Item(path, "x,y", "c 1") for path in ODD]
    rows = random_gallery().rows(np.arange(N))
    write_folder(place, Stored(tuple(items), rows, ORIGIN, relative(folder / "images", place)), dtype)
    return place


def test_what_is_written_comes_back(tmp_path: Path):
    gallery = open_gallery(write(tmp_path))
    assert [item.path for item in gallery.items[: len(ODD)]] == ODD and gallery.items[2].identity == "x,y"
    assert gallery.items[5:] == tuple(random_items()[5:]) and gallery.items[-1].camera is None
    assert gallery.origin == ORIGIN and gallery.image_path(3).resolve() == tmp_path / "images" / "東京" / "é.jpg"
    assert np.array_equal(gallery.rows(np.arange(N)), random_gallery().rows(np.arange(N)))
    written = (tmp_path / "gallery" / "embeddings.safetensors").read_bytes()
    assert written == (write(tmp_path / "again") / "embeddings.safetensors").read_bytes()
    assert oct((tmp_path / "gallery" / "embeddings.safetensors").stat().st_mode)[-3:] == "644"


def test_half_precision_is_half_the_bytes_and_of_length_1_again(tmp_path: Path):
    full, half = write(tmp_path / "full"), write(tmp_path / "half", "float16")
    name = "embeddings.safetensors"
    assert (full / name).stat().st_size - (half / name).stat().st_size > 0.9 * 2 * N * D
    with safe_open(half / name, framework="numpy") as file:
        assert json.loads(file.metadata()["gallery"])["dtype"] == "float16"
        assert file.get_tensor("embeddings").dtype == np.float16
    gallery, query = open_gallery(half), random_rows(3, seed=9)
    np.testing.assert_allclose(np.linalg.norm(gallery.rows(np.arange(N)), axis=1), 1, atol=1e-7)
    near, exact = gallery.search(query, N), random_gallery().search(query, N)
    by_index = [np.take_along_axis(hits.similarities, hits.indices.argsort(axis=1), axis=1) for hits in (near, exact)]
    assert 1e-6 < np.abs(by_index[0] - by_index[1]).max() < 1e-3
    with pytest.raises(DCALError, match="unknown dtype 'int8'"):
        write(tmp_path / "eighth", "int8")


def test_both_folders_can_move_together_and_images_alone(tmp_path: Path):
    write(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    gallery = open_gallery(tmp_path / "after" / "gallery")
    assert gallery.images.resolve() == tmp_path / "after" / "images"
    assert open_gallery(tmp_path / "after" / "gallery", images="elsewhere").image_path(0) == Path("elsewhere/a,b.jpg")


def test_names_may_be_edited_and_the_order_may_not(tmp_path: Path):
    listed = write(tmp_path) / "items.csv"
    text = listed.read_text(encoding="utf-8")
    listed.write_text(text.replace('"x,y"', "someone"), encoding="utf-8")
    assert open_gallery(tmp_path / "gallery").items[0].identity == "someone"
    head, *rows = text.splitlines(keepends=True)
    rows[-1], rows[-2] = rows[-2], rows[-1]
    listed.write_text(head + "".join(rows), encoding="utf-8")
    with pytest.raises(DCALError, match=r"does not list the images of embeddings\.safetensors in their order"):
        open_gallery(tmp_path / "gallery")
    listed.write_text(head.replace("camera", "cam") + "".join(rows), encoding="utf-8")
    with pytest.raises(DCALError, match="lacks the columns camera"):
        open_gallery(tmp_path / "gallery")
    listed.write_text(head + rows[0] + "image.jpg,someone\n", encoding="utf-8")
    with pytest.raises(DCALError, match=r"items\.csv, row 2 has more or fewer cells than columns"):
        open_gallery(tmp_path / "gallery")
    listed.write_bytes(b"path,identity,camera\n\xff,,\n")
    with pytest.raises(DCALError, match="CSV file in UTF-8"):
        open_gallery(tmp_path / "gallery")


def test_what_is_no_gallery_is_said(tmp_path: Path):
    with pytest.raises(DCALError, match=r"is no gallery: it lacks items.csv and embeddings.safetensors"):
        open_gallery(tmp_path)
    path = write(tmp_path) / "embeddings.safetensors"
    whole = path.read_bytes()
    with safe_open(path, framework="numpy") as file:
        about, rows = json.loads(file.metadata()["gallery"]), file.get_tensor("embeddings")
    for changed, said in (
        ({"format": 7}, "format 7; this release reads format 1"),
        ({"layout": {"sa": 11}}, rf"holds \({N}, {D}\), its metadata gives \({N}, 11\)"),
    ):
        save_file({"embeddings": rows}, path, metadata={"gallery": json.dumps({**about, **changed})})
        with pytest.raises(DCALError, match=said):
            open_gallery(tmp_path / "gallery")
    save_file({"embeddings": rows}, path)
    with pytest.raises(DCALError, match="is not a gallery's"):
        open_gallery(tmp_path / "gallery")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DCALError, match="is not a gallery's"):
        open_gallery(tmp_path / "gallery")


def test_the_version_changes_with_either_file(tmp_path: Path):
    place = write(tmp_path)
    seen = [gallery_version(place), gallery_version(tmp_path / "nowhere")]
    for name in ("items.csv", "embeddings.safetensors"):
        path = place / name
        path.write_bytes(path.read_bytes() + b"\n")  # in place: the folder's own time stays
        seen.append(gallery_version(place))
        path.unlink()
        seen.append(gallery_version(place))
    assert len(set(seen)) == len(seen)
    assert gallery_version(place) == seen[-1]


WRONG_FIELDS: dict[str, list[Any]] = {
    "fingerprint": [None, 7, ["a"]],
    "checkpoint": [None, {"a": 1}],
    "images": [None, 3],
    "layout": [None, [], "sa", {"sa": "11"}, {"sa": None}, {"sa": 1e300}, {"sa": 0}, {}],
    "paths": [None, 5],
    "dtype": [None],
    "format": ["1", None],
}


@pytest.mark.parametrize("field", WRONG_FIELDS)
def test_a_wrong_field_of_the_layout_is_named(tmp_path: Path, field: str):
    about = {"format": 1, "fingerprint": "ab", "checkpoint": "c", "images": "i", "dtype": "float32", "paths": "p"}
    about["layout"] = {"sa": 11}
    assert read_about({"gallery": json.dumps(about)}, tmp_path / "x").layout == {"sa": 11}
    for wrong in WRONG_FIELDS[field]:
        with pytest.raises(DCALError, match=rf"x is not a gallery's: .*{field}.*Build the gallery again"):
            read_about({"gallery": json.dumps({**about, field: wrong})}, tmp_path / "x")
    lacking = {name: value for name, value in about.items() if name != field}
    with pytest.raises(DCALError, match=rf"lacks \['{field}'\]"):
        read_about({"gallery": json.dumps(lacking)}, tmp_path / "x")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": 1' + "0" * 5000 + "}", "null", "[1]", "{", ""])
def test_text_that_is_no_layout_is_refused(tmp_path: Path, text: str):
    with pytest.raises(DCALError, match="x is not a gallery's"):
        read_about({"gallery": text}, tmp_path / "x")


def test_a_copied_gallery_of_the_yard_finds_the_yards_images(tmp_path):
    moved = tmp_path / "elsewhere" / "gallery"
    moved.mkdir(parents=True)
    assert image_folder(moved, Path("../../../dcal/data/yard")) == HOME
    assert image_folder(moved, Path("../../photos")) == moved / "../../photos"  # not ours: said where it was

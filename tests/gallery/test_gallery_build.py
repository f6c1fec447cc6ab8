"""Building a gallery: every image's own embedding, resumed after a real kill, unreadable files listed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import dcal
from dcal.errors import DCALError
from dcal.gallery import Item, QueryInfo, open_gallery, rank
from dcal.gallery import embed as embedding_module
from dcal.gallery.build import build_folder
from dcal.gallery.sources import dataset_images, folder_images
from dcal.model.checkpoint import save_checkpoint
from dcal_explorer.cli.main import main
from tests.fixtures.hostile_images import animated, many_scans
from tests.fixtures.tiny_gallery import PATTERN, tiny_model, write_sightings
from tests.fixtures.tiny_reid import write_market, write_vehicles
from tests.fixtures.tiny_sets import write_image

ROOT = Path(__file__).resolve().parents[2]
BROKEN = {"empty.png": b"", "half0/0009_c9.png": b"\x89PNG\r\n\x1a\nnothing", "notes.txt": b"no image"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine images and three files that are none; a hidden one is passed over."""
    folder = write_sightings(tmp_path_factory.mktemp("data") / "images")
    for name, content in {**BROKEN, ".hidden.png": b""}.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_model(), tmp_path_factory.mktemp("models") / "tiny", dtype=torch.float32)


def test_a_gallery_holds_each_image_s_own_embedding(images: Path, tmp_path: Path):
    model, told = tiny_model(), []
    on_progress = lambda what, done, total, note="": told.append((done, total))  # noqa: E731
    built = build_folder(
        model, folder_images(images), tmp_path / "gallery", "tiny", batch_size=5, workers=0, on_progress=on_progress
    )
    gallery = open_gallery(tmp_path / "gallery")
    names = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    assert [item.path for item in gallery.items] == [name for name in names if name[0] != "." and name not in BROKEN]
    assert built.count == len(gallery) == 9 and told == [(0, 12), (5, 12), (10, 12), (12, 12)]
    for index in range(len(gallery)):
        own = dcal.inspect(model, gallery.image_path(index)).embedding
        np.testing.assert_allclose(gallery.rows(np.array([index]))[0], own / np.linalg.norm(own), atol=1e-6)
    gallery.check_model(model)
    assert gallery.origin.checkpoint == "tiny" and gallery.origin.layout == {"sa": 64, "glca": 64}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery"]


def test_unreadable_files_are_listed_with_the_reason(images: Path, tmp_path: Path):
    built = build_folder(tiny_model(), folder_images(images), tmp_path / "gallery", "tiny", workers=2)
    with (tmp_path / "gallery" / "failed.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"]: row["why"] for row in rows} == built.failed and built.failed.keys() == BROKEN.keys()
    assert built.failed["empty.png"].startswith("The file is empty.")
    good = write_sightings(tmp_path / "good", 3)
    build_folder(tiny_model(), folder_images(good), tmp_path / "gallery", "tiny", workers=0)
    assert not (tmp_path / "gallery" / "failed.csv").exists() and len(open_gallery(tmp_path / "gallery")) == 3
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"")
    with pytest.raises(DCALError, match=r"none of the 1 files in .*bad is an image; a\.jpg: The file is empty"):
        build_folder(tiny_model(), folder_images(tmp_path / "bad"), tmp_path / "gallery", "tiny", workers=0)
    assert len(open_gallery(tmp_path / "gallery")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "gallery", "good"]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from dcal.gallery import embed, shards
from dcal.gallery.build import build_folder
from dcal.gallery.sources import folder_images
from tests.fixtures.hostile_images import animated, many_scans
from tests.fixtures.tiny_gallery import tiny_model
torch.set_num_threads(int(sys.argv[3]))
embed.BATCHES, replace, written = 1, os.replace, []
def replace_or_die(source, target):
    written.append(target)
    if len(written) == 4:  # the plan, two parts, and in the middle of writing the third
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
shards.os.replace = replace_or_die
build_folder(tiny_model(), folder_images(sys.argv[1]), sys.argv[2], "tiny", batch_size=2, workers=0)
"""


def test_a_killed_build_goes_on_and_gives_the_same_bytes(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "killed").mkdir()
    place = tmp_path / "killed" / "gallery"
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(images),
        str(place),
        str(torch.get_num_threads()),
    ]  # others sum otherwise
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    left = tmp_path / "killed" / ".gallery-building"
    assert sorted(path.name for path in left.iterdir()) == [
        *("000000.safetensors", "000001.safetensors", "000002.tmp", "plan.json")
    ]
    with pytest.raises(DCALError, match="is no gallery"):
        open_gallery(place)
    monkeypatch.setattr(embedding_module, "BATCHES", 1)
    with pytest.raises(DCALError, match=r"cannot go on.*weights was .*remove that folder"):
        build_folder(tiny_model(seed=4), folder_images(images), place, "tiny", batch_size=2, workers=0)
    with pytest.raises(DCALError, match=r"cannot go on.*batch_size was 2, is 3"):
        build_folder(tiny_model(), folder_images(images), place, "tiny", batch_size=3, workers=0)
    fewer = folder_images(write_sightings(tmp_path / "fewer", 3))
    with pytest.raises(DCALError, match=r"cannot go on.*images was .*count was 12, is 3"):
        build_folder(tiny_model(), fewer, place, "tiny", batch_size=2, workers=0)

    told: list[int] = []
    on_progress = lambda what, done, total, note="": told.append(done)  # noqa: E731
    build_folder(tiny_model(), folder_images(images), place, "tiny", batch_size=2, workers=0, on_progress=on_progress)
    assert told == [4, 6, 8, 10, 12]  # what was done before is not done again
    (tmp_path / "whole").mkdir()
    build_folder(tiny_model(), folder_images(images), tmp_path / "whole" / "gallery", "tiny", batch_size=2, workers=0)
    for name in ("items.csv", "embeddings.safetensors", "failed.csv"):
        assert (place / name).read_bytes() == (tmp_path / "whole" / "gallery" / name).read_bytes()
    assert not left.exists()


def test_two_builds_do_not_share_a_folder(images: Path, tmp_path: Path):
    """The second is refused, in another process as well as in this one, and the first ends as if alone."""
    place, left = tmp_path / "gallery", tmp_path / ".gallery-building"
    meanwhile = "import sys; from pathlib import Path; from dcal.gallery.shards import building\n"
    meanwhile += "with building(Path(sys.argv[1])): pass"

    def during(what: str, done: int, total: int, note: str = "") -> None:
        if done == 2:
            with pytest.raises(DCALError, match=r"another build writes to .*\.gallery-building: wait for it"):
                build_folder(tiny_model(), folder_images(images), place, "tiny", batch_size=2, workers=0)
            command = [sys.executable, "-c", meanwhile, str(left)]
            found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert found.returncode and "another build writes to" in found.stderr

    built = build_folder(
        tiny_model(), folder_images(images), place, "tiny", batch_size=2, workers=0, on_progress=during
    )
    assert built.count == 9 and not left.exists()


def test_damaged_and_hostile_files_do_not_end_a_build(tmp_path: Path):
    folder = write_sightings(tmp_path / "images", 3)
    files = {
        "pages.tif": animated("TIFF", compression="jpeg")[:900],
        "scans.jpg": many_scans(5000),
        "walk.gif": animated("GIF")[:2000],  # its first frame is whole, its next one is not
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    built = build_folder(tiny_model(), folder_images(folder), tmp_path / "gallery", "tiny", workers=1)
    assert built.count == 3 and built.failed.keys() == files.keys()
    assert built.failed["scans.jpg"].startswith("This JPEG has more than 100 scans")
    assert all("damaged or cut off" in built.failed[name] for name in ("pages.tif", "walk.gif"))


def test_an_edited_image_is_another_image(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A resumed build must not mix embeddings of what a file was with those of what it is."""
    own = write_sightings(tmp_path / "own", 3)

    def stop(what: str, done: int, total: int, note: str = "") -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_folder(tiny_model(), folder_images(own), tmp_path / "gallery", "tiny", workers=0, on_progress=stop)
    (own / "half0" / "0000_c0.png").write_bytes((own / "half1" / "0001_c0.png").read_bytes())
    with pytest.raises(DCALError, match=r"cannot go on, as it was begun otherwise .images was"):
        build_folder(tiny_model(), folder_images(own), tmp_path / "gallery", "tiny", workers=0)


def test_what_would_be_lost_is_not_replaced(images: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("…")
    with pytest.raises(DCALError, match=r"is no gallery.*would remove what it holds .thesis\.tex"):
        build_folder(tiny_model(), folder_images(images), tmp_path / "mine", "tiny")
    for names in (["embeddings.safetensors", "thesis.tex"], ["embeddings.safetensors", "items.csv", "thesis.tex"]):
        for name in names:
            (tmp_path / "mine" / name).write_text("…")
        with pytest.raises(DCALError, match=r"would remove what it holds .thesis\.tex\)"):
            build_folder(tiny_model(), folder_images(images), tmp_path / "mine", "tiny")
        assert {path.name for path in (tmp_path / "mine").iterdir()} == set(names)
    with pytest.raises(DCALError, match="is a file"):
        build_folder(tiny_model(), folder_images(images), tmp_path / "mine" / "thesis.tex", "tiny")
    with pytest.raises(DCALError, match="batch_size must be at least 1"):
        build_folder(tiny_model(), folder_images(images), tmp_path / "new", "tiny", batch_size=0)


def test_what_came_during_a_build_is_not_replaced(tmp_path: Path):
    own, place = folder_images(write_sightings(tmp_path / "own", 3)), tmp_path / "gallery"
    build_folder(tiny_model(), own, place, "tiny", workers=0)

    def note(what: str, done: int, total: int, note: str = "") -> None:
        (place / "note.txt").write_text("…")

    with pytest.raises(DCALError, match=r"would remove what it holds .note\.txt\)"):
        build_folder(tiny_model(), own, place, "tiny", workers=0, on_progress=note)
    (place / "note.txt").rename(tmp_path / "note.txt")
    assert build_folder(tiny_model(), own, place, "tiny", workers=0).count == 3  # goes on where it was
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery", "note.txt", "own"]


def test_who_is_on_an_image(images: Path, tmp_path: Path):
    with pytest.raises(DCALError, match=r"1 of the 11 images .* do not match the pattern"):
        folder_images(images, PATTERN)
    clean = write_sightings(tmp_path / "clean", 4)
    assert folder_images(clean, PATTERN).items == (
        *(Item("half0/0000_c0.png", "0000", "0"), Item("half0/0002_c0.png", "0002", "0")),
        *(Item("half1/0000_c1.png", "0000", "1"), Item("half1/0001_c0.png", "0001", "0")),
    )
    assert folder_images(clean, r".*_c(?P<camera>\d)\.").items[0] == Item("half0/0000_c0.png", None, "0")
    for pattern, said in (("(", "is not a regular expression"), (r"(?P<id>\d+)", "needs a group .* it has id")):
        with pytest.raises(DCALError, match=said):
            folder_images(clean, pattern)
    with pytest.raises(DCALError, match="is not a folder"):
        folder_images(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DCALError, match="holds no file"):
        folder_images(tmp_path / "empty")

    vehicles = dataset_images("vehicle2cam", write_vehicles(tmp_path).parent)
    assert vehicles.items == (
        *(
            Item("images/test/car_0001_cam2.jpg", "car_0001", "2"),
            Item("images/test/truck_0001_cam2.jpg", "truck_0001", "2"),
        ),
    )
    assert vehicles.root == tmp_path / "vehicle2cam"
    persons = dataset_images("market1501", write_market(tmp_path), "query")
    assert persons.items[0] == Item("query/0003_c1s6_015971_00.jpg", "0003", "1")
    yard = dataset_images("yard", None)
    assert len(yard.items) == 320 and yard.items[0] == Item("images/0005_c1.webp", "5", "1")
    with pytest.raises(DCALError, match="unknown dataset 'cub'"):
        dataset_images("cub", tmp_path)


@pytest.mark.parametrize("pattern", [None, r"(?P<identity>\w+)/"])
def test_what_skip_txt_names_is_left_out(tmp_path: Path, pattern: str | None):
    for name in ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg"):
        write_image(tmp_path / name, 20, 20, 0)
    (tmp_path / "skip.txt").write_text("ann/2.jpg\nbob/gone.jpg\n")
    found = folder_images(tmp_path, pattern)
    assert [item.path for item in found.items] == ["ann/1.jpg", "bob/1.jpg"]
    assert found.notes == ("1 image is left out, as skip.txt says",)
    (tmp_path / "skip.txt").write_text("ann/1.jpg\nann/2.jpg\nbob/1.jpg\n")
    with pytest.raises(DCALError, match="that could be read"):
        folder_images(tmp_path, pattern)
    (tmp_path / "skip.txt").unlink()
    assert len(folder_images(tmp_path, pattern).items) == 3 and folder_images(tmp_path, pattern).notes == ()


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_a_list_beside_another_is_the_one_that_is_read(tmp_path: Path, name: str):
    write_sightings(tmp_path, 3)
    head, path = "path,identity,camera,split", "half0/0000_c0.png"
    (tmp_path / name).write_text(f"{head}\n{path},ann,north,gallery\n")
    (tmp_path / "b.csv").write_text(f"{head}\n{path},bob,south,gallery\n")
    images = dataset_images("reid-csv", tmp_path / name)
    assert (images.root, images.items) == (tmp_path, (Item(path, "ann", "north"),))


def test_build_and_search_from_a_shell(
    images: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    own, place = write_sightings(tmp_path / "own"), tmp_path / "gallery"
    model = ["--checkpoint", str(checkpoint)]
    build = ["index", "build", str(own), *model, "--out", str(place), "--workers", "0", "--dtype", "float16"]
    assert main([*build, "--pattern", PATTERN]) == 0
    assert capsys.readouterr().out == f"9 images in {place}\n"
    query = str(own / "half0" / "0002_c0.png")
    search = ["index", "search", str(place), query, *model]
    assert main([*search, "--top", "4"]) == 0
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["rank", "similarity", "identity", "camera", "path"] and len(rest) == 3
    assert first.split() == ["1", "1.0000", "0002", "0", "half0/0002_c0.png"]
    assert main([*search, "--camera", "1", "2", "--identity", "0002", "0001", "--shows", "0002", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["hits"]) == 4 and {hit["camera"] for hit in told["hits"]} == {"1", "2"}
    gallery = open_gallery(place)
    model_itself, known, who = dcal.load(checkpoint), QueryInfo("0002"), ["0001", "0002"]
    again = rank(gallery, query, model_itself, known=known, cameras=["1", "2"], identities=who)
    assert told["ap"] == pytest.approx(again.ap)
    assert main([*search, "--shows", "0002", "--seen-by", "0"]) == 0
    last = capsys.readouterr().out.splitlines()
    assert last[-1].startswith("2 matches among 9 images: AP ") and last[1].endswith("half0/0002_c0.png  junk")

    failing = ["index", "build", str(images), *model, "--out", str(tmp_path / "other"), "--workers", "0"]
    assert main(failing) == 0
    printed = capsys.readouterr().out
    assert "9 images in" in printed and f"3 files could not be read; {tmp_path / 'other' / 'failed.csv'}" in printed
    assert main([*search[:-2], *model, "--camera", "7"]) == 2
    assert "no image has the cameras '7'; the gallery has '0', '1', '2'" in capsys.readouterr().err
    assert main(["index", "build", *model, "--out", str(tmp_path / "other")]) == 2
    assert "which images?" in capsys.readouterr().err
    assert main([*failing, "--dataset", "vehicle2cam", "--pattern", "x"]) == 2
    assert "not both" in capsys.readouterr().err

"""The unfinished half of a build: what is damaged of it, or another build's, is made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dcal.errors import DCALError
from dcal.gallery import embed as embedding_module
from dcal.gallery.build import build_folder
from dcal.gallery.shards import PLAN
from dcal.gallery.sources import Images, folder_images
from tests.fixtures.damage import DAMAGES, damage
from tests.fixtures.tiny_gallery import tiny_model, write_sightings

FILES = ("items.csv", "embeddings.safetensors")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, their whole gallery, and one that was stopped before its last of three parts."""
    folder = tmp_path_factory.mktemp("begun")
    write_sightings(folder / "images", 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding_module, "BATCHES", 1)
        build(folder, folder / "whole")
        with pytest.raises(KeyboardInterrupt):
            build(folder, folder / "gallery", stop=4)
    return folder


def build(folder: Path, out: Path, stop: int = 99, images: Images | None = None) -> list[int]:
    """Build a gallery and return how many images were done at each step."""
    told: list[int] = []

    def note(what: str, done: int, total: int, note: str = "") -> None:
        told.append(done)
        if done >= stop:
            raise KeyboardInterrupt

    images = images or folder_images(folder / "images")
    build_folder(tiny_model(), images, out, "tiny", batch_size=2, workers=0, on_progress=note)
    return told


@pytest.fixture
def copy(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(embedding_module, "BATCHES", 1)
    return shutil.copytree(begun, tmp_path / "copy")


def check(copy: Path, done: int) -> None:
    """That the build goes on from so many images, to the bytes of one that was never stopped."""
    assert build(copy, copy / "gallery")[0] == done
    for name in FILES:
        assert (copy / "gallery" / name).read_bytes() == (copy / "whole" / name).read_bytes()


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_part_is_made_again(copy: Path, kind: str) -> None:
    damage(copy / ".gallery-building" / "000000.safetensors", kind)
    check(copy, done=2)


def test_a_part_in_anothers_place_is_made_again(copy: Path) -> None:
    parts = copy / ".gallery-building"
    shutil.copy(parts / "000000.safetensors", parts / "000001.safetensors")
    check(copy, done=2)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"null", b"7", b"\xff\xfe"])
def test_a_damaged_plan_is_one_sentence(copy: Path, content: bytes) -> None:
    (copy / ".gallery-building" / PLAN).write_bytes(content)
    with pytest.raises(DCALError, match=r"plan\.json is no plan of a build .* to begin anew"):
        build(copy, copy / "gallery")

"""Data sets from outside the package: by registration, and by an installed package's entry point."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from dcal import data
from dcal.data import DATASETS, REID_DATASETS, register
from dcal.data.reid.csv import ReIDCsv
from dcal.errors import DCALError
from dcal_explorer.cli.main import main
from tests.fixtures.documents import code_of
from tests.fixtures.tiny_sets import write_image

OWN = code_of("extending.md", "A data set of your own")


def test_an_unpacked_archive_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the working folder, then in data/; what is passed goes first; a list has no usual place."""
    monkeypatch.chdir(tmp_path)
    for task, name, archive in (("fgvc", "cub", "CUB_200_2011"), ("reid", "veri776", "VeRi")):
        with pytest.raises(DCALError, match=f"there is no folder {archive} nor data/{archive}: give the folder"):
            data.place_of(task, name, None)
        (tmp_path / "data" / archive).mkdir(parents=True)
        assert data.place_of(task, name, None) == Path("data") / archive
        (tmp_path / archive).mkdir()
        assert data.place_of(task, name, None) == Path(archive)
        assert data.place_of(task, name, Path("mine")) == Path("mine")
    with pytest.raises(DCALError, match=r"\(--data-root\) is not set: give the folder that holds 'csv'"):
        data.place_of("fgvc", "csv", None)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone afterwards."""
    both: tuple[MutableMapping[str, Any], ...] = (DATASETS, REID_DATASETS)
    before = [(table, dict(table)) for table in both]
    data.load_entry_points.cache_clear()
    yield
    data.load_entry_points.cache_clear()
    for table, own in before:
        table.clear()
        table.update(own)


@pytest.fixture
def shelves(tmp_path: Path) -> Path:
    for number in range(8):
        write_image(tmp_path / "shelves" / f"{number // 2}_{('tea', 'rice')[number % 2]}.jpg", 40, 50, number)
    return tmp_path / "shelves"


def test_a_registered_data_set_is_checked_and_trained_on(
    tables: None, shelves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    names: dict[str, Any] = {}
    exec(OWN, names)
    register("shelves", names["Shelves"])
    exec(code_of("extending.md", "Presets and losses"), names)
    assert names["ShelvesConfig"](data_root=shelves).size == (224, 448)
    assert main(["data", "check", "shelves", str(shelves), "--json", "--workers", "0"]) == 0
    assert [split["found"]["images"] for split in json.loads(capsys.readouterr().out)["splits"]] == [4, 4]
    tiny = ["--backbone", "test_vit", "--pretrained", "false", "--img-size", "32", "--workers", "0", "--epochs", "1"]
    run = ["train", "--dataset", "shelves", "--data-root", str(shelves), "--out", str(tmp_path / "run")]
    assert main([*run, *tiny, "--batch-size", "4", "--top-ratio", "0.5"]) == 0
    assert main(["eval", "--checkpoint", str(tmp_path / "run" / "checkpoint"), "--workers", "0"]) == 0


def test_an_installed_package_offers_one(
    tables: None, shelves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    about = tmp_path / "site" / "grocery-1.0.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "grocery_shelves.py").write_text(OWN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: grocery\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[dcal.datasets]\ngrocery = grocery_shelves:Shelves\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert main(["data", "check", "grocery", str(shelves), "--workers", "0"]) == 0
    capsys.readouterr()
    assert main(["--help"]) == 0
    assert "grocery" in capsys.readouterr().out
    (about / "entry_points.txt").write_text("[dcal.datasets]\ngrocery = no_such_module:Shelves\n")
    data.load_entry_points.cache_clear()
    DATASETS.pop("grocery")
    assert main(["data", "check", "grocery", str(shelves)]) == 2
    assert "(no_such_module:Shelves) cannot be imported" in capsys.readouterr().err


def test_what_cannot_be_registered(tables: None):
    with pytest.raises(DCALError, match="there is a data set 'cub' already, CUB"):
        register("cub", DATASETS["yard"])
    with pytest.raises(DCALError, match="not <class 'dict'>"):
        register("mine", dict)
    register("mine", ReIDCsv)
    assert REID_DATASETS["mine"] is ReIDCsv and "mine" not in DATASETS

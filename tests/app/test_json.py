"""`--json`: one object alone on the output stream, with what the lines for people say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dcal.data.fgvc.cub import CUB
from dcal.model.checkpoint import fingerprint, load_checkpoint
from dcal_explorer.cli import faces
from dcal_explorer.cli.main import main
from tests.fixtures.tiny_commands import TRAINED, save_reid
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_reid import write_training_yard


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", "--data-root", str(root), "--out", str(out), *TRAINED]) == 0
    return out


@pytest.fixture(scope="module")
def reid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reid(tmp_path_factory.mktemp("models") / "reid")


def shown(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> Any:
    """The object that a command prints, which is all that it prints there."""
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_a_run_prints_its_metrics(run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ("train", "--data-root", root, *TRAINED)
    assert main([*map(str, words), "--out", str(tmp_path / "run"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "schedule  from the start" in printed.err and "test: top1" in printed.err
    finished = shown(capsys, *words, "--out", run, "--resume")
    assert finished == json.loads((run / "metrics.json").read_text())


def test_inspect_prints_answers_and_files(run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    image, broken = CUB(root, "test").records[0].path, tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    model = ("--checkpoint", run / "checkpoint", "--out", tmp_path / "maps")
    good, bad = shown(capsys, "inspect", image, broken, *model, status=1)["images"]
    assert (good["image"], bad["image"]) == (str(image), str(broken)) and "broken.jpg" in bad["problem"]
    assert {name for name, _ in good["answers"]} == set(CUB(root).classes) and good["problem"] == ""
    assert sum(probability for _, probability in good["answers"]) == pytest.approx(1, abs=1e-5)
    names = {Path(file).name for file in good["files"]}
    assert names == {"inspection.npz", "layers.png", "sa.png", "glca.png", "selected.png"}
    assert all(Path(file).is_file() for file in good["files"])


def test_visualize_prints_images(run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ("visualize", "--checkpoint", run / "checkpoint", "--data-root", root, "--out", tmp_path / "maps")
    name = CUB(root, "test").records[1].path.name
    (drawn,) = shown(capsys, *words, "--dataset", "cub", "--images", name)["images"]
    assert Path(drawn["image"]).name == name and (tmp_path / "maps" / "sa.png").is_file()


def test_interactive_opens_the_checkpoint_that_was_asked_for(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    served: list[list[str]] = []

    def serve(words: list[str]) -> int:
        served.append(words)
        return contents(words)

    monkeypatch.setattr("dcal_explorer.demo.program.main", serve)
    other = shutil.copytree(run / "checkpoint", run / "other")
    words = ["visualize", "--checkpoint", str(run / "checkpoint"), "--dataset", "cub", "--interactive"]
    assert main(words) == 0 and other.is_dir()
    assert main([*words, "--json"]) == 2 and "--interactive writes nothing" in capsys.readouterr().err
    assert main([*words, "--images", "a.jpg"]) == 2 and "--images has no effect" in capsys.readouterr().err
    assert len(served) == 1


def contents(words: list[str]) -> int:
    """The demo is given a folder with that checkpoint alone."""
    folder = Path(words[words.index("--checkpoints") + 1])
    assert [path.name for path in folder.iterdir()] == ["checkpoint"]
    return 0


def test_a_bare_backbone_is_left_to_the_page(monkeypatch: pytest.MonkeyPatch):
    served: list[list[str]] = []

    def serve(words: list[str]) -> int:
        served.append(words)
        return 0

    monkeypatch.setattr("dcal_explorer.demo.program.main", serve)
    assert faces.demo(["--backbone", "test_vit", "--weights", "w.safetensors", "--port", "7861"]) == 0
    assert served == [["--port", "7861", "--backbone", "test_vit", "--weights", "w.safetensors"]]


def test_models_prints_sizes(capsys: pytest.CaptureFixture[str]):
    found = shown(capsys, "models", "deit_tiny")["models"]
    assert found[1] == {"name": "deit_tiny_patch16_224", "img_size": [224, 224], "weights": True}


def test_calibrate_prints_thresholds(reid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    checkpoint = shutil.copytree(reid, tmp_path / "checkpoint")
    yard = write_training_yard(tmp_path / "yard")
    found = shown(capsys, "calibrate", checkpoint, "yard", yard, "--workers", "0")
    kept = json.loads((checkpoint / "calibration.json").read_text())
    assert found["file"] == str(checkpoint / "calibration.json")
    assert (found["new_below"], found["group_above"]) == (kept["new_below"], kept["group_above"])
    assert found["fingerprint"] == fingerprint(load_checkpoint(reid)) and -1 <= found["even_from"] <= 1


def test_galleries_print_counts(root: Path, reid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "images").mkdir()
    for number, record in enumerate(CUB(root, "test").records[:4]):
        shutil.copy(record.path, tmp_path / "images" / f"{number}.jpg")
    (tmp_path / "images" / "broken.jpg").write_bytes(b"no image")
    gallery = tmp_path / "gallery"
    words = ("index", "build", tmp_path / "images", "--checkpoint", reid, "--out", gallery, "--workers", 0)
    built = shown(capsys, *words)
    assert (built["gallery"], built["images"], list(built["failed"])) == (str(gallery), 4, ["broken.jpg"])
    grouped = shown(capsys, "index", "group", gallery, "--out", tmp_path / "groups.csv", "--above", "1")
    assert (grouped["file"], grouped["images"], grouped["above"]) == (str(tmp_path / "groups.csv"), 4, 1.0)
    assert 1 <= grouped["groups"] <= 4 and grouped["known"] is None

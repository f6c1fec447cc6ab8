"""The `dcal` command: what it prints and writes, and one clear line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcal.data import DATASETS, REID_DATASETS
from dcal.data.fgvc.cub import CUB
from dcal.explain.inspection import Inspection
from dcal.model.ablation import ABLATIONS
from dcal.model.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from dcal.model.dcal import create_model
from dcal.preprocess import Preprocess
from dcal_explorer.cli.main import COMMANDS, main
from tests.fixtures.tiny_cub import write_cub

TINY = ["--backbone", "test_vit", "--pretrained", "false", "--img-size", "32", "--workers", "0", "--device", "cpu"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def checkpoint(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    classes, preprocess = CUB(root).classes, Preprocess(size=(32, 32))
    model = create_model("test_vit", 3, img_size=32, top_ratio=0.5, classes=classes, preprocess=preprocess)
    return save_checkpoint(model.eval(), tmp_path_factory.mktemp("models") / "tiny")


def mistake(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The line that a wrong command prints; it must be one line, on the error stream, with exit status 2."""
    status = main([str(word) for word in words])
    printed = capsys.readouterr()
    assert status == 2
    assert printed.err.startswith("dcal: ") and printed.err.count("\n") == 1 and "Traceback" not in printed.err
    return printed.err


def test_train_then_eval_give_the_same_figures(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = ["--data-root", str(root), "--out", str(tmp_path / "run"), "--epochs", "1", "--warmup-epochs", "0"]
    assert main(["train", *run, *TINY, "--batch-size", "4", "--ablation", "sa_glca", "--top-ratio", "0.5"]) == 0
    assert "top1" in capsys.readouterr().out
    trained = json.loads((tmp_path / "run" / "metrics.json").read_text())
    model = str(tmp_path / "run" / "checkpoint")
    above = mistake(capsys, "eval", "--checkpoint", tmp_path / "run", "--data-root", root)
    assert f"there is no config.json in it; {model} is one" in above
    measure = ["eval", "--checkpoint", model, "--data-root", str(root), "--workers", "0"]
    assert main([*measure, "--task", "fgvc", "--dataset", "cub", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 9 and found["fingerprint"] == fingerprint(load_checkpoint(model))
    assert {name: trained[name] for name in found if "top" in name} == {n: v for n, v in found.items() if "top" in n}
    assert main(measure) == 0
    table = capsys.readouterr().out
    assert f"{found['top1']:.2%} (" in table and "fused" in table
    assert "GLCA" in table and "3 of the 200 classes" in table


def test_inspect_writes_images_and_the_record(
    root: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    image = CUB(root, "test").records[0].path
    words = ["--checkpoint", str(checkpoint), "--out", str(tmp_path / "seen"), "--target", "Parakeet Auklet"]
    assert main(["inspect", str(image), *words]) == 0
    assert "Parakeet Auklet" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "seen").iterdir()}
    maps = {"layers.png", "sa.png", "glca.png", "selected.png", "gradient_rollout.png", "relevance.png"}
    assert names == maps | {"inspection.npz"}
    seen = Inspection.from_npz(tmp_path / "seen" / "inspection.npz")
    assert seen.target == 2 and seen.fingerprint == fingerprint(load_checkpoint(checkpoint))
    for name in maps:
        with Image.open(tmp_path / "seen" / name) as drawing:
            assert drawing.mode == "RGB" and np.asarray(drawing).std() > 0


def test_mistakes_about_the_data(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    measure = ("eval", "--checkpoint", checkpoint, "--workers", 0, "--data-root")
    assert "lacks images.txt" in mistake(capsys, *measure, tmp_path)
    assert "unknown dataset 'dogs'" in mistake(capsys, *measure, tmp_path, "--dataset", "dogs")
    assert "data_root (--data-root) is not set" in mistake(capsys, "train", *TINY)
    assert "lacks images.txt" in mistake(capsys, "train", "--data-root", tmp_path, "--out", tmp_path / "run", *TINY)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_one_line_whoever_reads_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
):
    root = write_cub(tmp_path)
    damaged = [CUB(root, split).records[1].path for split in ("train", "test")]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:700])
    given = ("--data-root", root, "--out", tmp_path / "run")
    trained = mistake(capsys, "train", *given, *TINY, "--workers", workers, "--epochs", 2, "--batch-size", 4)
    measured = mistake(capsys, "eval", "--checkpoint", checkpoint, *given, "--workers", workers)
    for path, told in zip(damaged, (trained, measured), strict=True):
        assert told.startswith(f"dcal: {path}: ") and "damaged or cut off" in told


def test_a_file_that_vanishes_is_one_line_whoever_reads_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def vanished(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "images.txt")

    monkeypatch.setattr("dcal.training.train.train_as", vanished)
    told = mistake(capsys, "train", "--data-root", root, "--out", tmp_path / "run", "--batch-size", 4, *TINY)
    assert told == "dcal: images.txt: No such file or directory\n"


def test_a_misspelled_action_of_index_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert mistake(capsys, "index", "buidl", "x").startswith("dcal: there is no index 'buidl': did you mean 'build'?")
    assert "choose one of build, search, group." in mistake(capsys, "index", "xyz")


def test_mistakes_about_the_checkpoint(
    root: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    measure = ("eval", "--data-root", root, "--workers", 0, "--checkpoint")
    assert "config.json" in mistake(capsys, *measure, tmp_path)
    others = save_checkpoint(
        create_model("test_vit", 2, ablation="sa_only", img_size=32, classes=("Owl", "Kiwi")), tmp_path / "others"
    )
    text = mistake(capsys, *measure, others)
    assert "knows 2 classes (Owl, Kiwi), the data set has 3 (Black footed Albatross, " in text
    reid = save_checkpoint(create_model("test_vit", 2, task="reid", img_size=32), tmp_path / "reid")
    assert "was trained for task 'reid', not 'fgvc': use --task reid" in mistake(
        capsys, *measure[:1], "--task", "fgvc", *measure[1:], reid
    )


def test_mistakes_about_the_image(root: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    look = ("--checkpoint", checkpoint, "--out", tmp_path / "seen")
    (tmp_path / "bird.png").write_bytes(b"%PDF-1.7 not an image")
    mistake(capsys, "inspect", tmp_path / "bird.png", *look)
    assert "nobody.jpg" in mistake(capsys, "inspect", tmp_path / "nobody.jpg", *look)
    image = CUB(root).records[0].path
    assert "no class 'Dodo'" in mistake(capsys, "inspect", image, *look, "--target", "Dodo")
    assert "1.5" in mistake(capsys, "inspect", image, *look, "--top-ratio", 1.5)
    assert not (tmp_path / "seen").exists()


def test_mistakes_about_the_settings(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = ("train", "--data-root", root, "--out", tmp_path / "run", *TINY)
    assert "epochs must be at least 1, got 0" in mistake(capsys, *run, "--epochs", 0)
    assert "unknown preset 'cup': choose one of 'fgvc', 'cub', " in mistake(capsys, *run, "--preset", "cup")
    assert "unknown ablation 'both'" in mistake(capsys, *run, "--ablation", "both")
    assert "do not fill one batch of 16" in mistake(capsys, *run)
    (tmp_path / "file").write_text("")
    for out, why in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "run", "Not a directory")):
        told = mistake(capsys, *run, "--batch-size", 4, "--out", out)
        assert f"the run cannot be written to {out}: {why}. Choose another --out" in told


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        ("", "dcal --help"),
        ("fly", "dcal --help"),
        ("evl --json", "did you mean 'eval'?"),
        ("train --epochs", "dcal train --help"),
        ("train --epochs many", "dcal train --help"),
        ("train --dataset", "dcal train --help"),
        ("eval --dataset", "dcal eval --help"),
        ("train --epohcs 3", "--epochs"),
        ("inspect", "dcal inspect --help"),
        ("index build", "dcal index build --help"),
        ("data check", "dcal data --help"),
    ],
)
def test_lines_that_cannot_be_parsed(words: str, help_of: str, capsys: pytest.CaptureFixture[str]):
    """Exit status 2, and the help that applies is named: that of the command itself."""
    assert main(words.split()) == 2
    shown = capsys.readouterr()
    text = " ".join(shown.err.replace("│", " ").split())
    assert help_of in text or (not words and "`dcal COMMAND --help`" in text), text
    assert "Traceback" not in text and shown.out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("index build images --out g --checkpoint c --url file.db --dtype float16", "--dtype has no effect"),
        ("index build images --out g --checkpoint c --collection cars", "--collection has no effect"),
        ("index build images --out g --checkpoint c --split query", "--split has no effect"),
        ("index search . image.jpg --checkpoint c --seen-by 3", "--seen-by has no effect"),
        ("index search . image.jpg --checkpoint c --collection cars", "--collection has no effect"),
        ("eval --checkpoint c --steps 3 --fill blur", "--steps, --fill belong to the analysis"),
        ("eval --checkpoint c --task reid --analysis --images 3", "--images belong to the analysis of --task fgvc"),
        ("eval --checkpoint c --task fgvc --rerank", "rerank and one_camera belong to --task reid"),
        ("train --dataset yard --also-root elsewhere", "also_root elsewhere has no effect"),
        ("train --data-root d --triplet-margin=0.3", "triplet_margin 0.3 has no effect: set triplet"),
    ],
)
def test_an_option_without_effect_is_an_error(words: str, message: str, capsys: pytest.CaptureFixture[str]):
    assert message in mistake(capsys, *words.split())


def test_the_version_and_the_overview(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dcal ")
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in (*COMMANDS, *DATASETS, *REID_DATASETS, *ABLATIONS):
        assert f" {name}" in shown

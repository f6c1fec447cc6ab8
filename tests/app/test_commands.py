"""Every subcommand as a process of its own, as a shell starts it, with nothing replaced; once more, in this one."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from dcal.data.fgvc.cub import CUB
from dcal.model.dcal import create_model
from dcal_explorer.cli.main import COMMANDS, main
from tests.fixtures.tiny_commands import TRAINED, save_reid
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_reid import write_training_yard

ROOT = Path(__file__).resolve().parents[2]


def dcal(*words: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """The installed program `dcal` with these words, which must end with that exit status; the code is this tree's."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'app'}"}
    command = [str(Path(sys.executable).with_name("dcal")), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def once_more(*words: object, status: int = 0) -> tuple[str, str]:
    """What `main` prints in this process, on its two streams: for commands that have run as processes, too."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        found: object = None
        try:
            found = main([*map(str, words)])
        except SystemExit as end:
            found = end.code
    assert found == status, out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that `dcal train` made."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    shown = dcal("train", "--data_root", root, "--out", out, *TRAINED)
    assert "data      cub: 12 images of 3 classes to train on" in shown.stdout
    assert "schedule  from the start: 1 epochs × 3 steps of 4 images" in shown.stdout and "test: top1" in shown.stdout
    again, _ = once_more("train", "--data_root", root, "--out", out, *TRAINED, "--resume")
    assert "is finished (1 epochs): nothing to do" in again
    return out


@pytest.fixture(scope="module")
def reid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reid(tmp_path_factory.mktemp("models") / "reid")


def images(root: Path) -> list[Path]:
    return [record.path for record in CUB(root, "test").records]


def test_eval_knows_the_data_set_of_the_checkpoint(run: Path, root: Path, tmp_path: Path):
    """Neither --dataset nor --data-root: the checkpoint names the one, run.json beside it the other."""
    found = json.loads(dcal("eval", "--checkpoint", run / "checkpoint", "--workers", 0, "--json").stdout)
    metrics = json.loads((run / "metrics.json").read_text())
    assert (found["n"], found["top1"]) == (9, metrics["top1"]) and metrics["dataset"] == "cub"
    out = tmp_path / "maps"
    words = ("--task", "fgvc", "--dataset", "cub", "--out", out, "--workers", 0, "--visualize")
    once_more("eval", "--checkpoint", run / "checkpoint", *words)
    assert len(list(out.rglob("sa.png"))) == 8


def test_predict_writes_a_table_and_goes_on_with_it(run: Path, root: Path, tmp_path: Path):
    folder, table = tmp_path / "images", tmp_path / "out.csv"
    folder.mkdir()
    for number, image in enumerate(images(root)[:4]):
        (folder / f"{number}.jpg").write_bytes(image.read_bytes())
    (folder / "broken.jpg").write_bytes(b"no image")
    words = ("predict", folder, "--checkpoint", run / "checkpoint", "--csv", table, "--workers", 0)
    dcal(*words, "--top", 2, status=1)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["image"]).name for row in rows] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "broken.jpg"]
    assert rows[4]["problem"] and rows[4]["answer_1"] == "" and not any(row["problem"] for row in rows[:4])
    assert all(float(row["value_1"]) >= float(row["value_2"]) > 0 for row in rows[:4])
    assert {row["answer_1"] for row in rows[:4]} <= set(CUB(root).classes)
    whole = table.read_bytes()
    table.write_bytes(whole[: whole.index(b"2.jpg") + 9])  # killed in the middle of a row
    assert "3 images written" in once_more(*words, "--top", 2, status=1)[1]
    assert [line.split(b",")[0] for line in table.read_bytes().splitlines()] == [
        line.split(b",")[0] for line in whole.splitlines()
    ]
    assert "0 images written" in once_more(*words, "--top", 2)[1]
    assert "holds predictions of another command" in once_more(*words, "--top", 3, status=2)[1]


def test_inspect_and_visualize_draw_many(run: Path, root: Path, tmp_path: Path):
    first, second = images(root)[:2]
    model = ("--checkpoint", run / "checkpoint")
    dcal("inspect", first, second, *model, "--out", tmp_path / "maps")
    names = {path.parent.name for path in (tmp_path / "maps").rglob("selected.png")}
    assert names == {"image_4", "image_5"}
    dcal("visualize", *model, "--dataset", "cub", "--images", first.name, second, "--out", tmp_path / "named")
    assert len(list((tmp_path / "named").rglob("layers.png"))) == 2
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    _, told = once_more("inspect", tmp_path / "broken.jpg", first, *model, "--out", tmp_path / "some", status=1)
    assert "broken.jpg" in told and (tmp_path / "some" / first.stem / "sa.png").is_file()


def test_inspect_looks_at_any_backbone(root: Path, tmp_path: Path):
    from safetensors.torch import save_file

    torch.manual_seed(3)
    model = create_model("test_vit", 1, ablation="sa_only", img_size=160)
    save_file(model.backbone.state_dict(), tmp_path / "weights.safetensors")
    out = tmp_path / "maps"
    words = ("inspect", images(root)[0], "--out", out, "--backbone", "test_vit")
    shown, _ = once_more(*words, "--weights", tmp_path / "weights.safetensors")
    assert (out / "layers.png").is_file() and not (out / "glca.png").exists() and "%" not in shown
    given = (*words, "--weights", tmp_path / "weights.safetensors")
    assert "--top-ratio has no effect" in once_more(*given, "--top-ratio", "0.5", status=2)[1]


def test_models_lists_what_fits():
    shown = dcal("models", "deit_tiny").stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["deit_tiny_distilled_patch16_224", "deit_tiny_patch16_224"]
    assert all("224 × 224  weights" in line for line in shown)
    assert "no model of timm that can serve as backbone has 'convnext'" in once_more("models", "convnext", status=2)[1]


def test_data_check_and_galleries(root: Path, reid: Path, tmp_path: Path):
    assert json.loads(dcal("data", "check", "cub", root, "--json").stdout)["ok"]
    folder = images(root)[0].parent
    model = ("--checkpoint", reid)
    dcal("index", "build", folder, *model, "--out", tmp_path / "gallery", "--workers", 0)
    words: tuple[Any, ...] = ("index", "search", tmp_path / "gallery", images(root)[0], *model, "--json")
    found = json.loads(once_more(*words)[0])
    assert found["hits"][0]["path"] == images(root)[0].name
    one = ("predict", images(root)[0], *model, "--gallery", tmp_path / "gallery", "--top", 1, "--json")
    answer = json.loads(once_more(*one)[0])["predictions"][0]["answers"][0]
    assert answer[0] == images(root)[0].name and answer[1] == pytest.approx(1, abs=1e-4)


def test_a_checkpoint_is_calibrated(reid: Path, tmp_path: Path):
    checkpoint = shutil.copytree(reid, tmp_path / "checkpoint")
    yard = write_training_yard(tmp_path / "yard")
    assert "probably new below" in dcal("calibrate", checkpoint, "yard", yard, "--workers", 0).stdout
    assert json.loads((checkpoint / "calibration.json").read_text())["format"] == 1


@pytest.mark.parametrize("face", ["demo", "dashboard"])
def test_faces_are_served(serve: Callable[..., str], run: Path, face: str):
    """`serve` fails if nothing answers at the address; {port} is the one that it found."""
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'app'}"}
    words = ("-m", "dcal", face, "--no-browser", "--port", "{port}", "--checkpoints", str(run))
    with urllib.request.urlopen(serve(*words, **path), timeout=60) as page:
        assert page.status == 200


def test_help_and_version_and_no_command_is_left_out(capsys: pytest.CaptureFixture[str]):
    assert dcal("--version").stdout.startswith("dcal ")
    shown = dcal("--help").stdout
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_c*.py"))
    for name in COMMANDS:
        assert f"\n  {name} " in shown and f'"{name}"' in tested
        assert main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: dcal {name}")

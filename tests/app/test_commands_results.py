"""Commands on what others have written: `compare`, `export`, `push`, `visualize --paper_figures`, `completion`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dcal.data import DATASETS
from dcal.data.fgvc.cub import CUB
from dcal.model.ablation import ABLATIONS
from dcal.model.checkpoint import save_checkpoint
from dcal.model.dcal import create_model
from dcal.preprocess import Preprocess
from dcal_explorer.cli.completion import script
from dcal_explorer.cli.main import COMMANDS, main
from tests.fixtures.hub import hub
from tests.fixtures.tiny_cub import write_cub
from tests.fixtures.tiny_reid import write_coloured

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def checkpoints(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A baseline and a whole model, both evaluated."""
    folder = tmp_path_factory.mktemp("models")
    classes, preprocess = CUB(root).classes, Preprocess(size=(32, 32))
    paths = []
    for ablation in ("sa_only", "full"):
        torch.manual_seed(len(ablation))
        model = create_model(
            "test_vit", 3, ablation=ablation, img_size=32, top_ratio=0.5, classes=classes, preprocess=preprocess
        ).eval()
        paths.append(save_checkpoint(model, folder / ablation, metrics={"dataset": "cub"}))
        assert main(["eval", "--checkpoint", str(paths[-1]), "--data-root", str(root), "--workers", "0"]) == 0
    return paths


def test_compare_shows_figures_and_maps(
    checkpoints: list[Path], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    names = [str(path) for path in checkpoints]
    image = str(CUB(root, "test").records[0].path)
    assert main(["compare", *names, "--images", image, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    figures = [json.loads((path / "evaluation.json").read_text())["top1"] for path in checkpoints]
    assert all(f"{value:.2%} (" in shown for value in figures) and "gains:" in shown and "loses:" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"maps.pdf", "maps.png"}
    assert main(["compare", *names, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["checkpoints"]
    assert [own["figures"]["top1"] for own in found] == figures
    assert main(["compare", names[0]]) == 2
    assert "at least two" in capsys.readouterr().err


def test_an_evaluation_of_other_weights_is_not_compared(
    checkpoints: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = save_checkpoint(create_model("test_vit", 3, img_size=32), tmp_path / "other")
    assert main(["compare", str(checkpoints[0]), str(other)]) == 2
    assert f"{other} has no evaluation.json: run dcal eval --checkpoint {other}" in capsys.readouterr().err
    (other / "evaluation.json").write_bytes((checkpoints[0] / "evaluation.json").read_bytes())
    assert main(["compare", str(checkpoints[0]), str(other)]) == 2
    assert "is of other weights" in capsys.readouterr().err


def test_the_papers_figures(checkpoints: list[Path], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--dataset", "cub", "--paper_figures", "--data_root", str(root), "--out", str(tmp_path)]
    assert main(["visualize", "--checkpoint", str(checkpoints[1]), *words]) == 0
    names = ("rollout", "attention", "baseline", "ratio", "ablations")
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.{end}" for name in names for end in ("pdf", "png")}
    assert all(path.stat().st_size > 3000 for path in tmp_path.iterdir())
    capsys.readouterr()
    assert main(["visualize", "--checkpoint", str(checkpoints[0]), *words, "--json"]) == 0
    printed = capsys.readouterr()
    assert "baseline: not drawn" in printed.err and "ratio: not drawn, sa_only has no GLCA branch" in printed.err
    drawn = {own["figure"]: own for own in json.loads(printed.out)["figures"]}
    assert drawn["ratio"]["files"] == [] and "no GLCA branch" in drawn["ratio"]["problem"]
    assert [Path(file).name for file in drawn["rollout"]["files"]] == ["rollout.pdf", "rollout.png"]


def test_ranked_lists_of_re_identification(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from dcal.evaluation.config import EvalConfig
    from dcal.evaluation.curves import ranked_lists, ratio_curve
    from dcal.evaluation.run import ReIDEvaluation, open_evaluation

    table = write_coloured(tmp_path, train=2, test=4)
    model = create_model("test_vit", 2, task="reid", img_size=32, top_ratio=0.5).eval()
    checkpoint = save_checkpoint(model, tmp_path / "model")
    words = ["--dataset", "reid-csv", "--data_root", str(table), "--paper_figures", "--out", str(tmp_path / "out")]
    assert main(["visualize", "--checkpoint", str(checkpoint), *words]) == 0
    assert (tmp_path / "out" / "rankings.pdf").is_file()
    evaluation = open_evaluation(EvalConfig(checkpoint=str(checkpoint), dataset="reid-csv", data_root=table, workers=0))
    assert isinstance(evaluation, ReIDEvaluation)
    lists = ranked_lists(evaluation, queries=2, length=3)
    assert len(lists) == 2
    for own in lists:
        identity = own.query.name.partition("_")[0]
        cosines = [cosine for _, cosine, _ in own.hits]
        assert len(own.hits) == 3 and max(cosines) <= 1 + 1e-6 and cosines == sorted(cosines, reverse=True)
        assert all(right == (path.name.partition("_")[0] == identity) for path, _, right in own.hits)
    curve = ratio_curve(evaluation, (0.5, 1.0))
    evaluation.figures(lambda *values: None)
    assert curve.whole[0] == pytest.approx(evaluation.qualities.summary()["mAP"], abs=1e-6)


def test_the_curve_at_the_trained_ratio_is_the_evaluation(checkpoints: list[Path], root: Path):
    from dcal.evaluation.config import EvalConfig
    from dcal.evaluation.curves import ratio_curve
    from dcal.evaluation.run import open_evaluation

    evaluation = open_evaluation(EvalConfig(checkpoint=str(checkpoints[1]), data_root=root, workers=0))
    curve = ratio_curve(evaluation, (0.5, 1.0))
    kept = json.loads((checkpoints[1] / "evaluation.json").read_text())
    assert (curve.whole[0], curve.glca[0], curve.images) == (kept["top1"], kept["glca_top1"], kept["n"])


# A process, because the Hub's address is read when its library is imported: with the right token, and with a wrong one.
PUSH = """
import os, sys
from dcal_explorer.cli.main import main
assert main(sys.argv[1:]) == 0
os.environ["HF_TOKEN"] = "wrong"
sys.exit(main(sys.argv[1:]))
"""


def test_push_sends_the_checkpoint_and_nothing_else(
    checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (checkpoints[1] / "gallery").mkdir(exist_ok=True)
    (checkpoints[1] / "gallery" / "images.csv").write_text("somebody's images")
    with hub() as server:
        environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.address, "HF_TOKEN": "mine"}
        environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'app'}", "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", PUSH, "push", str(checkpoints[1]), "me/birds"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2, done.stderr  # the second one's
    assert f"uploaded: {server.address}" in done.stdout
    assert {"model.safetensors", "config.json", "README.md", "evaluation.json"} <= server.files.keys()
    assert not any("gallery" in name for name in server.files)
    assert server.files["model.safetensors"] == (checkpoints[1] / "model.safetensors").read_bytes()
    assert done.stderr.count("the Hub refused me/birds") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ex"], ["export"]),
        (["train", "--ablation", "sa_"], ["sa_only", "sa_glca", "sa_pwca"]),
        (["train", "--dataset", "yar"], ["yard"]),
        (["train", "--num-g"], ["--num-glca-layers"]),
        (["index", "b"], ["build"]),
        (["predict", "--top"], ["--top"]),
    ],
    ids=str,
)
def test_a_shell_completes_words(completions: Path, words: list[str], expected: list[str]):
    line = " ".join(f"'{word}'" for word in ["dcal", *words])
    program = f"source {completions}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _dcal; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected and not done.stderr


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shell") / "dcal"
    path.write_text(script())
    assert all(name in path.read_text() for name in (*COMMANDS, *DATASETS, *ABLATIONS))
    return path


def test_completion_prints_the_script(capsys: pytest.CaptureFixture[str]):
    for shell in ("bash", "zsh"):
        assert main(["completion", shell]) == 0
        assert ("bashcompinit" in capsys.readouterr().out) == (shell == "zsh")

"""`dcal eval`: the record, where it is written, and what is refused before minutes are spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch.utils.data import DataLoader

import dcal
from dcal.analysis.config import AnalysisConfig
from dcal.data.fgvc.cub import CUB
from dcal.data.samples import ImageSamples
from dcal.errors import DCALError
from dcal.evaluation.classification import evaluate
from dcal.evaluation.config import EvalConfig
from dcal.evaluation.image_results import read_image_results
from dcal.evaluation.predictions import Predictions
from dcal.evaluation.run import keep, measure
from dcal.model.checkpoint import file_hash, load_checkpoint, save_checkpoint
from dcal.model.dcal import create_model
from dcal.preprocess import Preprocess
from dcal_explorer.cli.main import main
from tests.fixtures.tiny_cub import write_cub

SIZE = (48, 80)  # of patches of 16 pixels


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cub(tmp_path_factory.mktemp("data"))


@pytest.fixture
def checkpoint(root: Path, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    options: dict[str, Any] = {"classes": CUB(root).classes, "preprocess": Preprocess(size=SIZE)}
    return save_checkpoint(create_model("test_vit", 3, img_size=SIZE, **options).eval(), tmp_path / "tiny")


def config(root: Path, checkpoint: Path | str, **changes: Any) -> EvalConfig:
    return EvalConfig(**{"checkpoint": str(checkpoint), "data_root": root, "workers": 0, "device": "cpu", **changes})


def test_the_record_and_its_file(root: Path, checkpoint: Path):
    record, said = measure(config(root, checkpoint))
    model, data = load_checkpoint(checkpoint), CUB(root, "test")
    found = evaluate(model, DataLoader(ImageSamples(data.records, model.config.preprocess), batch_size=9))
    assert record["top1"] == top_k_accuracy_score(found.labels, found.fused, k=1, labels=range(3))
    assert record["fingerprint"] == file_hash(checkpoint / "model.safetensors")
    assert record["dataset"] == str(data) and record["torch"] == torch.__version__ and record["n"] == 9
    assert record["command"] == "dcal eval --checkpoint tiny --data-root CUB_200_2011 --workers 0 --device cpu"
    assert list(record)[:10] == [
        *("checkpoint", "fingerprint", "dataset", "n", "top1", "top5", "sa_top1", "sa_top5", "glca_top1", "glca_top5")
    ]
    assert said == [f"written: {checkpoint / name}" for name in ("evaluation.json", "predictions.npz")]
    assert "analysis" not in record
    assert json.loads((checkpoint / "evaluation.json").read_text()) == record
    assert {path.name for path in checkpoint.iterdir()} == {
        *("config.json", "model.safetensors", "metrics.json", "README.md", "evaluation.json", "predictions.npz")
    }


def test_the_answers_to_each_image_are_kept(root: Path, checkpoint: Path):
    record, _ = measure(config(root, checkpoint))
    found = read_image_results(checkpoint, record["fingerprint"])
    assert found is not None and isinstance(found.answers, Predictions)
    data = CUB(root, "test")
    assert [root / "images" / name.removeprefix("images/") for name in found.images] == [r.path for r in data.records]
    assert found.answers.labels.tolist() == [r.label for r in data.records] and found.classes == data.classes
    for branch, name in (("fused", "top1"), ("sa", "sa_top1"), ("glca", "glca_top1")):
        assert found.answers.correct(branch).mean() == record[name]
    model = load_checkpoint(checkpoint)
    seen = dcal.inspect(model, data.records[4].path)
    assert found.answers.confidence["fused"][4] == pytest.approx(seen.top(1)[0][1], abs=1e-5)
    for name, own in (("rollout", seen.sa_map), ("glca_input", seen.glca_input_map)):
        assert own is not None
        np.testing.assert_allclose(found.maps[name][4], own / own.max() * 255, atol=0.51)  # 3 × 5 patches: no pooling
    assert load_checkpoint(checkpoint).config == model.config
    save_checkpoint(model, checkpoint)  # they are no stranger's files


def test_the_analysis_has_a_file_of_its_own(root: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--images", "4", "--images-erased", "2", "--images-randomised", "1", "--steps", "2", "--workers", "0"]
    line = ["eval", "--checkpoint", str(checkpoint), "--data-root", str(root), "--analysis", *words, "--fill", "blur"]
    assert main([*line, "--json"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)  # exactly one object on the standard output
    assert printed.err.count("written: ") == 3
    kept = json.loads((checkpoint / "analysis.json").read_text())
    assert kept["fingerprint"] == record["fingerprint"] and kept["maps"] == record["analysis"]["maps"]
    assert kept["study"] == {
        "images": 4,
        "images_erased": 2,
        "images_randomised": 1,
        "pairs": 20,
        "pairs_occluded": 5,
        "steps": 2,
        "fill": "blur",
        "seed": 0,
    }
    assert kept["images"] == {"pointing": 4, "energy": 4, "parts": 4, "deletion": 2, "insertion": 2}
    assert kept["command"].endswith(
        "--analysis --images 4 --images-erased 2 --images-randomised 1 --steps 2 --fill blur"
    )
    before = (checkpoint / "analysis.json").read_bytes()
    assert main([*line[:5], "--workers", "0"]) == 0  # a quick one later leaves it alone
    assert (checkpoint / "analysis.json").read_bytes() == before


def test_tables_show_the_records_figures(root: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--analysis", "--images-erased", "2", "--images-randomised", "1", "--steps", "2", "--workers", "0"]
    assert main(["eval", "--checkpoint", str(checkpoint), "--data-root", str(root), *words]) == 0
    shown = capsys.readouterr().out
    maps = json.loads((checkpoint / "analysis.json").read_text())["maps"]
    lines = {line[:30].strip(): line for line in shown.splitlines()}
    for name, start in (("raw", "raw attention of the last laye"), ("centre", "control: centre prior")):
        for measure_name in ("pointing", "energy", "deletion"):
            assert f"{maps[name][measure_name]['mean']:.3f} (" in lines[start]
    assert "chance" in shown and "block 6" in shown and "hardest classes" in shown and "pointing game ↑ (9)" in shown
    assert "energy in box ↑ (9)" in shown and "deletion ↓ (2)" in shown and "randomised, 1 images" in shown


def test_another_place(root: Path, checkpoint: Path, tmp_path: Path):
    out = tmp_path / "some" / "where"
    record, said = measure(config(root, checkpoint, out=out))
    assert (
        said[0] == f"written: {out / 'evaluation.json'}" and json.loads((out / "evaluation.json").read_text()) == record
    )
    assert not (checkpoint / "evaluation.json").exists() and (out / "evaluation.json").stat().st_mode & 0o777 == 0o644
    with pytest.raises(DCALError, match=r"the results cannot go to .*config.json: .*Choose another --out"):
        measure(config(root, checkpoint, out=checkpoint / "config.json"))


def test_where_nothing_can_be_written_it_is_said(
    root: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dcal.evaluation.run.load_checkpoint", lambda source: load_checkpoint(checkpoint))
    _, said = measure(config(root, "owner/name"))  # a repository of the hub
    assert said == [
        f"{name} was not written: the checkpoint is not a directory. Choose a folder with --out"
        for name in ("evaluation.json", "predictions.npz")
    ]
    assert "cannot be written to: No such file or directory" in keep({}, tmp_path / "gone", "evaluation.json")


def test_a_file_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keep({"a": 1}, tmp_path, "evaluation.json")
    with pytest.raises(ValueError, match="not JSON compliant"):
        keep({"a": np.nan}, tmp_path, "evaluation.json")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep({"a": 2}, tmp_path, "evaluation.json")
    assert json.loads((tmp_path / "evaluation.json").read_text()) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda:0" if not torch.cuda.is_available() else "tpu"}, "device"),
        ({"dataset": "dogs"}, "unknown dataset 'dogs'"),
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
    ],
)
def test_what_is_refused(root: Path, checkpoint: Path, changes: dict[str, object], message: str):
    with pytest.raises(DCALError, match=message):
        measure(config(root, checkpoint, **changes))
    assert not (checkpoint / "evaluation.json").exists()
    with pytest.raises(DCALError, match="steps must be at least 1, got 0"):
        AnalysisConfig(steps=0)

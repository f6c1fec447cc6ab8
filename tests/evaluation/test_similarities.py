"""A calibration fitted by `dcal calibrate` on the training split, and what `dcal eval` measures of it on the test's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcal.data.reid.yard import Yard
from dcal.data.samples import ReIDSamples
from dcal.errors import CheckpointError, DCALError
from dcal.evaluation.config import EvalConfig
from dcal.evaluation.run import measure
from dcal.evaluation.similarities import calibrate
from dcal.model.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from dcal.model.dcal import create_model
from dcal.model.embeddings import embed
from dcal.preprocess import Preprocess
from dcal.retrieval.calibrate import fit_calibration
from dcal.retrieval.calibration import read_calibration, write_calibration
from dcal_explorer.cli.main import main
from tests.fixtures.tiny_reid import write_training_yard, write_yard

SIZE = (48, 80)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_yard(tmp_path_factory.mktemp("yard"))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another small yard, all of it for training."""
    return write_training_yard(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    options: dict[str, Any] = {"task": "reid", "preprocess": Preprocess(size=SIZE, crop_fraction=1.0), "top_ratio": 0.3}
    model = create_model("test_vit", 3, img_size=SIZE, **options).eval()
    return save_checkpoint(model, tmp_path_factory.mktemp("models") / "tiny")


def test_it_is_fitted_on_the_training_split_alone(training: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["calibrate", str(checkpoint), "yard", str(training), "--workers", "0", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    model, data = load_checkpoint(checkpoint), Yard(training, "train")
    samples = ReIDSamples(data.records, model.config.preprocess)
    rows = embed(model, [torch.stack([samples[i][0] for i in range(len(samples))])]).joined
    identities, cameras = (np.array([getattr(r, name) for r in data.records]) for name in ("identity", "camera"))
    expected = fit_calibration(rows, identities, cameras, fingerprint(model), str(data))
    found = read_calibration(checkpoint, fingerprint(model))
    assert found is not None and found.fitted_on == str(data) and "train split" in shown
    assert found.across.matches == expected.across.matches and found.across.pairs == expected.across.pairs
    asked = np.linspace(-1, 1, 50)
    np.testing.assert_allclose(found.across.probability(asked), expected.across.probability(asked), atol=0.02)
    assert found.new_below == pytest.approx(expected.new_below, abs=1e-4)


def test_an_evaluation_measures_it(
    root: Path, training: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    calibrate(checkpoint, "yard", training, workers=0, device="cpu")
    words = ("--checkpoint", checkpoint, "--data-root", root, "--task", "reid", "--dataset", "yard", "--workers", 0)
    assert main(["eval", *map(str, words), "--device", "cpu", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    record = json.loads((tmp_path / "evaluation.json").read_text())["similarities"]
    assert set(record) == {"mixed", "across", "fitted_on", "grouping"}
    own = record["across"]
    assert 0 <= own["calibration_error"] <= 1 and own["open_set"]["threshold_fitted"]
    assert f"ECE) over the ten most similar images: {own['calibration_error']:.3f}" in shown
    assert f"AUROC {own['open_set']['auroc']:.3f}" in shown
    assert f"{record['grouping']['groups']} groups for 4 identities" in shown


def test_an_evaluation_without_one(root: Path, training: Path, checkpoint: Path, tmp_path: Path):
    (checkpoint / "calibration.json").unlink(missing_ok=True)
    options: dict[str, Any] = {"data_root": root, "task": "reid", "dataset": "yard", "workers": 0, "device": "cpu"}
    record, _ = measure(EvalConfig(checkpoint=str(checkpoint), out=tmp_path, **options))
    assert set(record["similarities"]) == {"mixed", "across"}
    assert "calibration_error" not in record["similarities"]["across"]
    own = calibrate(checkpoint, "yard", training, workers=0, device="cpu")
    write_calibration(checkpoint, replace(own, fingerprint="ab" * 32))
    with pytest.raises(DCALError, match=r"calibration\.json was fitted with the weights abab"):
        measure(EvalConfig(checkpoint=str(checkpoint), out=tmp_path, **options))
    (checkpoint / "calibration.json").unlink()


def test_what_cannot_be_calibrated(root: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="is not a directory"):
        calibrate(tmp_path / "nowhere", "yard", root)
    model = create_model("test_vit", 3, img_size=SIZE, preprocess=Preprocess(size=SIZE)).eval()
    place = save_checkpoint(model, tmp_path / "birds")
    with pytest.raises(CheckpointError, match="task 'fgvc'"):
        calibrate(place, "yard", root)

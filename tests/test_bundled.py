"""What comes with the project: checkpoints that load, with honest cards, and samples that they can read."""

import json
import os
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

import dcal
from dcal.data.cub import CUB
from dcal.data.photos import Photos
from dcal.evaluate import evaluate

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = {f"cub50-{ablation}": ablation for ablation in dcal.ABLATIONS}
SAMPLES = sorted((ROOT / "app" / "samples").glob("*.webp"))


@pytest.fixture(scope="module", params=CHECKPOINTS)
def folder(request) -> Path:
    return ROOT / "checkpoints" / request.param


def test_it_is_what_its_name_says(folder):
    model = dcal.load(folder)
    assert model.config.ablation == CHECKPOINTS[folder.name]
    assert len(model.config.classes) == 50
    assert (model.glca is None) == ("glca" not in dcal.branches(CHECKPOINTS[folder.name]))
    assert dcal.fingerprint(model) == dcal.checkpoint.file_hash(folder / "model.safetensors")


def test_its_card_gives_its_measured_figures_and_terms(folder):
    metrics, card = dcal.read_metrics(folder), (folder / "README.md").read_text()
    assert metrics["n"] == 1389
    assert f"{metrics['top1']:.4f}" in card
    for said in ("non-commercial", "dcal train", metrics["hardware"], "Apache-2.0"):
        assert said in card


def test_its_evaluation_is_of_these_weights_and_says_the_same(folder):
    metrics, found = dcal.read_metrics(folder), json.loads((folder / "evaluation.json").read_text())
    assert found["fingerprint"] == dcal.checkpoint.file_hash(folder / "model.safetensors")
    for figure in ("n", "top1", "top5", "sa_top1", "sa_top5", *(name for name in metrics if name.startswith("glca"))):
        assert found[figure] == pytest.approx(metrics[figure], abs=1.5 / 1389), figure  # a photo more or less


def test_the_readme_s_table_is_the_measured_one(folder):
    """One photo is 0.07 %: figures in text go stale unseen."""
    row = next(
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| [`{folder.name}`]")
    )
    metrics = dcal.read_metrics(folder)
    cells = [cell.strip() for cell in row.split("|")[2:6]]
    for cell, figure in zip(cells, ("sa_top1", "glca_top1", "top1", "top5"), strict=True):
        assert cell.startswith(f"{metrics[figure]:.1%}".replace("%", " %") if figure in metrics else "–"), figure


@pytest.mark.skipif(
    "DCAL_CUB" not in os.environ, reason="set DCAL_CUB to the folder of CUB-200-2011's first 50 classes"
)
def test_measured_again_it_gives_its_card_s_figures(folder):
    model, data = dcal.load(folder), CUB(os.environ["DCAL_CUB"], "test")
    assert data.classes == model.config.classes
    found = evaluate(model, DataLoader(Photos(data.records, model.config.preprocess), batch_size=32)).summary()
    for figure, value in found.items():
        assert value == pytest.approx(dcal.read_metrics(folder)[figure], abs=1.5 / 1389), figure


def test_it_is_small_enough_to_be_cloned(folder):
    assert (folder / "model.safetensors").stat().st_size < 16_000_000


def test_there_are_samples_enough():
    assert len(SAMPLES) >= 4
    assert sum(path.stat().st_size for path in SAMPLES) < 1_500_000


@pytest.mark.parametrize(("sample", "name"), [("cardinal", "Cardinal"), ("indigo-bunting", "Indigo Bunting")])
def test_a_drawn_bird_is_recognised(folder, sample, name):
    seen = dcal.inspect(dcal.load(folder), ROOT / "app" / "samples" / f"{sample}.webp")
    assert seen.top(1)[0][0] == name


def test_every_sample_can_be_inspected():
    model = dcal.load(ROOT / "checkpoints" / "cub50-full")
    for path in SAMPLES:
        seen = dcal.inspect(model, path)
        assert seen.rollout.sum(axis=(1, 2)).max() <= 1 + 1e-5, path.name

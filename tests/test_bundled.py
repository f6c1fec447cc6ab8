"""What comes with the project: checkpoints that load, with honest cards, and samples that they can read."""

from pathlib import Path

import pytest

import dcal

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

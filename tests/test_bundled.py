"""What comes with the project: checkpoints that load, with honest cards, and samples that they can read.

The cards' figures can be measured again where CUB's images are (DCAL_CUB). They may not be redistributed, so CI shows
the two ends instead: the weights are those that were measured (by hash), and from the same weights the evaluation still
computes what it computed then, on images that may be here: `ANSWERS` has what it said of the drawn samples.
`python -m tests.test_bundled` writes ANSWERS anew; do so only when measuring again with DCAL_CUB has passed.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

import dcal
from dcal.data.fgvc.cub import CUB
from dcal.data.records import Record
from dcal.data.samples import ImageSamples
from dcal.evaluation.classification import evaluate
from dcal_explorer.content.places import SAMPLES as SAMPLE_FOLDER
from dcal_explorer.content.places import sample_images

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = {f"cub50-{ablation}": ablation for ablation in dcal.ABLATIONS}
SAMPLES = sample_images()
ANSWERS = Path(__file__).parent / "fixtures" / "bundled_answers.json"


def answers(folder: Path) -> dict[str, Any]:
    """The fingerprint and, of each drawn sample, every branch's three largest probabilities by class name."""
    model = dcal.load(folder)
    images = ImageSamples([Record(path, label=0) for path in SAMPLES], model.config.preprocess)
    found = evaluate(model, DataLoader(images, batch_size=3))
    told: dict[str, dict[str, dict[str, float]]] = {}
    branches = {"fused": found.fused, "sa": found.sa, "glca": found.glca}
    for branch, probabilities in branches.items():
        for path, row in zip(SAMPLES, [] if probabilities is None else probabilities, strict=probabilities is not None):
            largest = (-row).argsort(kind="stable")[:3].tolist()
            told.setdefault(path.stem, {})[branch] = {model.config.classes[i]: round(float(row[i]), 5) for i in largest}
    return {"fingerprint": dcal.fingerprint(model), "samples": told}


@pytest.fixture(scope="module", params=CHECKPOINTS)
def folder(request) -> Path:
    return ROOT / "checkpoints" / request.param


def test_it_is_what_its_name_says(folder):
    model = dcal.load(folder)
    assert model.config.ablation == CHECKPOINTS[folder.name]
    assert len(model.config.classes) == 50
    assert (model.glca is None) == ("glca" not in dcal.branches(CHECKPOINTS[folder.name]))
    assert dcal.fingerprint(model) == dcal.model.checkpoint.file_hash(folder / "model.safetensors")


def test_its_card_gives_its_measured_figures_and_terms(folder):
    metrics, card = dcal.read_metrics(folder), (folder / "README.md").read_text()
    assert metrics["n"] == 1389
    assert f"{metrics['top1']:.4f}" in card
    for said in ("non-commercial", "dcal train", metrics["hardware"], "Apache-2.0"):
        assert said in card


def test_its_evaluation_is_of_these_weights_and_says_the_same(folder):
    metrics, found = dcal.read_metrics(folder), json.loads((folder / "evaluation.json").read_text())
    assert found["fingerprint"] == dcal.model.checkpoint.file_hash(folder / "model.safetensors")
    for figure in ("n", "top1", "top5", "sa_top1", "sa_top5", *(name for name in metrics if name.startswith("glca"))):
        assert found[figure] == pytest.approx(metrics[figure], abs=1.5 / 1389), figure  # an image more or less


def readme_row(folder: Path) -> list[str]:
    """The cells of a checkpoint's row in the README's table, its name left out."""
    lines = (ROOT / "README.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| [`{folder.name}`]"))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_the_readme_s_table_is_the_measured_one(folder):
    """One image is 0.07 %: figures in text go stale unseen."""
    metrics, cells = dcal.read_metrics(folder), readme_row(folder)
    for cell, figure in zip(cells, ("sa_top1", "glca_top1", "top1", "top5"), strict=False):
        assert cell.startswith(f"{metrics[figure]:.1%}".replace("%", " %") if figure in metrics else "–"), figure
    low, high = json.loads((folder / "evaluation.json").read_text())["intervals"]["top1"]
    assert cells[2].endswith(f"({low * 100:.1f}–{high * 100:.1f})")
    assert cells[6] == f"{metrics['seconds'] / 60:.0f} min"


def test_the_readme_s_maps_are_the_analysed_ones(folder):
    found, cells = json.loads((folder / "analysis.json").read_text()), readme_row(folder)
    assert found["fingerprint"] == dcal.model.checkpoint.file_hash(folder / "model.safetensors")
    assert found["images"]["pointing"] == 500
    for cell, name in zip(cells[4:6], ("rollout", "glca"), strict=True):
        own = found["maps"].get(name)
        means = [] if own is None else [f"{own[measure]['mean']:.2f}" for measure in ("pointing", "energy", "parts")]
        assert cell == (" · ".join(means) or "–"), name


@pytest.mark.skipif(
    "DCAL_CUB" not in os.environ, reason="set DCAL_CUB to the folder of CUB-200-2011's first 50 classes"
)
def test_measured_again_it_gives_its_card_s_figures(folder):
    model, data = dcal.load(folder), CUB(os.environ["DCAL_CUB"], "test")
    assert data.classes == model.config.classes
    found = evaluate(model, DataLoader(ImageSamples(data.records, model.config.preprocess), batch_size=32)).summary()
    for figure, value in found.items():
        assert value == pytest.approx(dcal.read_metrics(folder)[figure], abs=1.5 / 1389), figure


def test_the_evaluation_still_computes_what_the_figures_came_from(folder):
    recorded, now = json.loads(ANSWERS.read_text())[folder.name], answers(folder)
    assert now["fingerprint"] == recorded["fingerprint"]
    assert now["samples"].keys() == recorded["samples"].keys()
    for sample, branches in recorded["samples"].items():
        assert branches.keys() == now["samples"][sample].keys()
        for branch, said in branches.items():
            assert now["samples"][sample][branch] == pytest.approx(said, abs=2e-3), (sample, branch)


def test_it_is_small_enough_to_be_cloned(folder):
    assert (folder / "model.safetensors").stat().st_size < 16_000_000


def test_there_are_samples_enough():
    assert len(SAMPLES) >= 4
    assert sum(path.stat().st_size for path in SAMPLES) < 1_500_000


@pytest.mark.parametrize(("sample", "name"), [("cardinal", "Cardinal"), ("indigo-bunting", "Indigo Bunting")])
def test_a_drawn_bird_is_recognised(folder, sample, name):
    seen = dcal.inspect(dcal.load(folder), SAMPLE_FOLDER / f"{sample}.webp")
    assert seen.top(1)[0][0] == name


def test_every_sample_can_be_inspected():
    model = dcal.load(ROOT / "checkpoints" / "cub50-full")
    for path in SAMPLES:
        seen = dcal.inspect(model, path)
        assert seen.rollout.sum(axis=(1, 2)).max() <= 1 + 1e-5, path.name


if __name__ == "__main__":
    ANSWERS.write_text(
        json.dumps({name: answers(ROOT / "checkpoints" / name) for name in CHECKPOINTS}, indent=1) + "\n"
    )

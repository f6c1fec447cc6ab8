"""The bundled Re-ID checkpoints, measured again on the bundled yard: their cards say what comes out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

import dcal
from dcal.data.reid.yard import Yard
from dcal.data.samples import ReIDSamples
from dcal.evaluation.reid import QueryGallery
from dcal.model.embeddings import Embeddings, embed

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = {f"reid-{ablation}": ablation for ablation in dcal.ABLATIONS}
STRESS = bool(os.environ.get("DCAL_STRESS"))
MEASURED = CHECKPOINTS if STRESS else ("reid-full",)  # again: all by `make stress`
EMBEDDED = slice(None) if STRESS else slice(0, None, 8)  # images embedded anew
RANKS = ("mAP", "mINP", "rank1", "rank5", "rank10")
YARD = Yard(split="query")
SIDES = QueryGallery(YARD.records, Yard(split="gallery").records)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def folder(request: pytest.FixtureRequest) -> Path:
    return ROOT / "checkpoints" / request.param


@pytest.fixture(scope="module", params=MEASURED)
def measured(request: pytest.FixtureRequest) -> Path:
    return ROOT / "checkpoints" / request.param


@pytest.fixture(scope="module")
def found(measured: Path) -> Embeddings:
    """All 320 test images of the yard, as the bundled gallery holds them: the branches side by side, scaled to 1."""
    kept = dcal.open_gallery(measured / "gallery").rows(np.arange(len(SIDES.images)))
    split = len([branch for branch in dcal.ABLATIONS[CHECKPOINTS[measured.name]] if branch != "pwca"])
    sa, *glca = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in np.split(kept, split, axis=1))
    return Embeddings(sa, *(glca or [None]))


def test_measured_again_it_gives_its_card_s_figures(measured: Path, found: Embeddings):
    evaluation, metrics = json.loads((measured / "evaluation.json").read_text()), dcal.read_metrics(measured)
    for figure, value in SIDES.judge(found).summary().items():
        for said in (evaluation[figure], metrics[figure]):  # a rank that rounding turns moves mAP by less
            assert value == pytest.approx(said, abs=1.5 / 320), figure


def test_its_gallery_holds_what_the_checkpoint_answers(measured: Path, found: Embeddings):
    """Images embedded anew, every eighth one; all of them by `make stress`."""
    gallery = dcal.open_gallery(measured / "gallery")
    gallery.check_model(dcal.model.checkpoint.file_hash(measured / "model.safetensors"))
    assert [(item.identity, item.camera) for item in gallery.items] == [
        (str(record.identity), str(record.camera)) for record in SIDES.gallery
    ]
    assert [Path(item.path).name for item in gallery.items] == [record.path.name for record in SIDES.gallery]
    model = dcal.load(measured)
    items = ReIDSamples(SIDES.gallery[EMBEDDED], model.config.preprocess)
    anew = embed(model, (images for images, _ in DataLoader(items, batch_size=32)))
    for branch, values in anew.branches().items():
        kept = found.branches()[branch][EMBEDDED]
        cosines = (kept * values).sum(axis=1) / np.linalg.norm(kept, axis=1) / np.linalg.norm(values, axis=1)
        assert len(cosines) >= 40 and cosines.min() > 1 - 1e-4, branch  # stored in half precision


def test_it_is_what_its_name_says(folder: Path):
    config = dcal.load(folder).config
    assert (config.ablation, config.task) == (CHECKPOINTS[folder.name], "reid")
    assert config.num_classes == 80 + 507  # the yard's and vehicle2cam's training identities
    evaluation, weights = json.loads((folder / "evaluation.json").read_text()), folder / "model.safetensors"
    assert evaluation["fingerprint"] == dcal.model.checkpoint.file_hash(weights) and weights.stat().st_size < 16_000_000
    analysis = json.loads((folder / "analysis.json").read_text())
    assert analysis["fingerprint"] == evaluation["fingerprint"] and analysis["pairs"] == 20


def test_its_card_names_its_data_and_their_terms(folder: Path):
    card = (folder / "README.md").read_text()
    for said in ("the yard", "MIT", "vehicle2cam", "Apache-2.0", "dcal train --dataset yard", "rider"):
        assert said in card, said
    assert f"{dcal.read_metrics(folder)['mAP']:.4f}" in card


def test_the_document_s_rows_are_the_measured_ones(folder: Path):
    """docs/reid.md: figures in text go stale unseen."""
    evaluation, analysis = (json.loads((folder / f"{name}.json").read_text()) for name in ("evaluation", "analysis"))

    def shown(value: float, interval: list[float] | None = None) -> str:
        return f"{value * 100:.1f}" + (f" ({interval[0] * 100:.1f}–{interval[1] * 100:.1f})" if interval else "")

    def mean(own: dict[str, float] | None) -> str:
        return "–" if own is None else f"{own['mean']:.2f} ({own['low']:.2f}–{own['high']:.2f})"

    def percent(own: dict[str, float] | None) -> str:
        return mean(own and {name: value * 100 for name, value in own.items() if name in ("mean", "low", "high")})

    across, dense, share = evaluation["across_cameras"], analysis["density"], analysis["share"]
    rankings = [shown(evaluation["mAP"], evaluation["intervals"]["mAP"]), shown(evaluation["rank5"])]
    rankings += [shown(across[name], across["intervals"][name]) for name in ("mAP", "rank1")]
    rankings += [shown(evaluation["reranked"]["mAP"])]
    names = ("rollout", "glca", "same/fused", "twin/fused", "rather/fused")
    maps = [mean(analysis["told_apart"]["joined"]), *(mean(dense.get(name)) for name in names)]
    sections = re.split(r"(?m)^## ", (ROOT / "docs" / "reid.md").read_text())
    lines = [
        line for section in sections if section.startswith(("Rankings\n", "Twins\n")) for line in section.splitlines()
    ]
    rows = [
        [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if line.startswith(f"| `{folder.name}` |")
    ]
    assert rows == [rankings, maps, [percent(share.get(name)) for name in names]]


def test_the_document_s_evidence_is_the_measured_one(folder: Path):
    """docs/reid.md has a row for each branch, of the similarity and of the margin; of what is not measured, none."""
    evidence = json.loads((folder / "analysis.json").read_text()).get("evidence", {"targets": {}})
    sections = re.split(r"(?m)^## ", (ROOT / "docs" / "reid.md").read_text())
    lines = [line for section in sections if section.startswith("Match evidence\n") for line in section.splitlines()]
    rows = [line for line in lines if line.startswith(f"| `{folder.name}`, ")]

    def shown(own: dict[str, float]) -> str:
        return f"{own['mean']:.3f} ± {own['se']:.3f}".replace("-", "−")

    expected = []
    for branches in evidence["targets"].values():
        for branch, maps in branches.items():
            worth = {name: own["worth"] for name, own in maps.items()}
            cells = [shown(worth[name]) for name in ("relevance", "rollout", "centre", "random", "occlusion")]
            ratio = worth["relevance"]["mean"] / worth["centre"]["mean"]
            name = {"sa": "SA", "glca": "GLCA", "fused": "SA + GLCA"}[branch]
            cells = [f"`{folder.name}`, {name}", f"**{cells[0]}**", *cells[1:], f"{ratio:.2f}"]
            expected.append(f"| {' | '.join(cells)} |")
            assert worth["relevance"]["mean"] > max(worth[name]["mean"] for name in ("rollout", "centre", "random"))
    assert rows == expected


def test_the_readme_s_row_is_the_measured_one(folder: Path):
    lines = (ROOT / "README.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| [`{folder.name}`]"))
    evaluation, analysis = (json.loads((folder / f"{name}.json").read_text()) for name in ("evaluation", "analysis"))
    low, high = evaluation["intervals"]["mAP"]
    metrics, told = dcal.read_metrics(folder), analysis["told_apart"]["joined"]
    assert [cell.strip() for cell in row.split("|")[2:8]] == [
        f"{evaluation['mAP'] * 100:.1f} % ({low * 100:.1f}–{high * 100:.1f})",
        f"{evaluation['rank1'] * 100:.1f} %",
        f"{metrics['vehicle2cam_mAP'] * 100:.1f} %",
        f"{metrics['vehicle2cam_rank1'] * 100:.1f} %",
        f"{told['mean']:.2f} ({told['low']:.2f}–{told['high']:.2f})",
        f"{metrics['seconds'] / 60:.0f} min",
    ]


def test_the_document_says_how_often_a_wrong_image_is_the_twin(measured: Path, found: Embeddings):
    """Of the queries whose nearest image by another camera shows another vehicle: whose twin it is, in per cent."""
    items, similarities = SIDES.images, found.joined @ found.joined.T
    wrong = twins = 0
    for row, query in enumerate(items):
        others = [column for column, item in enumerate(items) if item.camera != query.camera]
        nearest = items[max(others, key=similarities[row].__getitem__)]
        wrong += nearest.identity != query.identity
        twins += nearest.identity == YARD.records[row].twin
    text = " ".join((ROOT / "docs" / "reid.md").read_text().split())
    sentence = text.split("that is the twin for ")[1].split(". ")[0]  # "91 % (`sa_only`), 84 % (`sa_glca` and …"
    (said,) = (
        int(share)
        for share, names in re.findall(r"(\d+) % \(([^)]*)\)", sentence)
        if f"`{CHECKPOINTS[measured.name]}`" in names
    )
    assert twins / wrong == pytest.approx(said / 100, abs=0.012)  # an image or two that rounding turns

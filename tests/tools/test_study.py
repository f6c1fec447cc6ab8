"""The study's tools: statistics against hand-computed cases, the queue end to end on a tiny data set, the report."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from dcal.data import DATASETS
from dcal.errors import DCALError
from dcal.evaluation.predictions import Predictions
from dcal.training.run_log import read_run_log
from tests.fixtures.forked import forked
from tests.fixtures.tiny_cub import write_cub
from tools.study import report as reporting
from tools.study.compare import pairs_of, pooled_of
from tools.study.curve import slim, slim_log
from tools.study.few_shot import few_shot
from tools.study.plan import PLAN, Run, chosen
from tools.study.queue import ROOT, Places, collect, state, train, work
from tools.study.results import Result, medians, read_predictions, read_results, write_predictions
from tools.study.statistics import crossed_difference, image_difference, mcnemar, mean_and_deviation
from tools.study.tables import markdown

# --- statistics -------------------------------------------------------------------------------------------------------


def right(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def test_mcnemar_by_hand():
    """One image only the first has right, five only the second: p = 2 · (C(6,0) + C(6,1)) / 2^6 = 14 / 64."""
    found = mcnemar(right("1 1 1 0 0 0 0 0 0".replace(" ", "")), right("110111110"[:9].replace(" ", "")))
    assert (found.only_first, found.only_second) == (1, 5)
    assert found.p == pytest.approx(14 / 64)


def test_mcnemar_of_equal_models_is_one():
    assert mcnemar(right("1010"), right("1010")).p == 1.0


def test_mcnemar_of_a_tie_is_one_and_of_one_sided_errors_small():
    assert mcnemar(right("10"), right("01")).p == pytest.approx(1.0)
    assert mcnemar(right("1" * 10), right("0" * 10)).p == pytest.approx(2 / 2**10)


def test_paired_comparisons_refuse_different_numbers_of_images():
    with pytest.raises(DCALError, match=r"\(3,\) and \(2,\)"):
        mcnemar(right("101"), right("10"))


def test_deviation_is_the_samples():
    """Of 0.8, 0.9 and 1.0: √((0.01 + 0 + 0.01) / 2) = 0.1."""
    assert mean_and_deviation([0.8, 0.9, 1.0]) == (pytest.approx(0.9), pytest.approx(0.1))
    mean, deviation = mean_and_deviation([0.5])
    assert mean == 0.5
    assert math.isnan(deviation)


def test_crossed_bootstrap_draws_seeds():
    """Seed 0 differs by 0 and seed 1 by 1 on every image: resampled means are 0, ½ and 1 with ¼, ½ and ¼."""
    first = np.stack([np.zeros(7), np.ones(7)])
    found = crossed_difference(first, np.zeros((2, 7)))
    assert (found.mean, found.low, found.high) == (pytest.approx(0.5), pytest.approx(0), pytest.approx(1))


def test_crossed_bootstrap_draws_images_alike_for_all_seeds():
    """Where seeds agree only images matter: mean 0.3, standard error √(0.3 · 0.7 / n), as for one seed."""
    values = np.repeat([1.0, 0.0], [300, 700])
    crossed = crossed_difference(np.stack([values] * 3), np.zeros((3, 1000)))
    alone = image_difference(values, np.zeros(1000))
    half = 1.96 * math.sqrt(0.3 * 0.7 / 1000)
    for found in (crossed, alone):
        assert found.mean == pytest.approx(0.3)
        assert (found.low, found.high) == (pytest.approx(0.3 - half, abs=2e-3), pytest.approx(0.3 + half, abs=2e-3))


def test_crossed_bootstrap_refuses_one_seed():
    with pytest.raises(DCALError, match="two or more, got 1"):
        crossed_difference(np.ones((1, 5)), np.zeros((1, 5)))


# --- predictions, curve, table ----------------------------------------------------------------------------------------


def predictions(correct: str, images: str = "same", glca: bool = True) -> Predictions:
    """A model that is right where `correct` has a 1; the label is 2, its probability 0.6 or 0.25."""
    hits = right(correct)
    branches = ("fused", "sa", "glca") if glca else ("fused", "sa")
    own = np.where(hits, 0.6, 0.25)
    return Predictions(
        images,
        np.full(len(hits), 2),
        {branch: np.where(hits, 2, 4) for branch in branches},
        {branch: np.where(hits, 0.6, 0.5) for branch in branches},
        {branch: own for branch in branches},
    )


@pytest.mark.parametrize("glca", [True, False])
def test_predictions_come_back(tmp_path, glca):
    made = predictions("10110", glca=glca)
    write_predictions(made, tmp_path / "test.csv")
    found = read_predictions(tmp_path / "test.csv", "same")
    assert found.predicted.keys() == made.predicted.keys()
    for branch in made.predicted:
        np.testing.assert_array_equal(found.correct(branch), right("10110"))
        np.testing.assert_allclose(found.loss(branch), -np.log([0.6, 0.25, 0.6, 0.6, 0.25]))


def test_curve_weighs_lines_by_their_steps(tmp_path):
    """Steps 1–10 at a loss of 4 and 11–13 at 1: (10 · 4 + 3 · 1) / 13; the cut line is left out."""

    def line(epoch: int, step: int, loss: float) -> dict:
        numbers = {"losses": {"sa": loss}, "accuracies": {"sa": 0.5}, "loss_weights": {}, "images_per_second": 7.0}
        return {"epoch": epoch, "step": step, **numbers}

    lines = [line(0, 10, 4.0), line(0, 13, 1.0), {"epoch": 0, "step": 13, "split": "test", "n": 9, "top1": 0.25}]
    lines += [line(1, 20, 2.0)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines) + '{"epoch": 1, "st')
    first, second = slim(tmp_path / "log.jsonl")
    assert first["loss_sa"] == pytest.approx(43 / 13)
    assert (first["epoch"], first["step"], first["eval_top1"]) == (1, 13, 0.25)
    assert (second["epoch"], second["loss_sa"]) == (2, 2.0)
    assert "eval_top1" not in second


def test_a_slim_log_is_the_same_log_with_four_digits(tmp_path):
    lines = [{"epoch": 0, "step": 12345, "losses": {"sa": 1.23456}, "memory_mib": 9.5, "shares": [0.333333, 1]}]
    (tmp_path / "log.jsonl").write_text(json.dumps(lines[0]) + '\n{"epoch": 1, "st')
    expected = {"epoch": 0, "step": 12345, "losses": {"sa": 1.235}, "shares": [0.3333, 1]}
    assert [json.loads(line) for line in slim_log(tmp_path / "log.jsonl").splitlines()] == [expected]


def test_the_logs_that_are_kept_are_those_of_the_median_seeds():
    """With docs/results/study/<run>/log.jsonl the dashboard's page of runs has something to show."""
    kept = {path.parent.name for path in (ROOT / "docs/results/study").glob("*/log.jsonl")}
    assert kept == set(medians(read_results(ROOT / "docs/results/study"))) and len(kept) == 4
    for name in kept:
        log = read_run_log(ROOT / "docs/results/study" / name)
        assert not log.note and log.steps and log.evaluations[-1]["exported"]


def test_a_table_refuses_a_row_of_another_width():
    with pytest.raises(ValueError, match="3 cells under 2"):
        markdown(("a", "b"), [("1", "2", "3")])


# --- few images, the plan ---------------------------------------------------------------------------------------------


def test_few_shot_holds_out_only_training_images(tmp_path):
    root = write_cub(tmp_path, train=5, test=3)
    out = few_shot(root, tmp_path / "few", per_class=2, seed=1)
    kept, held, official, test = (
        {record.path.name + str(record.label) for record in DATASETS["cub"](folder, split).records}
        for folder, split in ((out, "train"), (out, "test"), (root, "train"), (root, "test"))
    )
    assert (len(kept), len(held)) == (6, 9)
    assert kept | held == official
    assert not (kept | held) & test
    other = {
        record.path.name + str(record.label) for record in DATASETS["cub"](few_shot(root, tmp_path / "2", 2, 2)).records
    }
    assert other != kept, "the seed draws"


def test_few_shot_refuses_to_hold_out_nothing(tmp_path):
    root = write_cub(tmp_path, train=4)
    with pytest.raises(DCALError, match="4 training images: 4 leave none"):
        few_shot(root, tmp_path / "few", per_class=4, seed=0)


def test_names_are_unique_and_unknown_ones_are_refused():
    assert len({run.name for run in PLAN}) == len(PLAN)
    assert [run.name for run in chosen(["final-full-s1"])] == ["final-full-s1"]
    with pytest.raises(DCALError, match="no run's name begins with 'finale'"):
        chosen(["finale"])


# --- the queue and the report -----------------------------------------------------------------------------------------

TINY = ("--backbone", "test_vit", "--img-size", "32", "--epochs", "2", "--batch-size", "4", "--top-ratio", "0.3")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "weights.safetensors")
    return Places(
        write_cub(tmp_path, train=6), tmp_path / "weights.safetensors", tmp_path / "out", tmp_path / "results"
    )


TRAIN = "import sys, dcal_explorer.cli.main as cli; sys.exit(cli.main(['train', *sys.argv[1:]]))"


def test_the_queue_trains_judges_reports_and_does_nothing_twice(places, monkeypatch):
    run_process = subprocess.run

    def run(command, **options):
        """Training without importing PyTorch anew; that its process is started is the next test's."""
        if command[:3] != [sys.executable, "-m", "dcal.train"]:
            return run_process(command, **options)
        done = forked(TRAIN, *command[3:])
        assert done.returncode == 0, done.stderr
        return done

    monkeypatch.setattr("tools.study.queue.subprocess.run", run)
    runs = [Run("few", ablation, 0, options=TINY, per_class=4) for ablation in ("full", "sa_only")]
    assert state(runs[0], places) == "not begun"
    work(runs, places, ("--workers", "0"))
    assert state(runs[0], places) == "finished"
    results = read_results(places.results)
    full = results["few-full-s0"]
    assert [line["epoch"] for line in full.curve] == [1, 2]
    assert full.splits["test"].correct("fused").mean() == pytest.approx(full.curve[-1]["eval_top1"], abs=1)
    assert len(full.splits["held_out"].labels) == 6
    assert full.splits["held_out"].correct("sa").mean() == full.about["metrics"]["sa_top1"]
    before = {path: path.stat().st_mtime_ns for path in places.results.rglob("*")}
    work(runs, places, ("--no-such-option",))  # which would fail if anything were trained
    assert {path: path.stat().st_mtime_ns for path in places.results.rglob("*")} == before
    text = reporting.report(results)
    assert "`full` − `sa_only`" in text
    assert "`full`, SA alone − `sa_only`" in text


def test_the_tree_given_by_code_is_the_one_that_trains(places, tmp_path):
    """Whatever the working directory, which `python -m` looks into first."""
    places = replace(places, code=tmp_path / "code")
    (places.code / "dcal").mkdir(parents=True)
    (places.code / "dcal" / "train.py").write_text("import sys\nsys.exit(7)\n")
    with pytest.raises(subprocess.CalledProcessError) as error:
        train(Run("few", "full", 0, options=TINY), places, ())
    assert error.value.returncode == 7


def test_an_unfinished_run_is_written_down_as_partial(places):
    run = Run("few", "full", 0, options=TINY, per_class=4)
    log = places.out / run.name / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({"epoch": 2, "step": 9, "split": "test", "top1": 0.5}) + "\n")
    collect([run], places)
    assert state(run, places) == "in epoch 3"
    text = reporting.report(read_results(places.results))
    assert "**partial: `few-full-s0` (in epoch 3)**" in text


def result(ablation: str, seed: int, correct: str, images: str = "same") -> Result:
    about = {"name": f"{ablation}{seed}", "tier": "final", "ablation": ablation, "recipe": "base", "seed": seed}
    return Result({**about, "finished": True}, [], {"test": predictions(correct, images, ablation == "full")})


def test_comparisons_pair_images_and_seeds():
    runs = [
        result("full", 0, "1111"),
        result("full", 1, "1110"),
        result("sa_only", 0, "1000"),
        result("sa_only", 1, "1010"),
    ]
    pair = next(pair for pair in pairs_of(runs, "test") if pair.seed == 0)
    assert (pair.title, pair.test.only_first, pair.test.only_second) == ("`full` − `sa_only`", 3, 0)
    assert pair.test.p == pytest.approx(2 / 2**3)
    assert pair.loss.mean == pytest.approx(0.75 * math.log(0.25 / 0.6))
    pooled = pooled_of(runs, "test")[0]
    assert pooled.seeds == "0 1"
    assert pooled.top1.mean == pytest.approx((0.75 + 0.25) / 2)


def test_models_of_different_images_are_not_compared():
    with pytest.raises(DCALError, match="different images"):
        pairs_of([result("full", 0, "11"), result("sa_only", 0, "10", images="others")], "test")


def test_the_kept_report_is_what_the_kept_results_give():
    results = ROOT / "docs" / "results" / "study"
    assert (results / "README.md").read_text(encoding="utf-8") == reporting.report(read_results(results))

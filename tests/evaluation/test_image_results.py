"""predictions.npz: what comes back, what is refused; coarse maps against a loop over patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcal.errors import DCALError
from dcal.evaluation.classification import Evaluation
from dcal.evaluation.classification_report import calibration_error
from dcal.evaluation.coarse_maps import SIDE, MapRecorder, coarse, moved, shares
from dcal.evaluation.image_results import PREDICTIONS, ImageResults, packed, read_image_results
from dcal.evaluation.predictions import Predictions, QueryRanks, as_predictions
from dcal.model.dcal import create_model

N = 5
RANDOM = np.random.default_rng(0)
MAPS = {"rollout": coarse(RANDOM.random((N, 3, 11))), "raw": coarse(RANDOM.random((N, 3, 11)))}


def classified() -> ImageResults:
    branches = ("fused", "sa", "glca")
    numbers = {branch: RANDOM.random(N).astype(np.float32) for branch in branches}
    predicted = {branch: RANDOM.integers(0, 3, N) for branch in branches}
    answers = Predictions("digest", np.array([0, 1, 2, 1, 0]), predicted, numbers, numbers)
    images = tuple(f"images/Möwe {number}.jpg" for number in range(N))
    return ImageResults("abc", "birds, test split", "squash", images, answers, MAPS, ("a", "b", "c"))


def ranked() -> ImageResults:
    ap = np.array([0.5, np.nan, 1, 0.25, 0.125], dtype=np.float32)
    answers = QueryRanks(("7", "7", "8", "8", "x"), np.arange(N), {"joined": ap}, {"joined": np.array([2, 0, 1, 4, 8])})
    return replace(classified(), answers=answers, classes=())


def written(folder: Path, found: ImageResults) -> Path:
    (folder / PREDICTIONS).write_bytes(packed(found))
    return folder


def test_answers_and_maps_come_back(tmp_path: Path):
    made = classified()
    found = read_image_results(written(tmp_path, made), "abc")
    assert found is not None and isinstance(found.answers, Predictions) and isinstance(made.answers, Predictions)
    assert (found.images, found.classes, found.dataset) == (made.images, made.classes, made.dataset)
    for name in ("predicted", "confidence", "own"):
        for branch, values in getattr(made.answers, name).items():
            np.testing.assert_array_equal(getattr(found.answers, name)[branch], values)
    np.testing.assert_array_equal(found.maps["rollout"], MAPS["rollout"])
    assert packed(found) == packed(made)  # byte for byte


def test_rankings_come_back(tmp_path: Path):
    found = read_image_results(written(tmp_path, ranked()))
    assert found is not None and isinstance(found.answers, QueryRanks)
    assert found.answers.identities == ("7", "7", "8", "8", "x")
    np.testing.assert_array_equal(found.answers.ap["joined"], [0.5, np.nan, 1, 0.25, 0.125])


def test_none_of_other_weights_and_none_where_there_is_no_file(tmp_path: Path):
    assert read_image_results(tmp_path) is None
    assert read_image_results(written(tmp_path, classified()), "other") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", packed(classified())[:-40]])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / PREDICTIONS).write_bytes(content)
    with pytest.raises(DCALError, match=rf"{PREDICTIONS} cannot be read .*run dcal eval again"):
        read_image_results(tmp_path)


def test_parts_must_belong_together():
    with pytest.raises(DCALError, match=r"results of 4 images hold columns of \[5\] rows"):
        replace(classified(), images=tuple("abcd"))


@pytest.mark.parametrize(("rows", "cols"), [(3, 11), (14, 14), (16, 8)])
def test_coarse_maps_share_a_patch_between_the_cells_it_lies_in(rows: int, cols: int):
    maps = RANDOM.random((2, rows, cols))
    high, wide = min(rows, SIDE), min(cols, SIDE)
    fine = maps.repeat(high, axis=1).repeat(wide, axis=2)  # every patch cut into high × wide equal pieces
    pooled = fine.reshape(2, high, rows, wide, cols).sum(axis=(2, 4))
    np.testing.assert_allclose(coarse(maps), pooled / pooled.max(axis=(1, 2), keepdims=True) * 255, atol=0.501)
    assert shares(coarse(maps)).sum(axis=(1, 2)) == pytest.approx([1, 1])


def test_how_much_of_a_map_moves():
    left, right = np.zeros((1, 2, 3)), np.zeros((1, 2, 3))
    left[0, 0, 0], right[0, 0, 0], right[0, 1, 2] = 1, 1, 1
    assert moved(coarse(left), coarse(left)).tolist() == [0]
    assert moved(coarse(left), coarse(right)).tolist() == [0.5]
    with pytest.raises(DCALError, match=r"maps of \(1, 2, 3\) and \(5, 3, 7\) cells"):
        moved(coarse(left), MAPS["rollout"])
    with pytest.raises(DCALError, match="not all 0"):
        coarse(np.zeros((1, 2, 3)))


def test_reliability_sums_up_to_the_calibration_error():
    labels = RANDOM.integers(0, 3, 50)
    probabilities = RANDOM.dirichlet(np.ones(3), 50).astype(np.float32)
    found = as_predictions(Evaluation(labels, probabilities, probabilities, None), "x").reliability()
    error = (np.abs(found.accuracy - found.confidence) * found.count).sum() / found.count.sum()
    assert error == pytest.approx(calibration_error(probabilities, labels), abs=1e-6) and found.count.sum() == 50


def test_the_curve_counts_queries_with_a_match():
    answers = ranked().answers
    assert isinstance(answers, QueryRanks)
    assert answers.cmc(4).tolist() == [0.25, 0.5, 0.5, 0.75]  # ranks 2, 1, 4, 8; one has none


@pytest.mark.parametrize("ablation", ["full", "sa_only"])
def test_recorded_answers_are_the_models(ablation: str):
    torch.manual_seed(0)
    model = create_model("test_vit", 3, img_size=(48, 80), ablation=ablation).eval()
    recorder = MapRecorder(model)
    with torch.inference_mode():
        images = torch.randn(3, 3, 48, 80)
        assert torch.allclose(recorder(images).probabilities, model(images).probabilities, atol=1e-6)
    expected = MapRecorder.kept if ablation == "full" else ("raw", "rollout")
    assert tuple(recorder.maps()) == expected and recorder.maps()["raw"].shape == (3, 3, 5)

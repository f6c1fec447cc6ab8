"""Faithfulness of one map, with a planted model whose answer depends on one patch; agreement of two maps."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

import dcal
from dcal.analysis.agreement import agreement, sa_and_glca
from dcal.analysis.faithfulness import RANDOM_ORDERS, Faithfulness, Progress, faithfulness
from dcal.analysis.maps import centre_map, random_map
from tests.fixtures.small import COLS, PATCH, ROWS, small_model

IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (43, 57, 3), dtype=np.uint8))
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return small_model("registers").float()


@pytest.fixture(scope="module")
def inspection(model) -> dcal.Inspection:
    return dcal.inspect(model, IMAGE)


def last(found) -> Faithfulness:
    *_, end = found
    return end.result


def planted(model: dcal.DCAL, inspection: dcal.Inspection, row: int, col: int):
    """An answer that is 1 while the patch (row, col) is as in the image, else 0."""
    own = model.config.preprocess.tensor(Image.fromarray(inspection.view))
    part = (slice(row * PATCH, (row + 1) * PATCH), slice(col * PATCH, (col + 1) * PATCH))

    def answer(images: torch.Tensor) -> torch.Tensor:
        return (images[..., part[0], part[1]] == own[..., part[0], part[1]]).all(dim=(1, 2, 3)).float()

    return answer


def test_a_map_of_the_deciding_patch_is_faithful_and_its_opposite_is_not(model, inspection):
    answer = planted(model, inspection, 1, 2)
    values = np.zeros((ROWS, COLS), np.float32)
    values[1, 2] = 1.0
    found = last(faithfulness(model, inspection, values, steps=6, answer=answer))
    np.testing.assert_array_equal(found.deletion["map"], [1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(found.insertion["map"], [0, 1, 1, 1, 1, 1, 1])
    assert found.score() == pytest.approx(11 / 12 - 1 / 12)
    opposite = last(faithfulness(model, inspection, -values, steps=6, answer=answer))
    assert opposite.score() == pytest.approx(-found.score())
    assert opposite.score() <= min(found.random_scores) + 1e-9 and max(found.random_scores) <= found.score() + 1e-9


def test_curves_are_those_of_the_model_by_hand(model, inspection):
    values = RNG.random((ROWS, COLS)).astype(np.float32)
    found = last(faithfulness(model, inspection, values, target=2, steps=3, fill="mean", seed=4))
    own = model.config.preprocess.tensor(Image.fromarray(inspection.view))
    blank = own.mean(dim=(1, 2), keepdim=True).expand_as(own)
    maps = {"map": values.ravel(), "centre": centre_map(inspection.layout)}
    for name, ranked in maps.items():
        order = np.argsort(-ranked, kind="stable")
        for step, count in enumerate((0, 2, 4, 6)):
            deleted, inserted = own.clone(), blank.clone()
            for patch in order[:count]:
                y, x = patch // COLS * PATCH, patch % COLS * PATCH
                deleted[:, y : y + PATCH, x : x + PATCH] = blank[:, y : y + PATCH, x : x + PATCH]
                inserted[:, y : y + PATCH, x : x + PATCH] = own[:, y : y + PATCH, x : x + PATCH]
            if name == "centre" and 0 < count < 6:
                continue  # of equal values the order is drawn
            with torch.no_grad():
                wanted = model(torch.stack([deleted, inserted])).probabilities[:, 2]
            got = [found.deletion[name][step], found.insertion[name][step]]
            np.testing.assert_allclose(got, wanted, atol=1e-5)
    np.testing.assert_allclose(found.shares, [0, 1 / 3, 2 / 3, 1])
    assert len(found.random_scores) == RANDOM_ORDERS and np.std(found.random_scores) > 0
    assert found.score("random") == pytest.approx(np.mean(found.random_scores))


def test_random_orders_are_those_of_the_seed(model, inspection):
    answer, values = planted(model, inspection, 0, 1), np.ones((ROWS, COLS), np.float32)
    found = last(faithfulness(model, inspection, values, steps=6, seed=9, answer=answer))
    places = [int(np.flatnonzero(np.argsort(-random_map(6, 9, i)) == 1)[0]) for i in range(RANDOM_ORDERS)]
    np.testing.assert_allclose(found.random_scores, [2 * (1 - (place + 0.5) / 6) - 1 for place in places], atol=1e-9)


def test_it_reports_every_pass_and_can_be_cancelled(model, inspection):
    calls = []

    def answer(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return torch.zeros(len(images))

    values = RNG.random((ROWS, COLS)).astype(np.float32)
    found = list(faithfulness(model, inspection, values, steps=4, answer=answer))
    assert [(p.done, p.total) for p in found] == [(done, 8) for done in range(1, 9)]
    assert [p.result is None for p in found] == [True] * 7 + [False]
    assert calls == [1, 1] + [2 + RANDOM_ORDERS] * 6
    assert [p.result is None for p in faithfulness(model, inspection, values, steps=1, answer=answer)] == [True, False]
    calls.clear()
    running = faithfulness(model, inspection, values, steps=4, answer=answer)
    assert calls == [] and isinstance(next(running), Progress)
    running.close()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": np.ones((COLS, ROWS), np.float32)}, "must be 2×3 finite numbers"),
        ({"values": np.full((ROWS, COLS), np.nan, np.float32)}, "finite numbers"),
        ({"target": 9}, "no class 9"),
        ({"steps": 7}, "number of patches, 6; got 7"),
        ({"fill": "noise"}, "unknown fill 'noise'"),
    ],
    ids=["grid", "nan", "class", "steps", "fill"],
)
def test_it_refuses_before_the_first_pass(options, message, model, inspection):
    values = options.pop("values", np.ones((ROWS, COLS), np.float32))
    with pytest.raises(dcal.DCALError, match=message):
        faithfulness(model, inspection, values, **{"steps": 3, **options})
    with pytest.raises(dcal.DCALError, match="another checkpoint"):
        faithfulness(
            model, dataclasses.replace(inspection, fingerprint="0" * 64), np.ones((ROWS, COLS), np.float32), steps=3
        )


# -- agreement --


def test_agreement_by_hand():
    first, second = np.array([[4.0, 3, 2], [1, 0, 0]]), np.array([[40.0, 0, 20], [10, 30, 0]])
    found = agreement(first, second, 2)
    assert found.rank_correlation == pytest.approx(spearmanr(first.ravel(), second.ravel())[0])
    assert found.overlap == 0.5 and found.count == 2
    assert found.moved == pytest.approx(0.3)
    assert not found.nearly_equal
    same = agreement(first, 7 * first)
    assert (same.rank_correlation, same.overlap, same.moved, same.count) == (pytest.approx(1), 1, 0, 1)
    assert same.nearly_equal
    apart = agreement(np.array([1.0, 0, 0, 0]), np.array([0, 0, 0, 5.0]))
    assert (apart.overlap, apart.moved) == (0, 1)
    flat = agreement(np.ones(10), np.arange(10.0))
    assert flat.rank_correlation == 0 and flat.overlap == pytest.approx(0.1)


def test_maps_that_cannot_be_compared():
    with pytest.raises(dcal.DCALError, match=r"\(2, 3\) and \(3, 2\)"):
        agreement(np.ones((2, 3)), np.ones((3, 2)))
    for values in (np.zeros(3), np.array([1.0, -1, 1]), np.array([1.0, np.nan, 1])):
        with pytest.raises(dcal.DCALError, match="finite, not negative and not all 0"):
            agreement(np.ones(3), values)


def test_sa_and_glca_of_a_record(inspection):
    found = sa_and_glca(inspection)
    assert list(found) == ["glca", "glca_input"]
    assert found["glca"] == agreement(inspection.sa_map, inspection.glca_map, len(inspection.selected))
    with pytest.raises(dcal.DCALError, match="no GLCA branch"):
        sa_and_glca(dcal.inspect(small_model(ablation="sa_only").float(), IMAGE))

"""Whether twins are told apart, and where a model looks for it: against loops, and on maps with known answers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from dcal.analysis.twins import density, on_part, pairs_of, part_shares, told_apart, twin_summary, twins
from dcal.data.reid.yard import Yard, YardRecord
from dcal.data.samples import ReIDSamples
from dcal.errors import DCALError
from dcal.explain.inspect import inspect
from dcal.model.dcal import create_model
from dcal.model.embeddings import Embeddings, embed
from dcal.preprocess import Preprocess
from tests.fixtures.tiny_reid import write_yard

RECORDS = Yard(split="query").records


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def pair_of(identity: int) -> list[YardRecord]:
    own = next(record for record in RECORDS if record.identity == identity)
    return [record for record in RECORDS if record.identity in (identity, own.twin)]


def test_pairs_are_whole_and_in_order():
    records = pair_of(7)[::-1] + pair_of(59)
    pairs = pairs_of(records)
    assert [sorted({records[index].identity for index in own}) for own in pairs] == [[7, 8], [59, 60]]
    assert sorted(index for own in pairs for index in own) == list(range(len(records)))
    with pytest.raises(DCALError, match="vehicle 7 is there without its twin 8"):
        pairs_of([record for record in records if record.identity != 8])


def test_told_apart_in_a_loop():
    records = pair_of(7)
    values = unit(np.random.default_rng(3).normal(size=(len(records), 5)))
    seen = {index: record for index, record in enumerate(records) if index % 3}  # some show nothing
    won = []
    for i, query in seen.items():
        for j, same in seen.items():
            for k, twin in seen.items():
                own = same.identity == query.identity and twin.identity == query.twin
                if own and same.camera == twin.camera != query.camera:
                    won.append(values[i] @ values[j] > values[i] @ values[k])
    assert 0 < np.mean(won) < 1 and told_apart(seen, values) == pytest.approx(np.mean(won))


def test_told_apart_at_its_ends():
    records = dict(enumerate(pair_of(7)))
    mine = np.array([[float(record.identity == 7), float(record.identity != 7)] for record in records.values()])
    assert told_apart(records, unit(mine)) == 1.0
    assert told_apart(records, np.ones((len(records), 2), np.float32)) == 0.5  # no difference: a coin
    assert math.isnan(told_apart({0: records[0]}, unit(mine)))


def test_density_is_one_on_a_map_spread_over_the_vehicle():
    vehicle = np.array([[0.0, 0.5, 1.0], [1.0, 1.0, 0.25]])
    part = np.array([[0.0, 0.0, 0.5], [0.0, 0.25, 0.0]])
    assert density(np.full((2, 3), 7.0), part, vehicle) == pytest.approx(1.0)
    peak = np.zeros((2, 3))
    peak[0, 2] = 3.0  # half of that patch is the part: 0.5, where the vehicle as a whole has 0.75 / 3.75
    assert density(peak, part, vehicle) == pytest.approx(0.5 / (0.75 / 3.75))
    peak[:] = [[0, 0, 0], [1, 0, 0]]
    assert density(peak, part, vehicle) == 0.0
    assert math.isnan(density(np.zeros((2, 3)), part, vehicle)) and math.isnan(density(peak, 0 * part, vehicle))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    options = {"img_size": (48, 80), "preprocess": Preprocess(size=(48, 80), crop_fraction=1.0), "top_ratio": 0.3}
    return create_model("test_vit", 7, task="reid", ablation="full", **options).eval()


def test_a_patch_s_share_counts_the_mask_s_pixels(model):
    record = next(record for record in RECORDS if record.visible > 400)
    part, vehicle = part_shares(record, inspect(model, record.path))
    assert part.shape == vehicle.shape == (3, 5)
    assert part.mean() == pytest.approx(record.difference().mean(), abs=1e-6)
    left, right = round(2 * 256 / 5), round(3 * 256 / 5)  # the middle column, to the pixel
    rough = record.difference()[:, left:right].mean()
    assert part[:, 2].mean() == pytest.approx(rough, abs=0.02)
    assert (vehicle >= part).all() and 0.1 < vehicle.mean() < 0.95


def test_on_two_pairs(model, tmp_path):
    records = Yard(write_yard(tmp_path), "query").records
    images = ReIDSamples(records, model.config.preprocess)
    found = embed(model, [torch.stack([images[index][0] for index in range(len(images))])])
    told: list[tuple[str, int, int]] = []
    measured = twins(model, records, found, lambda *what: told.append(what))
    assert told == [("pairs of twins", 1, 2), ("pairs of twins", 2, 2)]
    assert measured.images == sum(record.visible > 0 for record in records)
    assert measured.told_apart.keys() == {"joined", "sa", "glca"}
    kinds = {f"{kind}/{branch}" for kind in ("same", "twin", "rather") for branch in ("fused", "sa", "glca")}
    assert measured.density.keys() == measured.share.keys() == {"rollout", "glca", "centre", "even"} | kinds
    for own in (*measured.told_apart.values(), *measured.density.values(), *measured.share.values()):
        assert own.shape == (2,)
    summary = twin_summary(measured, seed=0)
    assert summary["pairs"] == 2 and summary["density"]["rollout"]["mean"] > 0
    for pair, own in enumerate(pairs_of(records)):
        seen = [records[index] for index in own if records[index].visible]
        area = np.mean([record.difference().mean() for record in seen])  # of the whole image, which the model sees
        assert measured.share["even"][pair] == pytest.approx(area, abs=1e-6)
        rolled = [on_part(record, inspect(model, record.path), inspect(model, record.path).sa_map) for record in seen]
        assert measured.share["rollout"][pair] == pytest.approx(np.mean([on.share for on in rolled]), abs=1e-6)
    ideal = Embeddings(unit(np.array([[r.present + 0.1, 1.1 - r.present] for r in records])), None)
    assert np.nanmin(twins(model, records, ideal).told_apart["joined"]) == 1.0


def test_the_same_in_another_order(model, tmp_path):
    records = Yard(write_yard(tmp_path), "query").records
    values = unit(np.random.default_rng(1).normal(size=(len(records), 6)))
    order = np.random.default_rng(2).permutation(len(records))
    one = twins(model, records, Embeddings(values, None))
    other = twins(model, [records[index] for index in order], Embeddings(values[order], None))
    for name, own in one.density.items():
        np.testing.assert_allclose(own, other.density[name], atol=1e-6)
    np.testing.assert_allclose(one.told_apart["sa"], other.told_apart["sa"])


def test_an_image_that_shows_nothing_of_the_part_counts_nowhere(model, tmp_path):
    records = Yard(write_yard(tmp_path), "query").records
    hidden = [dataclasses.replace(record, visible=0) for record in records]
    found = twins(model, hidden, Embeddings(np.ones((len(records), 2), np.float32), None))
    assert found.images == 0 and np.isnan(found.told_apart["joined"]).all() and found.density == {}


def test_what_of_a_map_lies_on_the_part(model):
    record = next(record for record in RECORDS if record.visible > 400)
    seen = inspect(model, record.path)
    values = np.random.default_rng(3).random((3, 5))
    part, vehicle = part_shares(record, seen)
    found = on_part(record, seen, values)
    total = on = on_vehicle = 0.0
    for row in range(3):
        for col in range(5):
            total += values[row, col]
            on += values[row, col] * part[row, col]
            on_vehicle += values[row, col] * vehicle[row, col]
    assert found.share == pytest.approx(on / total)
    assert found.area == pytest.approx(record.difference().mean(), abs=1e-6)
    assert found.density == pytest.approx(on / on_vehicle / (part.sum() / vehicle.sum()))
    assert np.isnan(on_part(record, seen, np.zeros((3, 5))).share)

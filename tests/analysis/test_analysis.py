"""The study as a whole: maps as `dcal.inspect` has them, numbers that no batch size changes, a summary that adds up."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

import dcal
from dcal.analysis import (
    Analysis,
    AnalysisConfig,
    analyse,
    cascade,
    centre_map,
    model_maps,
    random_map,
    rank_correlation,
    summary,
)
from dcal.analysis.batches import draw, map_batches
from dcal.analysis.maps import FURTHER
from dcal.analysis.sanity import stage_of, stages
from dcal.analysis.summary import beats
from dcal.data.fgvc.cub import CUB
from dcal.draw.layout import patch_at
from dcal.model.backbone import layer_tokens
from dcal.model.kinds import TokenLayout
from tests.fixtures.documents import code_of
from tests.fixtures.small import CLASSES, DEPTH, VARIANTS, random_images, small_model
from tests.fixtures.tiny_cub import write_cub

STUDY = AnalysisConfig(images=7, images_erased=5, images_randomised=3, steps=3)
MAPS = {"raw", "rollout", "glca", "glca_input", "gradient_rollout", "relevance"}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory):
    return CUB(write_cub(tmp_path_factory.mktemp("data")), "test").records


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return small_model("registers").float()


@pytest.fixture(scope="module")
def found(model: dcal.DCAL, records) -> Analysis:
    return analyse(model, records, STUDY, batch_size=2)


def test_maps_are_those_of_an_inspection(model: dcal.DCAL, records):
    batch = next(map_batches(model, records, [4, 1], seed=0, batch_size=2, workers=0))
    assert batch.indices == [4, 1] and set(batch.maps) == MAPS | {"random", "centre"}
    for row, index in enumerate(batch.indices):
        seen = dcal.inspect(model, records[index].path, target=int(batch.targets[row]))
        assert batch.sizes[row] == seen.image.shape[:2]
        assert batch.certainty[row].item() == pytest.approx(seen.top(1)[0][1])
        raw = np.mean([seen.head(DEPTH - 1, head) for head in range(seen.num_heads)], axis=0)
        expected = [raw, seen.sa_map, seen.glca_map, seen.glca_input_map, seen.gradient_rollout, seen.relevance]
        names = ("raw", "rollout", "glca", "glca_input", "gradient_rollout", "relevance")
        for name, values in zip(names, expected, strict=True):
            np.testing.assert_allclose(batch.maps[name][row].numpy(), values.ravel(), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_backbone_has_its_maps(variant: str):
    model = small_model(variant)
    maps = model_maps(model, random_images(2), torch.tensor([0, CLASSES - 1]))
    assert set(maps) == MAPS
    for name, values in maps.items():
        assert values.shape == (2, model.layout.patches) and (values >= 0).all() and values.sum() > 0, name


def test_without_glca_there_is_no_glca_map():
    assert set(model_maps(small_model(ablation="sa_pwca"), random_images(2), torch.tensor([0, 1]))) == MAPS - {
        "glca",
        "glca_input",
    }


def test_a_map_from_outside_is_measured_as_the_others(model: dcal.DCAL, records):
    """The one that docs/extending.md shows."""
    names: dict[str, Any] = {}
    exec(code_of("extending.md", "A map"), names)
    try:
        with pytest.raises(dcal.DCALError, match="'token_length' is taken"):
            dcal.register_map("token_length", names["TOKEN_LENGTH"])
        found = summary(analyse(model, records, STUDY, batch_size=2))
        json.dumps(found)
        images = torch.stack([model.config.preprocess.tensor(model.config.preprocess.render(records[0].open()))])
        with torch.inference_mode():
            *_, last = layer_tokens(model.backbone, model.embed(images))
        wanted = last[:, model.layout.prefix :].norm(dim=-1)
        torch.testing.assert_close(model_maps(model, images, torch.tensor([0]))["token_length"], wanted)
    finally:
        FURTHER.forget("token_length")
    own = found["maps"]["token_length"]
    assert own["title"] == "length of the last tokens" and {"deletion", "insertion"} <= own.keys()
    assert own["insertion"]["over_random"]["mean"] is not None and "token_length" in found["curves"]["deletion"]
    assert all("token_length" in stage for stage in found["sanity"]["stages"].values())


def made(wrong: Tensor, *given: object) -> Tensor:
    return wrong


def test_what_is_no_map(model: dcal.DCAL):
    with pytest.raises(dcal.DCALError, match="'rollout' is a map already"):
        dcal.register_map("rollout", dcal.MapKind(lambda model, images, targets: images, "mine"))
    patches = model.layout.patches
    for wrong in (torch.ones(2, patches + 1), torch.full((2, patches), -1.0), torch.full((2, patches), torch.nan)):
        kind = dcal.MapKind(partial(made, wrong), "mine")
        with pytest.raises(dcal.DCALError, match=rf"'mine' must be \(2, {patches}\), and never negative"):
            kind.of(model, random_images(2).float(), torch.tensor([0, 1]))


def test_each_image_has_its_own_target(model: dcal.DCAL):
    images, targets = random_images(3).float(), torch.tensor([2, 0, 4])
    together = dcal.class_relevance(model, images, targets)
    for row, target in enumerate(targets.tolist()):
        alone = dcal.class_relevance(model, images[row : row + 1], target)
        torch.testing.assert_close(together.relevance[row], alone.relevance[0], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(together.gradient_rollout[row], alone.gradient_rollout[0], atol=1e-6, rtol=1e-4)
    with pytest.raises(dcal.DCALError, match="no class 5: the model has 5"):
        dcal.class_relevance(model, images, torch.tensor([0, 5, 1]))


def test_controls():
    layout = TokenLayout(prefix=1, rows=3, cols=4)
    centre = centre_map(layout).reshape(3, 4)
    np.testing.assert_allclose(centre, centre[::-1, ::-1])
    for row, col in ((0, 0), (1, 1), (2, 3)):
        y, x = (row + 0.5) / 3 - 0.5, (col + 0.5) / 4 - 0.5
        assert centre[row, col] == pytest.approx(np.exp(-(x * x + y * y) / (2 * 0.25**2)))
    np.testing.assert_array_equal(random_map(12, 3, 8), random_map(12, 3, 8))
    assert (random_map(12, 3, 8) != random_map(12, 3, 9)).all() and (random_map(12, 3, 8) != random_map(12, 4, 8)).all()


def test_draws_are_nested_and_repeat():
    assert draw(9, 0, 1) == draw(9, 9, 1) == draw(9, 100, 1) == list(range(9))
    few, many = draw(40, 5, 1), draw(40, 12, 1)
    assert set(few) < set(many) and few == sorted(few) and len(many) == 12
    assert draw(40, 5, 2) != few


def test_the_study_counts_images_and_maps(found: Analysis):
    assert {measure: len(own["raw"]) for measure, own in found.scores.items()} == {
        **{"pointing": 7, "energy": 7, "parts": 7},
        **{"deletion": 5, "insertion": 5},
    }
    assert all(set(own) == MAPS | {"random", "centre"} for own in found.scores.values())
    assert list(found.sanity) == ["read-out", "GLCA", "block 4", "block 3", "block 2", "block 1", "embedding"]
    assert all(set(own) == MAPS and len(own["raw"]) == 3 for own in found.sanity.values())
    for own in found.scores.values():
        for values in own.values():
            assert (values >= 0).all() and (values <= 1).all()


def test_the_box_is_found_where_the_image_has_it(model: dcal.DCAL, records, found: Analysis):
    for row, index in enumerate(draw(len(records), 7, 0)):
        seen = dcal.inspect(model, records[index].path)
        left, top, width, height = records[index].box
        y, x = map(int, np.unravel_index(seen.sa_map.argmax(), seen.sa_map.shape))
        west, north, east, south = seen.box
        across = west + (x + 0.5) * (east - west) / seen.layout.cols
        down = north + (y + 0.5) * (south - north) / seen.layout.rows
        inside = left <= across < left + width and top <= down < top + height
        assert found.scores["pointing"]["rollout"][row] == inside
        patches = {patch_at(seen, int(p.x), int(p.y), seen.image.shape) for p in records[index].parts if p.visible}
        assert found.scores["parts"]["rollout"][row] == float((y, x) in patches)


def test_numbers_do_not_depend_on_batches_and_repeat(model: dcal.DCAL, records, found: Analysis):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = analyse(model, records, STUDY, batch_size=5)
    for first, second in ((found.scores, other.scores), (found.sanity, other.sanity), (found.curves, other.curves)):
        assert first.keys() == second.keys()
        for measure, own in first.items():
            for name, values in own.items():
                np.testing.assert_allclose(values, second[measure][name], atol=1e-4, err_msg=f"{measure} {name}")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_curves_start_and_end_where_they_must(model: dcal.DCAL, records, found: Analysis):
    chosen = draw(len(records), 5, 0)
    batch = next(map_batches(model, records, chosen, 0, 5, 0))
    for name in MAPS:
        deletion, insertion = found.curves["deletion"][name], found.curves["insertion"][name]
        assert len(deletion) == 4 and deletion[0] == insertion[-1] == pytest.approx(batch.certainty.mean().item())
        assert deletion[-1] == insertion[0] == pytest.approx(found.curves["deletion"]["centre"][-1])
    assert found.scores["deletion"]["raw"].mean() == pytest.approx(
        np.trapezoid(found.curves["deletion"]["raw"], dx=1 / 3)
    )


def test_images_without_annotations_leave_deletion_and_insertion(model: dcal.DCAL, records):
    bare = [replace(record, box=None, parts=None) for record in records]
    found = analyse(model, bare, replace(STUDY, images_erased=2, images_randomised=1, steps=2))
    assert set(found.scores) == {"deletion", "insertion"} and found.chance == {}
    json.dumps(summary(found), allow_nan=False)


def test_what_cannot_be_studied(model: dcal.DCAL, records):
    with pytest.raises(dcal.DCALError, match="no image was given"):
        analyse(model, [])
    with pytest.raises(dcal.DCALError, match="number of patches, 6; got 10"):
        analyse(model, records)
    model.train()
    try:
        with pytest.raises(dcal.DCALError, match="training mode"):
            analyse(model, records)
    finally:
        model.eval()
    with pytest.raises(dcal.DCALError, match="images_erased must not be negative, got -1"):
        AnalysisConfig(images_erased=-1)


@pytest.mark.parametrize("ablation", ["full", "sa_only"])
def test_the_cascade_reaches_every_parameter_once_from_the_top(ablation: str):
    model = small_model("registers", ablation=ablation)
    original = {name: parameter.clone() for name, parameter in model.named_parameters()}
    assert {stage_of(name) for name in original} == set(stages(model))
    done: set[str] = set()
    for stage, changed in cascade(model, seed=3):
        assert changed is not model
        own = {name for name in original if stage_of(name) == stage}
        assert own and not own & done
        done |= own
        for name, parameter in changed.named_parameters():
            same = torch.equal(parameter, original[name])
            assert same == (name not in done), (stage, name)
            torch.testing.assert_close(parameter.flatten().sort().values, original[name].flatten().sort().values)
    assert done == set(original)
    assert all(torch.equal(parameter, original[name]) for name, parameter in model.named_parameters())


def test_what_a_map_depends_on_shows_in_the_cascade(found: Analysis):
    for name in ("raw", "rollout", "glca_input"):
        np.testing.assert_allclose(found.sanity["read-out"][name], 1, atol=1e-9)  # these do not know the classifier
    np.testing.assert_allclose(found.sanity["GLCA"]["rollout"], 1, atol=1e-9)
    assert found.sanity["GLCA"]["glca"].max() < 0.999
    assert found.sanity["read-out"]["relevance"].max() < 0.999  # this does
    assert found.sanity["block 4"]["raw"].max() < 0.999


def test_rank_correlation_is_scipys():
    random = np.random.default_rng(6)
    first, second = random.integers(0, 5, (4, 23)).astype(float), random.random((4, 23))
    expected = [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected)
    np.testing.assert_allclose(rank_correlation(first, first**3), 1)
    np.testing.assert_allclose(rank_correlation(second, -second), -1)
    np.testing.assert_array_equal(rank_correlation(np.ones((2, 5)), random.random((2, 5))), 0)


def test_the_summary_says_it_in_numbers(found: Analysis):
    given = summary(found)
    assert given["study"]["steps"] == 3 and given["images"]["energy"] == 7 and given["sanity"]["images"] == 3
    for measure, own in found.scores.items():
        for name, values in own.items():
            numbers = given["maps"][name][measure]
            assert numbers["mean"] == pytest.approx(values.mean())
            assert numbers["low"] <= numbers["mean"] <= numbers["high"]
            assert ("over_centre" in numbers) == (name != "centre")
            if name != "random":
                assert numbers["over_random"]["mean"] == pytest.approx(values.mean() - own["random"].mean())
    assert given["chance"]["parts"] == pytest.approx(1 / 6)
    assert json.loads(json.dumps(given, allow_nan=False)) == given
    assert given == summary(found)


def test_images_with_nothing_to_find_are_left_out(found: Analysis):
    holes = {name: np.where(np.arange(7) < 2, np.nan, values) for name, values in found.scores["energy"].items()}
    given = summary(replace(found, scores={**found.scores, "energy": holes}))
    assert given["images"]["energy"] == 5
    assert given["maps"]["raw"]["energy"]["mean"] == pytest.approx(found.scores["energy"]["raw"][2:].mean())


def test_better_than_a_control_needs_the_whole_interval():
    for measure, better in (("energy", 1), ("deletion", -1)):
        for low, high, expected in ((0.1, 0.3, better > 0), (-0.1, 0.3, False), (-0.3, -0.1, better < 0)):
            numbers = {"over_random": {"mean": 0.0, "low": low, "high": high}}
            assert beats(numbers, measure, "random") == expected
    assert not beats({"over_random": {"mean": 0.5, "low": None, "high": None}}, "energy", "random")

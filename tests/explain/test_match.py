"""Why two images match: every branch's evidence by relevance, and links between patches that are alike."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcal
from dcal.explain.match import mean_token, patch_cosines, pixels
from dcal.explain.pair_relevance import pair_relevance

ROWS, COLS, PATCH = 3, 5, 16
SIZE = (ROWS * PATCH, COLS * PATCH)


def model_of(ablation: str = "full", readout: str = "mean", seed: int = 7) -> dcal.DCAL:
    torch.manual_seed(seed)
    preprocess = dcal.Preprocess(size=SIZE)
    options: dict[str, Any] = {
        "task": "reid",
        "ablation": ablation,
        "readout": readout,
        "img_size": SIZE,
        "preprocess": preprocess,
    }
    model = dcal.create_model("deit_tiny_distilled_patch16_224", num_classes=11, top_ratio=0.3, **options)
    with torch.no_grad():  # attention far from uniform, so that a wrong map cannot pass for a right one
        for block in (*model.backbone.blocks, *([] if model.glca is None else [model.glca.block])):
            block.attn.qkv.weight.mul_(6)
    return model.eval()


def image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (133, 97, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return model_of()


@pytest.fixture(scope="module")
def match(model) -> dcal.Match:
    return dcal.explain_match(model, image(1), image(2))


@pytest.fixture(scope="module")
def margin(model) -> dcal.Match:
    return dcal.explain_match(model, image(1), image(2), against=image(3))


def test_the_evidence_is_the_relevance_of_what_the_records_show(model, match, margin):
    for found, records in ((match, (match.query, match.match)), (margin, (margin.query, margin.match, margin.other))):
        expected = pair_relevance(model, *(pixels(model, record) for record in records))
        for branch in ("sa", "glca", "fused"):
            own = found.evidence(branch)
            for map, side in ((own.query_map, expected.query), (own.match_map, expected.match)):
                assert map.shape == (ROWS, COLS) and map.dtype == np.float32
                np.testing.assert_array_equal(map.ravel(), side[branch][0].numpy())
    np.testing.assert_array_equal(own.other_map.ravel(), expected.other["fused"][0].numpy())


def test_scores_are_the_embeddings_own(match, margin):
    wanted = float(match.query.embedding @ match.match.embedding) / 2  # each branch's feature has length 1
    assert match.similarity == match.evidence().score == pytest.approx(wanted, abs=1e-6)
    halves = [record.embedding.reshape(2, -1) for record in (margin.query, margin.match, margin.other)]
    for index, branch in enumerate(("sa", "glca")):
        own = margin.evidence(branch)
        assert own.similarity == pytest.approx(halves[0][index] @ halves[1][index], abs=1e-6)
        assert own.against == pytest.approx(halves[0][index] @ halves[2][index], abs=1e-6)
        assert own.score == own.similarity - own.against and own.signed and own.query_map.min() < 0
        assert not match.evidence(branch).signed and match.evidence(branch).query_map.min() >= 0
    assert match.other is None and match.evidence().other_map is None


def test_an_image_matches_itself_and_symmetrically(model):
    match = dcal.explain_match(model, image(4), image(4))
    assert match.similarity == pytest.approx(1, abs=1e-5)
    for evidence in match.branches.values():
        np.testing.assert_allclose(evidence.query_map, evidence.match_map, atol=1e-6)
        np.testing.assert_allclose(np.diag(evidence.likeness), 1, atol=1e-6)
    one, two = (dcal.explain_match(model, image(a), image(b)).evidence() for a, b in ((1, 2), (2, 1)))
    np.testing.assert_allclose(one.query_map, two.match_map, rtol=1e-3)
    np.testing.assert_allclose(one.likeness, two.likeness.T, atol=1e-6)


@pytest.mark.parametrize("given", [False, True])
def test_likeness_in_a_loop(model, match, given):
    records = match.query, match.match
    tokens = [model.backbone.norm(torch.from_numpy(s.final_tokens)).detach().numpy()[2:] for s in records]
    mean = mean_token(model, [match.query]) if given else np.concatenate(tokens).mean(axis=0)
    if given:
        np.testing.assert_allclose(mean, tokens[0].mean(axis=0), atol=1e-6)
    expected = np.zeros((15, 15))
    for i, a in enumerate(tokens[0] - mean):
        for j, b in enumerate(tokens[1] - mean):
            expected[i, j] = a @ b / np.sqrt((a @ a) * (b @ b))
    found = (
        dcal.explain_match(model, *records, token_mean=mean).evidence().likeness if given else match.evidence().likeness
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found, patch_cosines(model, *records, mean if given else None))


def test_links_join_patches_that_are_each_other_s_nearest():
    rng = np.random.default_rng(4)
    likeness = rng.uniform(-1, 1, (15, 15)).astype(np.float32)
    maps = [rng.normal(0.7, 1, (ROWS, COLS)).astype(np.float32) for _ in range(2)]
    evidence = dcal.Evidence(0.5, *maps, likeness)
    expected = []
    for i in range(15):
        for j in range(15):
            if likeness[i, j] == max(likeness[i]) == max(likeness[:, j]) and min(maps[0].flat[i], maps[1].flat[j]) > 0:
                expected.append((float(maps[0].flat[i] * maps[1].flat[j] * likeness[i, j]), i, j))
    expected.sort(reverse=True)
    assert len(expected) >= 3 and all(weight > 0 for weight, _, _ in expected)
    assert [(i, j) for i, j, _ in evidence.links()] == [(i, j) for _, i, j in expected]
    np.testing.assert_allclose([weight for _, _, weight in evidence.links()], [weight for weight, _, _ in expected])
    assert evidence.links(2) == evidence.links()[:2]
    turned = dcal.Evidence(0.5, maps[1], maps[0], likeness.T).links()
    assert [(j, i) for i, j, _ in turned] == [(i, j) for i, j, _ in evidence.links()]
    assert dcal.Evidence(0.5, -abs(maps[0]), maps[1], likeness).links() == []


def test_what_a_patch_is_like(match):
    evidence = match.evidence()
    np.testing.assert_array_equal(evidence.partner(6).ravel(), evidence.likeness[6].clip(min=0))
    with pytest.raises(dcal.DCALError, match="no patch 15: the model has 15"):
        evidence.partner(15)
    with pytest.raises(dcal.DCALError, match="unknown branch 'pwca'"):
        match.evidence("pwca")


def test_records_serve_as_well_as_images_but_only_this_model_s(model, match):
    again = dcal.explain_match(model, match.query, image(2))
    np.testing.assert_array_equal(again.evidence().query_map, match.evidence().query_map)
    with pytest.raises(dcal.DCALError, match="another checkpoint"):
        dcal.explain_match(model, dataclasses.replace(match.query, fingerprint="0" * 64), image(2))
    other = dcal.reselect(model, match.query, 0.6)
    with pytest.raises(dcal.DCALError, match=r"different R, \[0.3, 0.6\]"):
        dcal.explain_match(model, other, image(2))
    both = dcal.explain_match(model, other, dcal.reselect(model, match.match, 0.6))
    wanted = float(other.embedding @ both.match.embedding) / 2
    assert both.similarity == pytest.approx(wanted, abs=1e-6) != pytest.approx(match.similarity, abs=1e-5)
    with pytest.raises(dcal.DCALError, match="in training mode"):
        dcal.explain_match(model_of().train(), match.query, match.match)


def test_without_glca_there_is_one_branch():
    match = dcal.explain_match(model_of("sa_only"), image(1), image(2))
    assert list(match.branches) == ["sa"]
    assert match.evidence() is match.evidence("sa") and match.similarity == match.evidence("sa").similarity
    with pytest.raises(dcal.DCALError, match="unknown branch 'glca'"):
        match.evidence("glca")

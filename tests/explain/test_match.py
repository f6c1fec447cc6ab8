"""Why two pictures match: evidence that sums to the similarity, on the patches that were looked at and are alike."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcal
from dcal.explain.match import laid_out, patch_cosines, patch_shares
from tests.fixtures.explicit import attention_maps, rollout_by_products

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


def photo(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (133, 97, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return model_of()


@pytest.fixture(scope="module")
def match(model) -> dcal.Match:
    return dcal.explain_match(model, photo(1), photo(2))


def test_the_evidence_sums_to_the_similarity_of_the_embeddings(match):
    wanted = float(match.query.embedding @ match.match.embedding) / 2  # each branch's feature has length 1
    assert match.similarity == pytest.approx(wanted, abs=1e-6)
    for name in ("sa", "glca", "fused"):
        evidence = match.evidence(name)
        assert evidence.pairs.shape == (ROWS * COLS, ROWS * COLS)
        for values in (evidence.pairs, evidence.query_map, evidence.match_map):
            assert values.sum() == pytest.approx(evidence.similarity, abs=1e-5)
        assert evidence.query_map.shape == evidence.match_map.shape == (ROWS, COLS)
    assert not np.allclose(match.evidence("sa").pairs, match.evidence("glca").pairs, atol=1e-4)


def test_a_pair_s_share_in_a_loop(model, match):
    shares = [patch_shares(model, seen)["sa"] for seen in (match.query, match.match)]
    tokens = [
        model.backbone.norm(torch.from_numpy(s.final_tokens)).detach().numpy()[2:] for s in (match.query, match.match)
    ]
    likeness = np.zeros((15, 15))
    for i, a in enumerate(tokens[0]):
        for j, b in enumerate(tokens[1]):
            likeness[i, j] = max(0.0, a @ b / np.sqrt((a @ a) * (b @ b))) * shares[0][i] * shares[1][j]
    evidence = match.evidence("sa")
    np.testing.assert_allclose(evidence.pairs, evidence.similarity * likeness / likeness.sum(), atol=1e-6)


@pytest.mark.parametrize("readout", ["mean", "class"])
def test_glca_s_block_is_one_more_layer_of_the_rollout(readout):
    model = model_of(readout=readout)
    seen = dcal.inspect(model, photo(3))
    pixels = model.config.preprocess.tensor(Image.fromarray(seen.view))
    product = rollout_by_products(attention_maps(model.backbone, pixels[None])[:, 0].mean(dim=1))[-1]
    asked, attention = [0, *(seen.selected + 2)], seen.glca_attention.mean(axis=0)
    rows = []
    for index, token in enumerate(asked):
        row = 0.5 * attention[index]
        row[token] += 0.5
        rows.append(row)
    mixed = rows[0] if readout == "class" else 0.5 * (rows[0] + np.mean(rows[1:], axis=0))
    np.testing.assert_allclose(patch_shares(model, seen)["glca"], (mixed @ np.asarray(product))[2:], atol=5e-6)


def test_a_picture_matches_itself_and_symmetrically(model):
    match = dcal.explain_match(model, photo(4), photo(4))
    assert match.similarity == pytest.approx(1, abs=1e-5)
    for evidence in match.branches.values():
        np.testing.assert_allclose(evidence.pairs, evidence.pairs.T, atol=1e-6)
    turned = [dcal.explain_match(model, photo(a), photo(b)).evidence().pairs for a, b in ((1, 2), (2, 1))]
    np.testing.assert_allclose(turned[0], turned[1].T, atol=1e-6)


def test_links_and_partners(match):
    evidence = match.evidence()
    links = evidence.links(4)
    assert [value for _, _, value in links] == sorted((float(v) for v in evidence.pairs.ravel()), reverse=True)[:4]
    assert all(evidence.pairs[i, j] == np.float32(value) for i, j, value in links)
    np.testing.assert_array_equal(evidence.partner(6).ravel(), evidence.pairs[6])
    with pytest.raises(dcal.DCALError, match="no patch 15: the model has 15"):
        evidence.partner(15)
    with pytest.raises(dcal.DCALError, match="unknown branch 'pwca'"):
        match.evidence("pwca")


def test_records_serve_as_well_as_pictures_but_only_this_model_s(model, match):
    again = dcal.explain_match(model, match.query, photo(2))
    np.testing.assert_allclose(again.evidence().pairs, match.evidence().pairs, atol=1e-6)
    with pytest.raises(dcal.DCALError, match="another checkpoint"):
        dcal.explain_match(model, dataclasses.replace(match.query, fingerprint="0" * 64), photo(2))


def test_without_glca_there_is_one_branch():
    match = dcal.explain_match(model_of("sa_only"), photo(1), photo(2))
    assert list(match.branches) == ["sa"]
    assert match.evidence().similarity == match.evidence("sa").similarity == pytest.approx(match.similarity)


def test_nothing_alike_is_nowhere():
    assert not laid_out(0.7, np.zeros((4, 4), dtype=np.float32)).any()
    np.testing.assert_allclose(laid_out(-0.5, np.full((2, 2), 3, dtype=np.float32)), -0.125)


def test_cosines_lie_between_minus_one_and_one(model, match):
    cosines = patch_cosines(model, match.query, match.match)
    assert cosines.shape == (15, 15) and abs(cosines).max() <= 1 + 1e-6

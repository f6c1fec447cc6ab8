"""Contrast relevance, start layers and prefix tokens, against explicit N×N computations in float64."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import dcal
from dcal.explain.class_maps import class_maps, contrast, model_input
from dcal.explain.relevance import contrast_relevance
from dcal.model.kinds import TokenLayout, layout_of
from tests.fixtures.explicit import attention_maps, rollout_by_products, written_out
from tests.fixtures.small import CLASSES, DEPTH, small_backbone, small_model

IMAGE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (43, 57, 3), dtype=np.uint8))
ROWS, COLS, PREFIX = 2, 3, 3


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return small_model("registers").float()


@pytest.fixture(scope="module")
def inspection(model) -> dcal.Inspection:
    return dcal.inspect(model, IMAGE)


def explicit(model: dcal.DCAL, images: torch.Tensor, weights: list[float], start: int) -> tuple[np.ndarray, np.ndarray]:
    """(relevance, gradient-weighted rollout), rows of the class token, of Σ weights · logits, by N×N products."""
    kept: list[torch.Tensor] = []
    backbone = copy.deepcopy(model.backbone).double()
    for block in backbone.blocks:
        block.attn.forward = written_out(block.attn, kept)
    (backbone(images.double())[0] @ torch.tensor(weights, dtype=torch.float64)).backward()
    n = kept[0].shape[-1]
    identity = torch.eye(n, dtype=torch.float64)
    relevance = rollout = identity
    for attention in kept[start:]:
        product = attention[0].detach() * attention.grad[0]
        relevance = relevance + product.clamp(min=0).mean(0) @ relevance
        weighted = product.mean(0).clamp(min=0)
        sums = weighted.sum(-1, keepdim=True)
        rollout = (0.5 * torch.where(sums > 0, weighted / sums, identity) + 0.5 * identity) @ rollout
    return relevance[0].numpy(), rollout[0].numpy()


@pytest.mark.parametrize("gamma", [1.0, 0.3])
@pytest.mark.parametrize("start", [0, 2])
def test_a_contrast_is_the_explicit_relevance_of_the_margin(model, inspection, gamma, start):
    found = contrast(model, inspection, 3, 1, gamma, start)
    relevance, rollout = explicit(model, model_input(model, inspection), [0, -gamma, 0, 1, 0], start)
    np.testing.assert_allclose(found.relevance, relevance[PREFIX:].reshape(ROWS, COLS), rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(found.gradient_rollout, rollout[PREFIX:].reshape(ROWS, COLS), rtol=2e-4, atol=1e-6)
    assert found.relevance.max() > 1e-4, "zeros would prove nothing"


def test_several_rivals_count_by_their_mean(model, inspection):
    images = model_input(model, inspection)
    found = contrast_relevance(model, images, 0, torch.tensor([[2, 4]]), gamma=0.6)
    relevance, _ = explicit(model, images, [1, 0, -0.3, 0, -0.3], 0)
    np.testing.assert_allclose(found.relevance[0], relevance, rtol=2e-4, atol=1e-6)


def test_a_contrast_defaults_to_the_answer_and_the_class_it_is_confused_with(model, inspection):
    order = np.argsort(-inspection.probabilities).tolist()
    found = contrast(model, inspection)
    assert [found.target, found.rival] == order[:2]
    assert [contrast(model, inspection, order[1]).rival, contrast(model, inspection, order[4]).rival] == [order[0]] * 2
    turned = contrast(model, inspection, found.rival, found.target)
    assert np.abs(found.relevance - turned.relevance).max() > 1e-5


def test_gamma_0_is_class_relevance_and_class_maps_fill_the_record(model, inspection):
    maps = class_maps(model, inspection, 2)
    np.testing.assert_allclose(
        contrast(model, inspection, 2, 0, gamma=0.0).relevance, maps.relevance, rtol=2e-4, atol=1e-7
    )
    again = dcal.inspect(model, IMAGE, target=2)
    for name in ("relevance", "gradient_rollout"):
        np.testing.assert_allclose(getattr(maps, name), getattr(again, name), rtol=2e-4, atol=1e-7)
    assert maps.target == 2
    later = class_maps(model, inspection, 2, start=DEPTH - 1)
    wanted, _ = explicit(model, model_input(model, inspection), [0, 0, 1, 0, 0], DEPTH - 1)
    np.testing.assert_allclose(later.relevance, wanted[PREFIX:].reshape(ROWS, COLS), rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 1, "rival": 1}, "cannot be contrasted with itself"),
        ({"target": CLASSES}, f"no class {CLASSES}"),
        ({"rival": -1}, "no class -1"),
        ({"gamma": -0.1}, "at least 0, got -0.1"),
        ({"gamma": float("nan")}, "at least 0, got nan"),
        ({"start": DEPTH}, f"no layer {DEPTH} to start from: the model has {DEPTH}"),
    ],
    ids=str,
)
def test_what_cannot_be_contrasted(options, message, model, inspection):
    with pytest.raises(dcal.DCALError, match=message):
        contrast(model, inspection, **options)


def test_a_record_of_other_weights_is_refused(model, inspection):
    with pytest.raises(dcal.DCALError, match="another checkpoint"):
        contrast(model, dataclasses.replace(inspection, fingerprint="0" * 64))


# -- prefix tokens and start layers of the record --


@pytest.fixture(scope="module")
def maps(model, inspection) -> torch.Tensor:
    return attention_maps(copy.deepcopy(model.backbone), model_input(model, inspection))[:, 0]  # (l, h, n, n)


@pytest.mark.parametrize("token", range(PREFIX))
def test_what_a_prefix_token_attends_to(token, inspection, maps):
    for layer in (0, DEPTH - 1):
        rows = maps[layer, :, token, PREFIX:].reshape(-1, ROWS, COLS)
        np.testing.assert_allclose(inspection.prefix_token(layer, token), rows.mean(0), atol=2e-6)
        np.testing.assert_allclose(inspection.prefix_token(layer, token, head=1), rows[1], atol=2e-6)


@pytest.mark.parametrize("token", range(PREFIX))
@pytest.mark.parametrize("start", [0, 1, DEPTH - 1])
@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_a_rollout_of_any_prefix_token_from_any_layer(fusion, start, token, inspection, maps):
    fused = maps.mean(1) if fusion == "mean" else maps.amax(1)
    fused = fused / fused.sum(-1, keepdim=True)
    wanted = rollout_by_products(fused[start:])[:, token, PREFIX:].reshape(-1, ROWS, COLS)
    got = inspection.rolled(fusion, start=start, token=token)
    assert got.shape == (DEPTH - start, ROWS, COLS)
    np.testing.assert_allclose(got, wanted, atol=5e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.prefix_token(0, PREFIX), "no prefix token 3: the model has 3"),
        (lambda i: i.prefix_token(DEPTH, 0), "no layer 4"),
        (lambda i: i.prefix_token(0, 0, head=3), "no head 3"),
        (lambda i: i.rolled(start=DEPTH), "no layer 4"),
        (lambda i: i.rolled(token=-1), "no prefix token -1"),
    ],
)
def test_what_the_model_does_not_have(call, message, inspection):
    with pytest.raises(dcal.DCALError, match=message):
        call(inspection)


def test_prefix_tokens_have_names(tmp_path, inspection):
    assert inspection.layout.prefix_names == ("class", "register 1", "register 2")
    read = dcal.Inspection.from_npz(inspection.to_npz(tmp_path / "a.npz"))
    assert read.layout.prefix_names == inspection.layout.prefix_names
    assert layout_of(small_backbone()).prefix_names == ("class",)
    assert TokenLayout(2, 3, 4).prefix_names == ("class", "prefix 1")
    distilled = dcal.create_model("deit_tiny_distilled_patch16_224", 2, img_size=32, ablation="sa_only")
    assert distilled.layout.prefix_names == ("class", "distillation")

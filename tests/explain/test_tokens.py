"""Token sizes against timm's own blocks, outliers, patch similarity and colours."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import dcal
from dcal.explain.class_maps import model_input
from dcal.explain.features import patch_colours, patch_features, similar_patches
from dcal.explain.tokens import outliers, token_sizes
from tests.fixtures.small import DEPTH, small_model

RNG = np.random.default_rng(8)


def image(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (43, 57, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    return small_model("registers").float()


@pytest.fixture(scope="module")
def inspection(model) -> dcal.Inspection:
    return dcal.inspect(model, image(1))


def tokens_by_timm(model: dcal.DCAL, inspection: dcal.Inspection) -> list[torch.Tensor]:
    with torch.no_grad():
        tokens = [model.embed(model_input(model, inspection))]
        for block in model.backbone.blocks:
            tokens.append(block(tokens[-1]))
    return [x[0] for x in tokens]


def test_token_sizes_are_the_norms_of_timm_s_own_tokens(model, inspection):
    got = token_sizes(model, inspection)
    wanted = [[sum(float(v) ** 2 for v in token) ** 0.5 for token in x] for x in tokens_by_timm(model, inspection)]
    assert got.shape == (DEPTH + 1, 9)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    with pytest.raises(dcal.DCALError, match="another checkpoint"):
        token_sizes(model, dataclasses.replace(inspection, fingerprint="0" * 64))


def test_outliers_are_named():
    values = np.full((4, 5), 1.0) + 0.1 * RNG.random((4, 5))
    assert outliers(values).patches == () and str(outliers(values)) == ""
    assert outliers(values).high == values.max()
    values[2, 3] = 31.0
    found = outliers(values)
    assert found.patches == (13,) and found.share == pytest.approx(31 / values.sum())
    assert str(found) == f"1 patch holds {31 / values.sum() * 100:.0f} %"
    assert found.high == np.sort(values, axis=None)[-2]
    values[0, 1] = 40.0
    assert outliers(values).patches == (1, 13) and str(outliers(values)).startswith("2 patches hold")


@pytest.mark.parametrize(
    ("values", "patches"), [([2.0] * 9, ()), ([0.0] * 9, ()), ([1.0] * 8 + [10.1], (8,)), ([1.0] * 8 + [9.9], ())]
)
def test_maps_without_spread(values, patches):
    assert outliers(np.array(values)).patches == patches


def test_outliers_of_negative_or_infinite_values():
    for value in (-1.0, np.nan, np.inf):
        with pytest.raises(dcal.DCALError, match="finite values from 0 up"):
            outliers(np.array([1.0, value]))


# -- features --


@pytest.mark.parametrize("layer", [None, 0, 2, DEPTH - 1])
def test_features_are_the_normed_tokens_after_a_layer(layer, model, inspection):
    got = patch_features(model, inspection, layer)
    with torch.no_grad():
        x = model.backbone.norm(tokens_by_timm(model, inspection)[DEPTH if layer is None else layer + 1])[3:]
    wanted = [[float(v) / float(token.norm()) for v in token] for token in x]
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_similar_patches_by_hand(model, inspection):
    own, others = patch_features(model, inspection), patch_features(model, dcal.inspect(model, image(2)))
    for features, wanted in ((None, own), (others, others)):
        got = similar_patches(own, 4, features)
        np.testing.assert_allclose(
            got, [sum(a * b for a, b in zip(own[4], row, strict=True)) for row in wanted], atol=1e-5
        )
    assert similar_patches(own, 4)[4] == pytest.approx(1, abs=1e-5)
    with pytest.raises(dcal.DCALError, match="no patch 6: the model has 6"):
        similar_patches(own, 6)
    with pytest.raises(dcal.DCALError, match="width 24 and 5"):
        similar_patches(own, 0, np.ones((6, 5), np.float32))


def planted(rows: int, cols: int, seed: int) -> np.ndarray:
    """A background of one direction with an object of two kinds of patches in its middle, of width 7."""
    rng = np.random.default_rng(seed)
    directions = np.eye(7, dtype=np.float32)
    grid = np.zeros((rows, cols, 7), np.float32) + directions[0]
    grid[1:-1, 1:-1] = -directions[0] + directions[1]
    grid[1:-1, cols // 2 : -1] = -directions[0] - directions[1]
    return (grid + 0.05 * rng.standard_normal(grid.shape)).reshape(rows * cols, 7).astype(np.float32)


def test_colours_are_the_leading_components_on_one_basis():
    features, grids = [planted(5, 6, 1), planted(6, 8, 2)], [(5, 6), (6, 8)]
    found = patch_colours(features, grids)
    rows = np.concatenate(features).astype(np.float64)
    centred = rows - rows.mean(0)
    _, values, loadings = np.linalg.svd(centred, full_matrices=False)
    scores = centred @ (loadings[:3].T * [np.sign(row[np.abs(row).argmax()]) for row in loadings[:3]])
    got = np.concatenate([own.colours.reshape(-1, 3) for own in found])
    inside = (got > 0) & (got < 1)
    for c in range(3):  # an affine function of the component, rising
        a, b = scores[inside[:, c], c], got[inside[:, c], c]
        assert np.corrcoef(a, b)[0, 1] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found[0].explained, values[:3] ** 2 / (values**2).sum(), rtol=1e-6)
    assert got.min() == 0 and got.max() == 1 and found[1].colours.shape == (6, 8, 3)
    again = patch_colours([f.copy() for f in features], grids)
    assert all(np.array_equal(a.colours, b.colours) for a, b in zip(found, again, strict=True))


def test_the_background_can_be_dropped():
    features, grids = [planted(5, 6, 1), planted(6, 8, 2)], [(5, 6), (6, 8)]
    for sign in (1, -1):  # whatever the sign of the first component
        found = patch_colours([sign * own for own in features], grids, drop_background=True)
        for own, (rows, cols) in zip(found, grids, strict=True):
            wanted = np.zeros((rows, cols), bool)
            wanted[1:-1, 1:-1] = True
            assert np.array_equal(own.foreground, wanted)
            assert not own.colours[~wanted].any()
            left, right = own.colours[1:-1, 1 : cols // 2], own.colours[1:-1, cols // 2 : -1]
            assert np.abs(left[..., 0].mean() - right[..., 0].mean()) > 0.8, "the object's two kinds are told apart"
    assert all(own.foreground.all() for own in patch_colours(features, grids))


@pytest.mark.parametrize(
    ("features", "grids", "drop", "message"),
    [
        ([], [], False, "do not fill"),
        ([np.ones((6, 4), np.float32)], [(2, 4)], False, r"\[6\] patches do not fill grids of \[\(2, 4\)\]"),
        ([np.ones((6, 4), np.float32), np.ones((6, 5), np.float32)], [(2, 3)] * 2, False, "no basis in common"),
        ([np.ones((3, 4), np.float32)], [(1, 3)], False, "at least 4 patches"),
        ([np.ones((6, 4), np.float32)], [(2, 3)], True, "no background can be separated"),
    ],
    ids=str,
)
def test_what_has_no_colours(features, grids, drop, message):
    with pytest.raises(dcal.DCALError, match=message):
        patch_colours(features, grids, drop)


def test_equal_features_are_grey():
    assert (patch_colours([np.ones((6, 4), np.float32)], [(2, 3)])[0].colours == 0.5).all()

"""Rollout: the class row that goes down the layers as a vector is row 0 of the explicit product, on every path."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import dcal
from dcal.model import attention
from dcal.model import backbone as walk
from dcal.model.attention import WHOLE_BELOW
from dcal.model.rollout import HeadMean, Layer, QueriesKeys, carry_down, class_rollout, layer_rollouts, normalise_rows
from tests.fixtures.oracles import head_means, rollouts
from tests.fixtures.small import DEPTH, VARIANTS, random_images, small_model

NEAR = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="module", params=["plain", "registers", "qk_norm"])
def model(request) -> dcal.DCAL:
    return small_model(request.param)


@pytest.fixture(scope="module")
def tokens(model) -> torch.Tensor:
    return model.embed(random_images(2)).detach()


@pytest.fixture(scope="module")
def products(model, tokens) -> torch.Tensor:
    """(b, l, n, n): Ŝ_1, …, Ŝ_L of both random_images, by naive loops."""
    return torch.from_numpy(np.array([rollouts(head_means(model.backbone, x)) for x in tokens]))


def layers_by(path: str, model: dcal.DCAL, tokens: torch.Tensor, monkeypatch) -> list[Layer]:
    """The layers as `encode` keeps them on each of its paths."""
    if path == "queries and keys":
        monkeypatch.setattr(walk, "MEANS_UP_TO", 0)
    with torch.set_grad_enabled(path == "with gradients"):
        _, layers = walk.encode(model.backbone, tokens, keep_rollout=True)
    kinds = {"head-means": [HeadMean] * (DEPTH - 1) + [QueriesKeys]}.get(path, [QueriesKeys] * DEPTH)
    assert [type(layer) for layer in layers] == kinds
    return layers


@pytest.mark.parametrize("path", ["head-means", "queries and keys", "with gradients"])
def test_class_row_of_every_layer_is_row_0_of_the_matrix_product(path, model, tokens, products, monkeypatch):
    layers = layers_by(path, model, tokens, monkeypatch)
    rows = layer_rollouts(layers)
    NEAR(rows, products[:, :, 0])
    NEAR(rows.sum(dim=-1), torch.ones(2, DEPTH, dtype=torch.float64))
    for depth in range(1, DEPTH + 1):
        NEAR(class_rollout(layers[:depth]), products[:, depth - 1, 0])


@pytest.mark.parametrize("path", ["head-means", "queries and keys", "with gradients"])
def test_any_rows_are_carried_down_to_the_input_tokens(path, model, tokens, products, monkeypatch):
    layers = layers_by(path, model, tokens, monkeypatch)
    rows = torch.rand(2, 5, tokens.shape[1], dtype=torch.float64)
    NEAR(carry_down(rows, layers), rows @ products[:, -1])
    NEAR(carry_down(rows, []), rows)


def test_keeping_the_rollout_does_not_change_the_tokens(model, tokens):
    with torch.no_grad():
        NEAR(walk.encode(model.backbone, tokens, keep_rollout=True)[0], model.backbone.blocks(tokens))
        assert walk.encode(model.backbone, tokens)[1] == []


def test_a_model_gives_the_rollout_of_every_layer(model, products):
    rows = model.rollouts(random_images(2))
    NEAR(rows, products[:, :, 0])
    assert not rows.requires_grad


def test_scores_are_the_last_rollout_s_patches_with_and_without_gradients(model, products):
    wanted = products[:, -1, 0, model.layout.prefix :]
    trained = model(random_images(2))
    NEAR(trained.scores, wanted)
    assert not trained.scores.requires_grad
    with torch.inference_mode():
        NEAR(model(random_images(2)).scores.clone(), wanted)


def test_single_precision_stays_within_4e_6():
    model = small_model("registers")
    exact = model.rollouts(random_images(2))
    assert (model.float().rollouts(random_images(2).float()) - exact).abs().max() < 4e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_record_is_every_block_s_queries_and_keys_as_copies(variant):
    model, record = small_model(variant), []
    with torch.no_grad():
        walk.encode(model.backbone, model.embed(random_images(2)), record=record)
        maps = [head_means(model.backbone, x) for x in model.embed(random_images(2))]
    for i, kept in enumerate(record):
        assert kept.queries.is_contiguous()
        assert kept.queries.untyped_storage().nbytes() == kept.queries.numel() * 8, "a view would keep V alive as well"
        NEAR(kept.fused().matrix, torch.from_numpy(np.array([maps[b][i] for b in range(2)])))
    assert len(record) == DEPTH


# -- one layer --


def a_layer(n: int, h: int = 3, d: int = 5) -> QueriesKeys:
    generator = torch.Generator().manual_seed(n)
    return QueriesKeys(*(2 * torch.randn(2, 2, h, n, d, generator=generator, dtype=torch.float64)))


def whole(layer: QueriesKeys) -> torch.Tensor:
    return torch.softmax(layer.queries @ layer.keys.transpose(-2, -1) / layer.keys.shape[-1] ** 0.5, dim=-1)


@pytest.mark.parametrize("n", [7, WHOLE_BELOW - 1, WHOLE_BELOW + 31])
def test_a_layer_by_queries_and_keys_is_its_matrix(n):
    layer = a_layer(n)
    matrix = whole(layer).mean(dim=1)
    rows = torch.rand(2, 3, n, dtype=torch.float64)
    NEAR(layer.apply(rows), rows @ matrix)
    NEAR(HeadMean(matrix).apply(rows), rows @ matrix)
    NEAR(layer.first_row(), HeadMean(matrix).first_row())
    for token in (0, 4, n - 1):
        NEAR(layer.row(token), matrix[:, token : token + 1])


def naive_fused(maps: torch.Tensor, fusion: str, discard: float) -> np.ndarray:
    """(h, n, n) → (n, n): fused, the lowest entries of each row dropped, rows made to sum to 1. In loops."""
    fuses: dict[str, Callable[..., Any]] = {"mean": lambda values: sum(values) / len(values), "max": max, "min": min}
    fuse = fuses[fusion]
    h, n, _ = maps.shape
    result = np.zeros((n, n))
    for i in range(n):
        row = [fuse([float(maps[a, i, j]) for a in range(h)]) for j in range(n)]
        for j in sorted(range(n), key=row.__getitem__)[: math.floor(discard * n)]:
            row[j] = 0.0
        result[i] = np.array(row) / sum(row) if sum(row) > 0 else np.eye(n)[i]
    return result


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.09, 0.3, 0.95])
@pytest.mark.parametrize("rows", [11, 4])
def test_fusing_and_discarding(rows, discard, fusion, monkeypatch):
    n = 11
    monkeypatch.setattr(attention, "WHOLE_BELOW", n)
    monkeypatch.setattr(attention, "ROWS", rows)
    layer = a_layer(n)
    got = layer.fused(fusion, discard).matrix
    wanted = np.array([naive_fused(maps, fusion, discard) for maps in whole(layer)])
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-14)
    NEAR(got.sum(dim=-1), torch.ones(2, n, dtype=torch.float64))
    assert ((got == 0).sum(dim=-1) == math.floor(discard * n)).all()


def test_rollout_of_fused_layers_is_the_product_of_fused_matrices():
    model, record = small_model("registers"), []
    with torch.no_grad():
        x = model.embed(random_images(1))
        walk.encode(model.backbone, x, record=record)
        got = layer_rollouts([layer.fused("min", 0.2) for layer in record])
        maps = [naive_fused(whole(layer)[0], "min", 0.2) for layer in record]
    NEAR(got[0], torch.from_numpy(np.array(rollouts(maps))[:, 0]))


def test_a_token_that_nothing_is_left_of_keeps_to_itself():
    keys = torch.zeros(1, 2, 3, 2, dtype=torch.float64)
    queries = torch.zeros(1, 2, 3, 2, dtype=torch.float64)
    keys[0, :, 0], keys[0, :, 1] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    queries[0, 0, 2], queries[0, 1, 2] = torch.tensor([9999.0, 0.0]), torch.tensor([0.0, 9999.0])  # heads that disagree
    matrix = QueriesKeys(queries, keys).fused("min").matrix[0]
    NEAR(matrix[2], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    NEAR(matrix[0], torch.full((3,), 1 / 3, dtype=torch.float64))


def test_normalised_rows_of_tiny_numbers_sum_to_1():
    matrix = torch.tensor([[[1e-300, 3e-300], [0.0, 0.0]]], dtype=torch.float64)
    NEAR(normalise_rows(matrix), torch.tensor([[[0.25, 0.75], [0.0, 1.0]]], dtype=torch.float64))


def test_errors_name_what_is_known_and_what_came():
    with pytest.raises(dcal.DCALError, match=r"'median'.*'mean', 'max', 'min'"):
        a_layer(7).fused("median")
    for discard in (1.0, -0.1, math.nan):
        with pytest.raises(dcal.DCALError, match=rf"\[0, 1\), got {discard}"):
            a_layer(7).fused("mean", discard)

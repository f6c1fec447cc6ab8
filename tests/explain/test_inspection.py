"""What the record says is what the model does: every map against an explicit computation in float64."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcal
from dcal.explain.inspect import explain_class, explain_classes, inspect_prepared, prepare
from dcal.explain.inspection import patch_part
from tests.fixtures.explicit import attention_maps, rollout_by_products

ROWS, COLS, PATCH = 3, 5, 16
SIZE = (ROWS * PATCH, COLS * PATCH)


@pytest.fixture(scope="module")
def model() -> dcal.DCAL:
    torch.manual_seed(7)
    model = dcal.create_model(
        "deit_tiny_distilled_patch16_224",
        num_classes=11,
        img_size=SIZE,
        top_ratio=0.3,
        preprocess=dcal.Preprocess(size=SIZE),
        classes=[f"bird {i}" for i in range(11)],
    )
    with torch.no_grad():  # attention far from uniform, so that a wrong map cannot pass for a right one
        for block in (*model.backbone.blocks, model.glca.block):
            block.attn.qkv.weight.mul_(6)
    return model.eval()


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 255, (133, 97, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def seen(model, image) -> dcal.Inspection:
    return dcal.inspect(model, image)


@pytest.fixture(scope="module")
def maps(model, seen) -> torch.Tensor:
    """(l, h, n, n) attention of the image that the model saw, explicitly and in float64."""
    pixels = model.config.preprocess.tensor(Image.fromarray(seen.view))
    return attention_maps(model.backbone, pixels[None])[:, 0]


def test_shapes(seen):
    assert (seen.num_layers, seen.num_heads) == (12, 3)
    assert seen.layout == dcal.model.kinds.TokenLayout(prefix=2, rows=ROWS, cols=COLS)
    assert seen.rollout.shape == (12, ROWS, COLS)
    assert seen.image.shape == (133, 97, 3)
    assert seen.view.shape == (*SIZE, 3)
    assert seen.selected.shape == (4,)  # round(0.3 · 15)
    assert seen.glca_attention.shape == (3, 5, 17)
    assert seen.embedding.shape == (2 * 192,)


def test_rollout_of_every_layer_is_row_0_of_the_product(seen, maps):
    wanted = rollout_by_products(maps.mean(dim=1))[:, 0, 2:].reshape(12, ROWS, COLS)
    np.testing.assert_allclose(seen.rollout, wanted, atol=5e-6)
    assert np.array_equal(seen.sa_map, seen.rollout[-1])


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (5, 2), (11, 1)])
def test_a_head_is_the_class_token_s_row(seen, maps, layer, head):
    np.testing.assert_allclose(seen.head(layer, head), maps[layer, head, 0, 2:].reshape(ROWS, COLS), atol=5e-6)


@pytest.mark.parametrize(("layer", "row", "col"), [(0, 0, 0), (7, 2, 1), (11, 1, 4)])
def test_a_token_is_that_patch_s_row(seen, maps, layer, row, col):
    rows = maps[layer, :, 2 + row * COLS + col, 2:].reshape(3, ROWS, COLS)
    np.testing.assert_allclose(seen.token(layer, row, col), rows.mean(dim=0), atol=5e-6)
    np.testing.assert_allclose(seen.token(layer, row, col, head=1), rows[1], atol=5e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda seen: seen.head(12, 0), "no layer 12: the model has 12"),
        (lambda seen: seen.head(-1, 0), "no layer -1"),
        (lambda seen: seen.head(0, 3), "no head 3: the model has 3"),
        (lambda seen: seen.token(0, ROWS, 0), "no row 3"),
        (lambda seen: seen.token(0, 0, COLS), "no column 5"),
        (lambda seen: seen.rolled("median"), "unknown head fusion 'median'.*'mean', 'max', 'min'"),
        (lambda seen: seen.rolled("mean", 1.0), r"\[0, 1\), got 1.0"),
        (lambda seen: seen.top(3, "pwca"), "unknown branch"),
    ],
)
def test_what_is_not_there_is_refused_with_numbers(seen, call, says):
    with pytest.raises(dcal.DCALError, match=says):
        call(seen)


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.4, 0.9])
def test_rolled_under_every_fusion_and_discard(seen, maps, fusion, discard):
    fused = {"mean": maps.mean(1), "max": maps.amax(1), "min": maps.amin(1)}[fusion]
    n, drop = fused.shape[-1], int(discard * fused.shape[-1])
    for layer in fused:
        for row in layer:
            row[row.argsort()[:drop]] = 0
            row /= row.sum()
    wanted = rollout_by_products(fused)[:, 0]
    np.testing.assert_allclose(seen.rolled(fusion, discard), wanted[:, 2:].reshape(12, ROWS, COLS), atol=5e-6)
    np.testing.assert_allclose(wanted.sum(-1), np.ones(12))
    assert n == 17


def test_glca_is_what_the_model_itself_selects_and_answers(model, seen):
    pixels = model.config.preprocess.tensor(Image.fromarray(seen.view))[None]
    with torch.no_grad():
        out = model(pixels)
    assert seen.selected.tolist() == out.selected[0].tolist()
    np.testing.assert_allclose(seen.probabilities, out.probabilities[0], atol=1e-6)
    np.testing.assert_allclose(seen.glca_probabilities, out.glca_logits.softmax(-1)[0], atol=1e-6)
    np.testing.assert_allclose(seen.embedding, out.embedding[0], atol=1e-6)
    assert seen.selected_mask.sum() == 4
    assert set(np.argsort(-seen.scores)[:4]) == set(seen.selected)


def test_the_glca_map_and_its_way_down_to_the_input(model, seen, maps):
    block = model.glca.block
    with torch.no_grad():
        normed = block.norm1(torch.from_numpy(seen.final_tokens)[None])
        qkv = block.attn.qkv(normed).reshape(1, 17, 3, 3, 64).permute(2, 0, 3, 1, 4)
        row = (qkv[0][0, :, :1] @ qkv[1][0].transpose(-1, -2) / 8).softmax(-1).mean(0)
    np.testing.assert_allclose(seen.glca_map, row[0, 2:].reshape(ROWS, COLS), atol=5e-6)
    product = rollout_by_products(maps.mean(dim=1))[-1]
    np.testing.assert_allclose(seen.glca_input_map, (row.double() @ product)[0, 2:].reshape(ROWS, COLS), atol=5e-6)


def test_reselecting_equals_inspecting_with_that_ratio(model, image, seen):
    again, fresh = dcal.reselect(model, seen, 0.8), dcal.inspect(model, image, top_ratio=0.8)
    assert again.selected.tolist() == fresh.selected.tolist()
    assert len(again.selected) == 12
    assert again.top_ratio == fresh.top_ratio == 0.8
    for name in ("probabilities", "glca_probabilities", "glca_input_map", "glca_attention", "embedding"):
        np.testing.assert_allclose(getattr(again, name), getattr(fresh, name), atol=5e-6, err_msg=name)
    assert np.abs(again.glca_probabilities - seen.glca_probabilities).max() > 1e-6


def test_reselecting_with_other_weights_or_without_glca_is_refused(model, seen, image):
    other = dcal.create_model("deit_tiny_distilled_patch16_224", 11, img_size=SIZE).eval()
    with pytest.raises(dcal.DCALError, match="another checkpoint"):
        dcal.reselect(other, seen, 0.5)
    plain = dcal.create_model("deit_tiny_patch16_224", 11, img_size=SIZE, ablation="sa_only").eval()
    without = dcal.inspect(plain, image)
    assert without.glca_map is without.glca_local_map is without.selected_mask is without.glca_probabilities is None
    assert np.array_equal(without.probabilities, without.sa_probabilities)
    with pytest.raises(dcal.DCALError, match=r"sa_only.*no GLCA"):
        dcal.reselect(plain, without, 0.5)
    with pytest.raises(dcal.DCALError, match="no GLCA"):
        without.top(3, "glca")


def test_the_image_is_mapped_back_exactly(seen):
    left, top, right, bottom = seen.box
    assert (left, top, right, bottom) == pytest.approx((97 / 16, 133 / 16, 97 * 15 / 16, 133 * 15 / 16))
    crop = dcal.Preprocess(size=SIZE, fit="crop", crop_fraction=1.0)
    left, top, right, bottom = crop.box(133, 97)
    assert (right - left) / (bottom - top) == pytest.approx(COLS / ROWS)
    assert right - left == 97
    assert top == pytest.approx(133 - bottom)


def test_a_patch_shows_its_own_rectangle_of_the_image(model):
    """An image that is black but for one rectangle: the model's view is white in the patch that the box maps it to."""
    pre = dataclasses.replace(model.config.preprocess, interpolation="bilinear")
    image = np.zeros((300, 700, 3), np.uint8)
    left, top, right, bottom = pre.box(300, 700)
    row, col = 1, 3
    ys = [round(top + (bottom - top) * (row + i) / ROWS) for i in (0, 1)]
    xs = [round(left + (right - left) * (col + i) / COLS) for i in (0, 1)]
    image[ys[0] : ys[1], xs[0] : xs[1]] = 255
    view = np.asarray(pre.render(Image.fromarray(image)))[..., 0] / 255
    means = view.reshape(ROWS, PATCH, COLS, PATCH).mean(axis=(1, 3))
    assert means[row, col] > 0.95
    means[row, col] = 0
    assert means.max() < 0.05


def test_top_names_and_order(seen):
    top = seen.top(11)
    assert sorted(name for name, _ in top) == sorted(seen.classes)
    assert [p for _, p in top] == sorted((float(p) for p in seen.probabilities), reverse=True)
    assert sum(p for _, p in top) == pytest.approx(1, abs=1e-5)


def test_a_training_model_and_unknown_targets_are_refused(model, image):
    with pytest.raises(dcal.DCALError, match=r"eval\(\)"):
        dcal.inspect(dcal.create_model("deit_tiny_patch16_224", 3, img_size=SIZE), image)
    with pytest.raises(dcal.DCALError, match="no class 'wren'"):
        dcal.inspect(model, image, target="wren")
    with pytest.raises(dcal.DCALError, match="no class 11: the model has 11"):
        dcal.inspect(model, image, target=11)
    with pytest.raises(dcal.DCALError, match=r"\(0, 1\], got 0"):
        dcal.inspect(model, image, top_ratio=0.0)


def test_a_panorama_is_shown_with_a_word_of_warning(model):
    wide = dcal.inspect(model, Image.new("RGB", (1000, 60)))
    assert len(wide.notes) == 1
    assert "squashed" in wide.notes[0] and "1000×60" in wide.notes[0]


def test_round_trip_through_npz(tmp_path, model, image):
    seen = dcal.inspect(model, image, target="bird 4")
    found = dcal.Inspection.from_npz(seen.to_npz(tmp_path / "seen.npz"))
    for item in dataclasses.fields(seen):
        first, second = getattr(seen, item.name), getattr(found, item.name)
        if isinstance(first, np.ndarray):
            assert first.dtype == second.dtype and np.array_equal(first, second), item.name
        else:
            assert first == second, item.name
    assert found.fingerprint == dcal.fingerprint(model)
    assert np.array_equal(found.rolled("max", 0.2), seen.rolled("max", 0.2))
    assert [path.name for path in tmp_path.iterdir()] == ["seen.npz"]  # nothing temporary is left


def test_other_files_are_no_records(tmp_path):
    for name, data in (("text.npz", b"hello"), ("empty.npz", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(dcal.DCALError, match=name):
            dcal.Inspection.from_npz(tmp_path / name)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(dcal.DCALError, match=r"other\.npz"):
        dcal.Inspection.from_npz(tmp_path / "other.npz")
    with pytest.raises(dcal.DCALError, match=r"missing\.npz"):
        dcal.Inspection.from_npz(tmp_path / "missing.npz")


def test_the_record_is_frozen(seen):
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.top_ratio = 0.5


def test_patch_part_keeps_the_leading_axes():
    layout = dcal.model.kinds.TokenLayout(prefix=2, rows=2, cols=3)
    tokens = np.arange(16, dtype=np.float32).reshape(2, 8)
    assert patch_part(tokens, layout)[1].tolist() == [[10, 11, 12], [13, 14, 15]]


def test_reselecting_without_the_input_map_changes_nothing_else(model, seen):
    whole, light = dcal.reselect(model, seen, 0.5), dcal.reselect(model, seen, 0.5, input_map=False)
    assert whole.glca_input_map is not None and light.glca_input_map is None
    for name in ("selected", "probabilities", "glca_probabilities", "glca_attention", "embedding"):
        assert np.array_equal(getattr(light, name), getattr(whole, name))


class TestBatches:
    """Images of several visitors pass through the model as one batch."""

    @pytest.fixture
    def images(self):
        random = np.random.default_rng(5)
        return [Image.fromarray(random.integers(0, 255, (70 + 9 * i, 61 + i, 3), dtype=np.uint8)) for i in range(3)]

    def test_a_batch_answers_as_single_images_do(self, model, images):
        batch = inspect_prepared(model, [prepare(model.config, image) for image in images])
        for found, image in zip(batch, images, strict=True):
            alone = dcal.inspect(model, image)
            for field in dataclasses.fields(alone):
                value = getattr(alone, field.name)
                if isinstance(value, np.ndarray):
                    np.testing.assert_allclose(getattr(found, field.name), value, rtol=1e-4, atol=2e-6)
                elif field.name != "timings":
                    assert getattr(found, field.name) == value

    def test_each_class_s_evidence_is_its_own(self, model, images):
        records = [dcal.inspect(model, image) for image in images]
        for found, record, target in zip(explain_classes(model, records, [4, 0, 4]), records, [4, 0, 4], strict=True):
            alone = explain_class(model, record, target)
            assert found.target == target
            np.testing.assert_allclose(found.relevance, alone.relevance, rtol=1e-3, atol=1e-7)
            np.testing.assert_allclose(found.gradient_rollout, alone.gradient_rollout, rtol=1e-3, atol=1e-7)

    def test_no_record_holds_the_batch_s_memory(self, model, images):
        batch = inspect_prepared(model, [prepare(model.config, image) for image in images])
        record = explain_classes(model, batch, [1, 2, 3])[1]
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if isinstance(value, np.ndarray) and field.name not in ("image", "view"):
                # the prefix tokens beside it, but no other image
                assert held(value) < 2 * value.nbytes, field.name


def held(array: np.ndarray) -> int:
    """Bytes that an array keeps in memory, torch's included."""
    base: Any = array.base  # numpy's stubs know of no other owner than an array
    while isinstance(base, np.ndarray):
        array, base = base, base.base
    return base.untyped_storage().nbytes() if isinstance(base, torch.Tensor) else array.nbytes

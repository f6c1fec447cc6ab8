"""From image to input: one box, resampled once; the box is where patches lie in the image, to the pixel."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import dcal
from dcal import Preprocess
from dcal.preprocess import FITS, INTERPOLATIONS

SIDES = st.integers(1, 4000)


@pytest.mark.parametrize(
    ("preprocess", "image", "box"),
    [
        (Preprocess((32, 48), "squash", 1.0), (60, 200), (0, 0, 200, 60)),
        (Preprocess((32, 48), "squash", 0.5), (60, 200), (50, 15, 150, 45)),
        (Preprocess((32, 48), "crop", 1.0), (60, 200), (55, 0, 145, 60)),  # as high as the image, 60 · 48 / 32 wide
        (Preprocess((32, 48), "crop", 0.5), (60, 200), (77.5, 15, 122.5, 45)),
        (Preprocess((32, 48), "crop", 1.0), (300, 96), (0, 118, 96, 182)),
        (Preprocess((224, 224), "squash", 0.875), (256, 256), (16, 16, 240, 240)),
    ],
)
def test_box_by_hand(preprocess, image, box):
    assert preprocess.box(*image) == pytest.approx(box)
    left, top, right, bottom = box
    assert preprocess.box_size(*image) == pytest.approx((bottom - top, right - left))


@given(SIDES, SIDES, st.sampled_from(FITS), st.floats(0.01, 1), st.integers(1, 500), st.integers(1, 500))
@example(29, 29, "crop", 1.0, 224, 224)  # 29 / 224 · 224 is more than 29 in floating point
@example(88, 29, "crop", 1.0, 224, 224)
@example(29, 61, "crop", 1.0, 98, 49)
def test_box_lies_within_the_image_centred_and_in_shape(height, width, fit, fraction, rows, cols):
    preprocess = Preprocess((rows, cols), fit, fraction)
    left, top, right, bottom = preprocess.box(height, width)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert left == pytest.approx(width - right, abs=1e-9)
    assert top == pytest.approx(height - bottom, abs=1e-9)
    shape = (height, width) if fit == "squash" else (rows, cols)
    assert (bottom - top) * shape[1] == pytest.approx((right - left) * shape[0])
    assert max((bottom - top) / height, (right - left) / width) == pytest.approx(fraction)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("fraction", [0.3, 0.875, 1.0])
@pytest.mark.parametrize("image", [(1, 1), (29, 29), (88, 29), (1, 57), (97, 3), (130, 211)])
def test_every_image_can_be_rendered(image, fraction, fit):
    for size in ((32, 48), (224, 224)):
        rendered = Preprocess(size, fit, fraction).render(Image.new("RGB", image[::-1], (10, 200, 30)))
        assert rendered.size == size[::-1]
        assert rendered.getpixel((size[1] // 2, size[0] // 2)) == (10, 200, 30)


def ramps(height: int, width: int) -> Image.Image:
    """Red grows by 1 a pixel to the right, green by 1 a pixel downwards."""
    down, right = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([right, down, 0 * down], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_rendered_pixel_is_where_the_box_says(fit, interpolation):
    preprocess = Preprocess((32, 48), fit, 0.8, interpolation=interpolation)
    image = ramps(160, 250)
    left, top, right, bottom = preprocess.box(160, 250)
    seen = np.asarray(preprocess.render(image)).astype(float)
    for row, col in ((3, 5), (16, 24), (28, 41)):
        wanted_x = left + (col + 0.5) / 48 * (right - left) - 0.5  # a pixel's value stands at its centre
        wanted_y = top + (row + 0.5) / 32 * (bottom - top) - 0.5
        assert seen[row, col, :2] == pytest.approx([wanted_x, wanted_y], abs=0.6)


def test_another_box_can_be_rendered():
    seen = np.asarray(Preprocess((10, 20)).render(ramps(160, 250), box=(40.0, 100.0, 60.0, 110.0)))
    np.testing.assert_array_equal(seen[..., 0], np.tile(np.arange(40, 60), (10, 1)))
    np.testing.assert_array_equal(seen[..., 1], np.tile(np.arange(100, 110)[:, None], (1, 20)))


def test_the_interpolation_is_the_one_asked_for():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (61, 83, 3), dtype=np.uint8))
    seen = {name: Preprocess((32, 48), interpolation=name).render(image).tobytes() for name in INTERPOLATIONS}
    assert len(set(seen.values())) == len(INTERPOLATIONS)


def test_tensor_by_hand():
    preprocess = Preprocess((2, 3), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
    tensor = preprocess.tensor(Image.fromarray(pixels))
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    for channel in range(3):
        for row in range(2):
            for col in range(3):
                wanted = (pixels[row, col, channel] / 255 - preprocess.mean[channel]) / preprocess.std[channel]
                assert tensor[channel, row, col].item() == pytest.approx(wanted, rel=1e-5)


def test_an_images_tensor_fits_the_model():
    model = dcal.create_model("test_vit", 3, img_size=(32, 48)).eval()
    preprocess = model.config.preprocess
    out = model(preprocess.tensor(preprocess.render(ramps(70, 111)))[None])
    assert out.probabilities.shape == (1, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fit": "pad"}, "'pad'.*'squash', 'crop'"),
        ({"interpolation": "nearest"}, "'nearest'.*'bilinear', 'bicubic', 'lanczos'"),
        ({"crop_fraction": 0.0}, r"\(0, 1\], got 0\.0"),
        ({"crop_fraction": 1.01}, r"\(0, 1\], got 1\.01"),
        ({"crop_fraction": float("nan")}, r"\(0, 1\], got nan"),
        ({"size": (0, 224)}, r"at least 1, got \(0, 224\)"),
        ({"size": (224, -1)}, r"at least 1, got \(224, -1\)"),
    ],
)
def test_errors_name_what_is_known_and_what_came(wrong, message):
    with pytest.raises(dcal.DCALError, match=message):
        Preprocess(**wrong)

"""Images of maps against loops over pixels: sizes are odd and distinct, so that a swapped axis cannot pass."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dcal
from dcal import draw
from dcal.draw.colour import table
from dcal.model.kinds import TokenLayout

HEIGHT, WIDTH, ROWS, COLS = 53, 71, 3, 5
BOX = (7.25, 4.5, 60.75, 49.25)  # left, top, right, bottom: no edge on a pixel
LARGE_BOX = (10 * BOX[0], 10 * BOX[1], 10 * BOX[2], 10 * BOX[3])


def record(
    height: int = HEIGHT,
    width: int = WIDTH,
    box: tuple[float, float, float, float] = BOX,
    rows: int = ROWS,
    cols: int = COLS,
) -> dcal.Inspection:
    """A record made by hand: an image of noise, and nothing else of interest."""
    numbers = np.random.default_rng(11)

    def some(*shape: int) -> np.ndarray:
        return numbers.random(shape, dtype=np.float32)

    n = rows * cols + 1
    return dcal.Inspection(
        image=numbers.integers(0, 256, (height, width, 3), dtype=np.uint8),
        view=numbers.integers(0, 256, (rows * 2, cols * 2, 3), dtype=np.uint8),
        box=box,
        notes=(),
        config=dcal.ModelConfig(backbone="by hand", num_classes=2),
        layout=TokenLayout(prefix=1, rows=rows, cols=cols),
        fingerprint="0" * 64,
        queries=some(2, 3, n, 4),
        keys=some(2, 3, n, 4),
        final_tokens=some(n, 6),
        rollout=some(2, rows, cols),
        sa_probabilities=some(2),
        probabilities=some(2),
        embedding=some(6),
        top_ratio=0.1,
    )


def patch_of(seen: dcal.Inspection, x: int, y: int, height: int, width: int) -> tuple[int, int] | None:
    """The patch under a pixel of a drawn image, from its centre: the definition."""
    left, top, right, bottom = seen.box
    image_x, image_y = (x + 0.5) * seen.image.shape[1] / width, (y + 0.5) * seen.image.shape[0] / height
    col = math.floor((image_x - left) / (right - left) * seen.layout.cols)
    row = math.floor((image_y - top) / (bottom - top) * seen.layout.rows)
    return (row, col) if 0 <= row < seen.layout.rows and 0 <= col < seen.layout.cols else None


def coloured(value: float, low: float, high: float, colormap: str) -> np.ndarray:
    share = 0.0 if high <= low else (value - low) / (high - low)
    return table(colormap)[min(255, max(0, round(255 * share)))]


def bilinear(map: np.ndarray, u: float, v: float) -> float:
    """The value at (u, v) in patches, whose centres are at ½, 1½, …; constant beyond the outermost centres."""
    rows, cols = map.shape
    y, x = min(max(v - 0.5, 0), rows - 1), min(max(u - 0.5, 0), cols - 1)
    i, j = min(int(y), rows - 2), min(int(x), cols - 2)
    a, b = y - i, x - j
    upper = (1 - b) * map[i, j] + b * map[i, j + 1]
    return float((1 - a) * upper + a * ((1 - b) * map[i + 1, j] + b * map[i + 1, j + 1]))


class TestColour:
    @pytest.mark.parametrize("colormap", [*draw.COLORMAPS, draw.DIVERGING])
    def test_every_value_gets_its_colour(self, colormap: str) -> None:
        map = np.random.default_rng(0).normal(size=(3, 5))
        for low, high in ((None, None), (-0.5, 0.75), (2.0, 3.0), (1.0, 1.0)):
            found = draw.colour(map, colormap, low, high)
            least, most = (map.min(), map.max()) if low is None or high is None else (low, high)
            expected = [[coloured(value, least, most, colormap) for value in row] for row in map]
            np.testing.assert_array_equal(found, expected)

    def test_a_map_of_one_value_has_the_first_colour(self) -> None:
        assert (draw.colour(np.full((2, 3), 0.25)) == table("viridis")[0]).all()

    def test_rounding_errors_are_not_stretched_into_a_pattern(self) -> None:
        noise = np.random.default_rng(0).random((4, 5)).astype(np.float32)
        flat = np.float32(0.004) * (1 + 1e-6 * noise)
        assert draw.is_flat(flat) and draw.is_flat(-flat) and draw.is_flat(np.zeros(3))
        assert not draw.is_flat(np.float32(0.004) * (1 + 1e-3 * noise))
        assert not draw.is_flat(flat, 2 * flat), "each is flat, but they differ"
        assert (draw.colour(flat) == table("viridis")[0]).all()
        low, high = draw.shared_scale(flat)
        assert low == high == flat.max()
        delta, most = draw.difference(flat, flat * np.float32(1 + 1e-6))
        assert most == 0 and (draw.colour(delta, draw.DIVERGING, -most, most) == table(draw.DIVERGING)[128]).all()
        assert draw.difference(noise, noise + np.float32(0.01))[1] == pytest.approx(0.01, rel=1e-3)
        with pytest.raises(dcal.DCALError, match="not finite"):
            draw.is_flat(np.array([np.nan]))

    def test_viridis_is_in_rgb_order(self) -> None:
        np.testing.assert_array_equal(table("viridis")[[0, 255]], [[68, 1, 84], [253, 231, 37]])

    def test_the_diverging_table_is_white_in_the_middle_and_equally_dark_at_its_ends(self) -> None:
        grey = table(draw.DIVERGING).astype(float).mean(axis=1)
        assert grey[[127, 128]].min() > 240
        assert grey.argmax() in (127, 128)
        assert abs(grey[0] - grey[-1]) < 15

    def test_unknown_names_list_the_known(self) -> None:
        with pytest.raises(dcal.DCALError, match=r"'jet'.*'viridis'.*'turbo'"):
            draw.colour(np.zeros((2, 3)), "jet")

    def test_values_that_are_not_finite_are_refused(self) -> None:
        with pytest.raises(dcal.DCALError, match="not finite"):
            draw.colour(np.array([[0.0, np.nan]]))

    def test_maps_share_the_range_of_all(self) -> None:
        assert draw.shared_scale(np.array([[0.2, 0.5]]), np.array([[-1.0, 0.3]])) == (-1.0, 0.5)

    def test_a_difference_is_symmetric_about_zero(self) -> None:
        first, second = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 0.5, 4.0]])
        delta, most = draw.difference(first, second)
        np.testing.assert_array_equal(delta, [[0.0, -1.5, 1.0]])
        assert most == 1.5
        middle = draw.colour(delta, draw.DIVERGING, -most, most)[0, 0]
        assert middle.min() > 240  # equal values are white


class TestPlacement:
    @pytest.mark.parametrize("max_side", [None, 71, 40, 600, 1])
    def test_patch_at_is_the_definition_at_every_pixel(self, max_side: int | None) -> None:
        seen = record()
        height, width = draw.drawn_size(seen, max_side)
        for y in range(0, height, max(1, height // 30)):
            for x in range(0, width, max(1, width // 30)):
                assert draw.patch_at(seen, x, y, (height, width, 3)) == patch_of(seen, x, y, height, width)

    def test_outside_the_image_there_is_no_patch(self) -> None:
        seen = record(box=(0.0, 0.0, float(WIDTH), float(HEIGHT)))
        assert draw.patch_at(seen, WIDTH - 1, HEIGHT - 1, (HEIGHT, WIDTH)) == (ROWS - 1, COLS - 1)
        for x, y in ((-1, 3), (3, -1), (WIDTH, 3), (3, HEIGHT)):
            assert draw.patch_at(seen, x, y, (HEIGHT, WIDTH)) is None

    @settings(max_examples=30)
    @given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 3000))
    def test_drawn_images_keep_their_shape_within_bounds(self, height: int, width: int, max_side: int) -> None:
        seen = record(2, 3)
        image = np.broadcast_to(np.uint8(0), (height, width, 3))
        object.__setattr__(seen, "image", image)
        drawn = draw.drawn_size(seen, max_side)
        longer = max(height, width)
        assert max(drawn) == max(min(longer, max_side), min(512, max_side))
        for side, original in zip(drawn, (height, width), strict=True):
            assert abs(side - original * max(drawn) / longer) <= 0.5 or side == 1

    def test_the_images_own_size_can_be_kept(self) -> None:
        assert draw.drawn_size(record(), None) == (HEIGHT, WIDTH)
        with pytest.raises(dcal.DCALError, match="max_side"):
            draw.drawn_size(record(), 0)


class TestOverlay:
    @pytest.mark.parametrize("smooth", [False, True])
    @pytest.mark.parametrize("opacity", [0.0, 0.35, 1.0])
    def test_every_pixel(self, smooth: bool, opacity: float) -> None:
        seen = record()
        map = np.random.default_rng(2).random((ROWS, COLS)).astype(np.float32)
        found = draw.overlay(seen, map, opacity, "magma", 0.1, 0.8, smooth, max_side=None)
        expected = np.zeros(found.shape)
        left, top, right, bottom = seen.box
        for y in range(HEIGHT):
            for x in range(WIDTH):
                pixel = seen.image[y, x].astype(float)
                place = patch_of(seen, x, y, HEIGHT, WIDTH)
                if place is None:
                    expected[y, x] = np.rint(pixel * 0.3)
                else:
                    u, v = (x + 0.5 - left) / (right - left) * COLS, (y + 0.5 - top) / (bottom - top) * ROWS
                    value = bilinear(map, u, v) if smooth else float(map[place])
                    grey = pixel @ [0.299, 0.587, 0.114]
                    ground = opacity * grey + (1 - opacity) * pixel
                    expected[y, x] = opacity * coloured(value, 0.1, 0.8, "magma") + (1 - opacity) * ground
        # roundings of the image's grey, of their mix, and for smooth values of which of two colours is nearer
        np.testing.assert_allclose(found, expected, atol=3 if smooth else 1.6)

    def test_a_full_overlay_has_exactly_the_patches_colours(self) -> None:
        seen = record()
        map = np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS)
        found, colours = draw.overlay(seen, map, opacity=1, max_side=512), draw.colour(map)
        height, width = found.shape[:2]
        for y in range(0, height, 17):
            for x in range(0, width, 13):
                place = patch_of(seen, x, y, height, width)
                assert place is None or (found[y, x] == colours[place]).all()

    def test_nothing_of_the_map_is_drawn_where_the_model_did_not_look(self) -> None:
        seen = record(box=(20.0, 10.0, 40.0, 30.0))
        one, other = (draw.overlay(seen, m, max_side=None) for m in (np.eye(3, 5), np.ones((3, 5)) - np.eye(3, 5)))
        differs = (one != other).any(axis=2)
        assert differs[10:30, 20:40].any()
        differs[10:30, 20:40] = False
        assert not differs.any()

    def test_the_record_is_left_alone(self) -> None:
        seen = record()
        before = seen.image.copy()
        draw.figure(seen, np.eye(3, 5), marked=(1, 2), max_side=None)
        draw.selection(seen, np.eye(3, 5) > 0, max_side=None)
        np.testing.assert_array_equal(seen.image, before)

    @pytest.mark.parametrize("shape", [(16, 160), (160, 16), (17, 17)])
    def test_extreme_shapes_and_boxes_without_a_pixel(self, shape: tuple[int, int]) -> None:
        height, width = shape
        for box in ((0.0, 0.0, float(width), float(height)), (8.1, 8.1, 8.2, 8.2)):
            image = draw.figure(record(height, width, box), np.eye(3, 5), smooth=True, max_side=64)
            assert image.shape[1] == draw.drawn_size(record(height, width, box), 64)[1]

    def test_opacity_is_a_fraction(self) -> None:
        with pytest.raises(dcal.DCALError, match=r"\[0, 1\], got 60"):
            draw.overlay(record(), np.eye(3, 5), opacity=60)


class TestSelection:
    def test_selected_patches_are_as_bright_as_the_image_others_dimmer_the_unseen_dimmest(self) -> None:
        seen = record(530, 710, LARGE_BOX)  # large, so that outlines are thin
        mask = np.zeros((ROWS, COLS), dtype=bool)
        mask[1, 3] = mask[0, 0] = True
        found = draw.selection(seen, mask, max_side=None)
        accent = (found == (255, 196, 0)).all(axis=2)
        black = (found == 0).all(axis=2)
        counted = {True: 0, False: 0, None: 0}
        for y in range(0, 530, 7):
            for x in range(0, 710, 5):
                if accent[y, x] or black[y, x]:
                    continue
                place = patch_of(seen, x, y, 530, 710)
                chosen = None if place is None else bool(mask[place])
                brightness = {True: 1.0, False: 0.45, None: 0.3}[chosen]
                assert np.abs(found[y, x] - seen.image[y, x] * brightness).max() <= 0.51
                counted[chosen] += 1
        assert min(counted.values()) > 300

    def test_the_outline_runs_along_the_inside_of_the_marked_patch(self) -> None:
        seen = record(530, 710, LARGE_BOX)
        accent = (draw.mark(seen, np.zeros((530, 710, 3), dtype=np.uint8), 2, 4) == (255, 196, 0)).all(axis=2)
        ys, xs = np.nonzero(accent)
        middle_y, middle_x = 417, 553  # in that patch
        column = [y for y in range(530) if patch_of(seen, middle_x, y, 530, 710) == (2, 4)]
        row = [x for x in range(710) if patch_of(seen, x, middle_y, 530, 710) == (2, 4)]
        top, bottom, left, right = column[0], column[-1], row[0], row[-1]
        assert (ys.min(), xs.min(), ys.max(), xs.max()) == (top, left, bottom, right)
        assert not accent[top + 5 : bottom - 4, left + 5 : right - 4].any()


class TestSheets:
    def test_a_grid_places_maps_in_reading_order_on_one_scale(self) -> None:
        seen, maps = record(), np.random.default_rng(3).random((5, ROWS, COLS))
        sheet = draw.grid(seen, maps, list("abcde"), columns=3, opacity=1, tile=200)
        height, width = draw.drawn_size(seen, 200)
        assert sheet.shape == (2 * height + 4, 3 * width + 8, 3)
        for index, map in enumerate(maps):
            y, x = (index // 3) * (height + 4), (index % 3) * (width + 4)
            alone = draw.overlay(seen, map, 1, low=maps.min(), high=maps.max(), max_side=200)
            lower = slice(height // 2, None)  # the label is above
            np.testing.assert_array_equal(sheet[y : y + height, x : x + width][lower], alone[lower])
        assert (sheet[height + 4 :, 2 * width + 8 :] == (24, 24, 27)).all()  # the sixth place is empty

    def test_labels_must_match(self) -> None:
        with pytest.raises(dcal.DCALError, match="2 labels were given for 3 maps"):
            draw.grid(record(), np.zeros((3, ROWS, COLS)), ["a", "b"], columns=2)

    @pytest.mark.parametrize(("height", "width", "columns"), [(53, 71, 4), (71, 53, 4), (40, 400, 1), (50, 160, 3)])
    def test_a_strip_knows_which_layer_lies_where(self, height: int, width: int, columns: int) -> None:
        seen = record(height, width, (0.0, 0.0, float(width), float(height)))
        maps = np.arange(8.0)[:, None, None] * np.ones((ROWS, COLS))  # every layer in a colour of its own
        strip = draw.strip(seen, maps, [""] * 8, opacity=1)
        assert strip.shape[1] <= 1320 + 4 * columns
        found: dict[int | None, set[tuple[int, ...]]] = {}
        for y in range(0, strip.shape[0], 5):
            for x in range(0, strip.shape[1], 5):
                layer = draw.tile_at(seen, x, y, 8)
                found.setdefault(layer, set()).add(tuple(strip[y, x].tolist()))
        colours = draw.colour(np.arange(8.0)[None])[0]
        for layer in range(8):
            ground = {(24, 24, 27)}  # a gap belongs to the image before it
            assert tuple(colours[layer].tolist()) in found[layer]
            dark = {c for c in found[layer] - ground if max(c) > 60}
            assert not dark & {tuple(c.tolist()) for i, c in enumerate(colours) if i != layer and max(c) > 60}
        assert draw.tile_at(seen, strip.shape[1] + 50, 5, 8) is None
        assert draw.tile_at(seen, 5, strip.shape[0] + 50, 8) is None

    @pytest.mark.parametrize(
        ("count", "most", "columns"), [(3, 4, 3), (6, 4, 3), (12, 4, 4), (16, 4, 4), (12, 6, 6), (24, 6, 6), (5, 4, 3)]
    )
    def test_columns_leave_few_places_empty(self, count: int, most: int, columns: int) -> None:
        assert draw.columns_for(count, most) == columns

    def test_a_figure_is_the_overlay_above_its_bar(self) -> None:
        seen, map = record(), np.random.default_rng(4).random((ROWS, COLS))
        figure, overlay = draw.figure(seen, map, max_side=512), draw.overlay(seen, map, max_side=512)
        np.testing.assert_array_equal(figure[: len(overlay)], overlay)
        below = figure[len(overlay) :]
        np.testing.assert_array_equal(below, draw.bar(512, float(map.min()), float(map.max())))

    def test_images_below_each_other_are_equally_wide(self) -> None:
        upper, lower = np.zeros((10, 40, 3), dtype=np.uint8), np.full((30, 80, 3), 9, dtype=np.uint8)
        assert draw.under(upper, lower).shape == (10 + 15, 40, 3)

    def test_png_is_lossless(self) -> None:
        image = record().image
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(draw.png(image)))), image)


class TestLegend:
    def test_the_bar_runs_from_the_first_colour_to_the_last(self) -> None:
        bar = draw.bar(640, 0.0, 0.5, "inferno")
        edge = bar[0]  # above the numbers
        np.testing.assert_array_equal(edge[[0, -1]], table("inferno")[[0, 255]])
        middle = table("inferno").astype(int)[[127, 128]]
        assert np.abs(edge[320].astype(int) - middle).max() <= 3

    def test_the_numbers_can_be_read_on_their_ground(self) -> None:
        bar = draw.bar(640, 0.0, 0.5, "viridis").astype(int)
        assert np.abs(bar[:, :60] - bar[0, 0]).max() > 150  # white on violet
        assert np.abs(bar[:, -60:] - bar[0, -1]).max() > 150  # black on yellow

    @pytest.mark.parametrize(
        ("fraction", "text"),
        [
            (0.5, "50%"),
            (0.01234, "1.23%"),
            (0.000085, "0.0085%"),
            (-0.072, "-7.2%"),
            (0.0, "0%"),
            (1.23e-7, "<0.0001%"),
        ],
    )
    def test_percent(self, fraction: float, text: str) -> None:
        assert draw.percent(fraction) == text

    def test_a_label_covers_the_upper_left_corner_only(self) -> None:
        image = np.full((120, 200, 3), 200, dtype=np.uint8)
        labelled = draw.label(image, "layer 3", 20)
        changed = (labelled != image).any(axis=2)
        assert changed[:15, :40].any()
        assert not changed[60:].any()
        assert not changed[:, 120:].any()


def test_a_jpeg_file_has_the_image_in_its_colours() -> None:
    canvas = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    canvas[:, : WIDTH // 2], canvas[:, WIDTH // 2 :] = (220, 40, 10), (10, 60, 200)
    with Image.open(io.BytesIO(draw.jpeg(canvas))) as found:
        assert found.format == "JPEG" and found.size == (WIDTH, HEIGHT)
        assert np.abs(np.asarray(found).astype(int) - canvas).max() <= 6  # also at the edge between the colours

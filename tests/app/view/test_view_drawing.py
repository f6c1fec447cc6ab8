"""The download of the panes on screen: dcal.draw's image of what the view describes, with a caption."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dcal
from dcal import draw
from dcal_explorer.view.answers import answer
from dcal_explorer.view.arrays import packed
from tests.fixtures.view_page import record


def pane(values: np.ndarray, **fields: Any) -> dict[str, Any]:
    usual = {"low": 0.0, "high": 0.04, "unit": "share", "colours": "magma", "marked": None, "words": ["Rollout"]}
    return {"values": packed(values.astype(np.float32)), **usual, **fields}


def drawn(seen: dcal.Inspection, *panes: dict[str, Any], words: Any = ("cub50-full · heron",)) -> np.ndarray:
    request = {"kind": "drawing", "panes": list(panes), "opacity": 0.5, "smooth": False, "words": list(words)}
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer(seen, request)["png"]))))


def test_a_map_is_drawn_as_dcal_draws_it() -> None:
    seen = record()
    expected = draw.overlay(seen, seen.sa_map, 0.5, "magma", 0.0, 0.04, max_side=1024)
    expected = draw.mark(seen, expected, 1, 2)
    sheet = drawn(seen, pane(seen.sa_map, marked=7))
    np.testing.assert_array_equal(sheet[: len(expected)], expected)
    bar = draw.bar(expected.shape[1], 0.0, 0.04, "magma")
    np.testing.assert_array_equal(sheet[len(expected) : len(expected) + len(bar)], bar)
    assert (sheet[len(expected) + len(bar) :] < 100).any()  # words


def test_two_panes_a_selection_and_colours() -> None:
    seen = record()
    mask, colours = seen.selected_mask, np.random.default_rng(1).random((3, 5, 3))
    chosen = draw.selection(seen, mask, max_side=1024)
    sheet = drawn(seen, pane(mask, unit="mask"), pane(colours))
    np.testing.assert_array_equal(sheet[: len(chosen), : chosen.shape[1]], chosen)
    assert sheet.shape[1] > 2 * chosen.shape[1]
    patches = draw.patches(seen, colours, 0.5, max_side=1024)
    np.testing.assert_array_equal(sheet[: len(patches), -patches.shape[1] :], patches)


def test_patches_have_their_own_colours_where_the_model_looked() -> None:
    seen = record()
    colours = np.zeros((3, 5, 3))
    colours[1, 2] = 1, 0, 0.5
    canvas = draw.patches(seen, colours, opacity=1.0, max_side=None)
    left, top, right, bottom = seen.box
    x, y = int(left + 2.5 * (right - left) / 5), int(top + 1.5 * (bottom - top) / 3)
    assert canvas[y, x].tolist() == [255, 0, 128]
    assert canvas[y, int(left + 0.5 * (right - left) / 5)].tolist() == [0, 0, 0]


def test_long_lines_of_a_caption_are_broken() -> None:
    short, long = draw.caption(300, ["one"], size=20), draw.caption(300, ["one " * 40], size=20)
    assert short.shape[1] == long.shape[1] == 300
    assert len(long) > 4 * len(short) - 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"panes": []}, "one or two panes"),
        ({"panes": [1]}, "one or two panes"),
        ({"opacity": "half"}, "a finite number is needed, got 'half'"),
        ({"words": "caption"}, "up to 8 lines"),
        ({"panes": [pane(np.zeros((2, 2)))]}, "must be 3×5 finite numbers"),
        ({"panes": [pane(np.zeros((3, 5)), colours="jet")]}, "'jet'"),
        ({"panes": [pane(np.zeros((3, 5)), high=float("inf"))]}, "finite number"),
    ],
)
def test_what_describes_no_drawing_is_refused(change: dict[str, Any], words: str) -> None:
    request = {"kind": "drawing", "panes": [pane(np.zeros((3, 5)))], "opacity": 0.5, "words": [], **change}
    with pytest.raises(dcal.DCALError) as raised:
        answer(record(), request)
    assert words in str(raised.value)

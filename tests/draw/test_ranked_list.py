"""A ranking as one image: everything has its place, and frames say more than colour."""

from __future__ import annotations

import numpy as np

from dcal import draw
from dcal.draw.ranked_list import FRAME, FRAMES, MARGIN, SIDE, TEXT


def entry(shade: int, kind: str) -> draw.Entry:
    return draw.Entry(np.full((40, 30, 3), shade, dtype=np.uint8), ("one", "two"), kind)


def test_places_frames_and_text():
    hits = [entry(10 * i, kind) for i, kind in enumerate(("match", "wrong", "junk", ""), 1)]
    sheet = draw.ranked_list([entry(200, "query")], hits, "A title", columns=3)
    width, below = SIDE + 2 * FRAME + MARGIN, 2 * (TEXT + 3)
    assert sheet.shape == (3 * TEXT + 3 * (width + below), MARGIN + 3 * width, 3)
    for number, (kind, shade) in enumerate((("match", 10), ("wrong", 20), ("junk", 30), ("", 40))):
        top, left = 3 * TEXT + (1 + number // 3) * (width + below), MARGIN + number % 3 * width
        assert (sheet[top + FRAME + SIDE // 2, left + FRAME + SIDE // 2] == shade).all()
        edge = sheet[top + 1, left : left + SIDE + 2 * FRAME]
        if not kind:
            assert (edge == 255).all()
            continue
        share = (edge == FRAMES[kind]).all(axis=1).mean()
        assert share == 1 if kind != "wrong" else 0.4 < share < 0.65  # dashed
        assert (sheet[top + SIDE + 2 * FRAME : top + width + below - MARGIN, left : left + 40] < 128).any()

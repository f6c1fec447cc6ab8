"""A yard that is cut to its vehicles is a yard: the same rows, and every box holds all of its vehicle."""

from pathlib import Path

import numpy as np
import pytest

from dcal.data.reid.yard import Yard
from dcal.data.yard_table import HOME, TABLE
from dcal.errors import DCALError
from tools.study.boxes import box_of, cut


def test_a_box_has_a_margin_and_stays_within_the_image():
    parts = np.zeros((100, 200), np.uint8)
    parts[40:90, 0:100] = 3
    assert box_of(parts) == (0, 38, 104, 92)
    with pytest.raises(DCALError, match="shows no vehicle"):
        box_of(np.zeros((4, 4), np.uint8))


def test_a_cut_yard_has_the_same_vehicles_whole(tmp_path: Path):
    yard, out = tmp_path / "yard", tmp_path / "cut"
    for folder in ("images", "masks"):
        (yard / folder).mkdir(parents=True)
    header, *rows = (HOME / TABLE).read_text().splitlines()
    own = [row for row in rows if row.startswith(("images/0001_", "images/0002_"))]
    (yard / TABLE).write_text("\n".join([header, *own]) + "\n")
    for row in own:
        for name in row.split(",")[:2]:
            (yard / name).write_bytes((HOME / name).read_bytes())
    assert cut(yard, out) == len(own) == 16
    for whole, part in zip(Yard(yard, "train", False).records, Yard(out, "train", False).records, strict=True):
        assert (whole.identity, whole.camera, whole.visible) == (part.identity, part.camera, part.visible)
        assert part.open().size == part.parts().shape[::-1]
        assert (whole.parts() > 0).sum() == (part.parts() > 0).sum() > 0
        assert whole.difference().sum() == part.difference().sum()

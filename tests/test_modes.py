"""Files have the mode that the umask says, however they were made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dcal
from dcal import modes
from dcal.evaluation.run import keep


@pytest.fixture(params=[0o022, 0o027, 0o002], ids=oct)
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_what_is_written_has_the_usual_mode(mask: int, tmp_path: Path):
    model = dcal.create_model("test_vit", 2, ablation="sa_only", img_size=32).eval()
    place = dcal.save(model, tmp_path / "model")
    dcal.inspect(model, np.zeros((40, 40, 3), dtype=np.uint8)).to_npz(tmp_path / "seen.npz")
    keep({}, tmp_path, "kept.json")
    written = [*place.iterdir(), tmp_path / "seen.npz", tmp_path / "kept.json"]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o666 & ~mask}
    assert place.stat().st_mode & 0o777 == 0o777 & ~mask


def test_the_umask_without_linux(mask: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert modes.umask() == mask
    monkeypatch.setattr(modes, "STATUS", tmp_path / "nothing")
    assert modes.umask() == mask == modes.umask()

"""Images held out by time: the later ones, a moment never cut."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from dcal.data.reid.base import ReIDRecord
from dcal.data.splits import hold_out_later
from dcal.errors import DCALError


def records(*days: int | None) -> tuple[ReIDRecord, ...]:
    dates = [None if day is None else datetime(2026, 11, day) for day in days]
    return tuple(ReIDRecord(Path(f"{i}.jpg"), i % 2, 1, None, date) for i, date in enumerate(dates))


def test_the_later_images_are_held_out():
    kept, held = hold_out_later(records(5, 3, 9, 3, 7, 9), 1 / 3)
    assert [record.path.stem for record in kept] == ["0", "1", "3", "4"]
    assert [record.path.stem for record in held] == ["2", "5"]
    kept, held = hold_out_later(records(5, 9, 9, 9, 1), 0.2)
    assert (len(kept), len(held)) == (2, 3)  # the ninth stays whole


@pytest.mark.parametrize(
    ("days", "says"),
    [((1, None, 2, None), "2 of the 4 images have no date"), ((4, 4, 4), "too few are earlier"), ((4,), "too few")],
)
def test_what_cannot_be_split_by_time_is_said(days: tuple[int | None, ...], says: str):
    with pytest.raises(DCALError, match=says):
        hold_out_later(records(*days), 0.5)

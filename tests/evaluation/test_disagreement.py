"""Which test images checkpoints disagree on: in their answers, in their maps, and whose results can be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcal.errors import DCALError
from dcal.evaluation import disagreement
from dcal.evaluation.coarse_maps import coarse
from dcal.evaluation.disagreement import disagreements
from dcal.evaluation.image_results import ImageResults
from dcal.evaluation.predictions import Predictions, QueryRanks

IMAGES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
LABELS = [0, 1, 2, 0]


def results(predicted: list[int], own: list[float], peaks: list[int]) -> ImageResults:
    """Of four images; every map is one cell, in one row of three."""
    maps = np.zeros((4, 1, 3))
    maps[np.arange(4), 0, peaks] = 1
    values = np.array(own, dtype=np.float32)
    answers = Predictions(
        "same", np.array(LABELS), {"fused": np.array(predicted)}, {"fused": values}, {"fused": values}
    )
    return ImageResults("x", "birds", "squash", IMAGES, answers, {"rollout": coarse(maps)}, ("owl", "kiwi", "emu"))


FIRST = results([0, 1, 2, 1], [0.9, 0.5, 0.75, 0.25], [0, 0, 0, 0])
SECOND = results([0, 2, 2, 1], [0.125, 0.25, 0.75, 0.125], [0, 0, 1, 0])


def test_labels_are_listed_once_and_not_for_every_image(monkeypatch: pytest.MonkeyPatch):
    labels_of, calls = disagreement.labels_of, list[ImageResults]()

    def counted(found: ImageResults) -> tuple[str, ...]:
        calls.append(found)
        return labels_of(found)

    monkeypatch.setattr(disagreement, "labels_of", counted)
    disagreements({"oak": FIRST, "ash": SECOND})
    assert len(calls) == 5  # of each, the first's to compare it with, and those that are kept


def test_answers_disagree_first_where_one_is_right_and_one_wrong():
    found = disagreements({"oak": FIRST, "ash": SECOND})
    assert [found.images[row] for row in found.order("answers")] == ["b.jpg", "a.jpg", "d.jpg", "c.jpg"]
    assert found.spread == pytest.approx([0.775, 0.25, 0, 0.125])
    assert found.labels == ("owl", "kiwi", "emu", "owl") and found.answers[1] == ("kiwi", "emu")
    assert found.only(("oak",)).tolist() == [False, True, False, False]
    assert found.only(()).tolist() == [False, False, False, True]


def test_maps_disagree_by_what_must_move():
    found = disagreements({"oak": FIRST, "ash": SECOND})
    assert found.moved.tolist() == [0, 0, 1, 0] and found.order("maps")[0] == 2
    without = replace(SECOND, maps={})
    assert disagreements({"oak": FIRST, "ash": without}).order("maps") == []


def test_rows_are_found_by_the_images_names():
    order = [2, 0, 3, 1]
    answers = SECOND.answers
    assert isinstance(answers, Predictions)
    columns = {name: {"fused": getattr(answers, name)["fused"][order]} for name in ("predicted", "confidence", "own")}
    moved = Predictions("same", answers.labels[order], **columns)
    other = replace(
        SECOND,
        images=tuple(IMAGES[row] for row in order),
        answers=moved,
        maps={"rollout": SECOND.maps["rollout"][order]},
    )
    straight, found = (disagreements({"oak": FIRST, "ash": own}) for own in (SECOND, other))
    np.testing.assert_array_equal(found.scores, straight.scores)
    np.testing.assert_array_equal(found.moved, straight.moved)
    assert found.answers == straight.answers


def test_queries_by_their_average_precision():
    def ranked(ap: list[float], first: list[int]) -> ImageResults:
        answers = QueryRanks(
            ("7", "7", "8", "8"), np.ones(4, dtype=int), {"joined": np.array(ap)}, {"joined": np.array(first)}
        )
        return replace(FIRST, answers=answers, classes=())

    found = disagreements(
        {"oak": ranked([0.5, np.nan, 1, 0], [1, 0, 1, 3]), "ash": ranked([1, np.nan, 0.25, 0.5], [1, 0, 2, 3])}
    )
    assert [found.images[row] for row in found.order()] == ["c.jpg", "a.jpg", "d.jpg"]  # b.jpg has no match
    assert found.answers[2] == ("1", "2")


def test_what_cannot_be_compared():
    with pytest.raises(DCALError, match="at least two checkpoints"):
        disagreements({"oak": FIRST})
    for changed in ({"images": ("a.jpg", "b.jpg", "c.jpg", "e.jpg")}, {"view": "crop"}):
        with pytest.raises(DCALError, match="ash was evaluated on other images"):
            disagreements({"oak": FIRST, "ash": replace(SECOND, **changed)})
    with pytest.raises(DCALError, match="ash was evaluated with other labels"):
        disagreements({"oak": FIRST, "ash": replace(SECOND, classes=("owl", "emu", "kiwi"))})

"""Twins pair by pair: the same numbers as over all pairs together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dcal
from dcal.analysis.twin_pairs import on_difference, told_apart_by_pair, twin_pairs
from dcal.analysis.twins import on_part, pairs_of, told_apart
from dcal.data.reid.yard import Yard
from tests.fixtures.tiny_yard import write_checkpoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoints(tmp_path_factory.mktemp("reid"))


def test_pairs_and_their_questions_show_the_part(folder: Path):
    records = Yard(folder.parent / "yard", "query").records
    found = twin_pairs(records)
    assert [pair.identities for pair in found] == [(25, 26), (59, 60)]
    for pair in found:
        assert pair.question is not None
        query, same, twin = pair.question
        assert query.identity == same.identity == twin.twin and same.camera == twin.camera != query.camera
        assert min(record.visible for record in pair.question) > 0 and query.differs == pair.differs


def test_they_are_told_apart_as_over_all_pairs(folder: Path):
    records = Yard(folder.parent / "yard", "query").records
    values = np.random.default_rng(0).standard_normal((len(records), 6)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    found = told_apart_by_pair(records, values)
    for own, value in zip(pairs_of(records), found.values(), strict=True):
        assert value == told_apart({i: records[i] for i in own if records[i].visible}, values)


def test_the_evidence_is_that_of_the_margin(folder: Path):
    model = dcal.load(folder / "reid-full")
    (pair, _) = twin_pairs(Yard(folder.parent / "yard", "query").records)
    match, on = on_difference(model, pair.question)
    query, same, twin = (record.path for record in pair.question)
    expected = dcal.explain_match(model, query, same, against=twin).evidence()
    np.testing.assert_allclose(match.evidence().query_map, expected.query_map, atol=1e-7)
    assert on == on_part(pair.question[0], match.query, match.evidence().query_map.clip(min=0))
    assert 0 <= on.share <= 1 and 0 < on.area < 1

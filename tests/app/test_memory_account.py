"""Memory by the demo's own account: the short form of `python -m tests.stress accounting`, and leaks that it sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo.callbacks import inspect as inspect_module
from dcal_explorer.demo.query_session import QuerySession
from dcal_explorer.demo.sessions import Drawing, Entry
from tests.fixtures.ablations import write_ablations
from tests.fixtures.tiny_yard import write_checkpoints
from tests.stress.accounting import GROWTH, SMALL, Faces, account, missed, visit


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CheckpointLibrary:
    return CheckpointLibrary(write_ablations(write_checkpoints(tmp_path_factory.mktemp("both"))))


@pytest.fixture
def faces(library: CheckpointLibrary, tmp_path: Path) -> Faces:
    return Faces.of(library, tmp_path, ("ash", "oak"), "reid-full")


def test_what_is_counted_is_what_is_held_and_nothing_stays(faces: Faces) -> None:
    found = account(faces, rounds=3, visitors=3)
    assert found.uncounted <= SMALL
    assert (found.kept, found.alive) == (0, 0)
    assert found.growth <= GROWTH


def test_a_drawing_that_holds_its_entry_is_seen(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    """As all drawings once did: a cycle, which only a collection of garbage frees."""
    records = faces.inspect.records

    def cyclic(name: str, draw: Any, maps: Any = ()) -> Drawing:
        entry = next(reversed(records._entries.values()))
        return Drawing(name, lambda side: (entry, draw(side))[1], maps)

    monkeypatch.setattr(inspect_module, "Drawing", cyclic)
    monkeypatch.setattr(Entry, "close", lambda entry: None)
    found = account(faces, rounds=1, visitors=2)
    assert found.kept == 0 and found.alive >= 2


def test_an_array_that_is_not_counted_is_seen(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySession, "nbytes", property(lambda session: 0))
    assert account(faces, rounds=1, visitors=1).uncounted > SMALL


def test_the_evidence_of_a_match_counts(faces: Faces) -> None:
    """Which grows with the square of the patches: 270 kB by a checkpoint of 196, and next to nothing by a tiny one."""
    session = faces.reid.records.get(visit(faces, 1)[faces.reid.records])
    assert session.explained is not None
    evidence = session.explained.match.all_evidence
    evidence["sa"] = replace(evidence["sa"], likeness=np.zeros((300, 300), np.float32))
    assert missed(session) <= SMALL


def test_a_list_that_keeps_every_record_is_seen(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    keep = faces.inspect.records.keep

    def hoarding(entry: Any, **more: Any) -> str:
        kept.append(entry)
        return keep(entry, **more)

    monkeypatch.setattr(faces.inspect.records, "keep", hoarding)
    assert account(faces, rounds=1, visitors=2).alive >= 4  # entries and their records

"""The audit of pinned distributions: what counts as a finding, what is skipped; and what constraints.txt holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tools import audit

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {"name": "a", "version": "1.0", "vulns": []}
BAD = {"name": "b", "version": "2.0", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([CLEAN, BAD], 1, "b 2.0: PYSEC-1, PYSEC-2"),
        ([CLEAN, UNKNOWN], 0, "audit skipped for c"),
        ([UNKNOWN], 0, "audit skipped: the advisory data cannot be reached for any of 1"),
        ("no network", 0, "audit skipped: no network"),
    ],
)
def test_what_the_audit_says(found, status, words, monkeypatch, capsys):
    monkeypatch.setattr(audit, "report", lambda: found)
    assert audit.main() == status
    assert words in capsys.readouterr().out


def test_every_requirement_is_pinned_in_the_constraints_at_the_same_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {plain(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.+!-]+)", "\n".join(lines))}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = [*(ROOT / "requirements.txt").read_text().splitlines(), *extras["dev"], *extras["milvus"]]
    wrong = [
        line
        for line in asked
        if (match := re.match(r"([\w.-]+)(?:\[.*\])?==([\w.+!-]+)", line)) and pinned.get(plain(match[1])) != match[2]
    ]
    assert not wrong, "run `make constraints`"
    assert len(pinned) > 100
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+( ; .+)?", line) for line in lines), (
        "names and versions alone, no hosts"
    )

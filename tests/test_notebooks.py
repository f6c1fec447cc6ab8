"""Every notebook runs from top to bottom, on what is bundled."""

import json
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, monkeypatch, tmp_path):
    """From the project's folder or from its own, by turns; what it writes goes to a temporary folder."""
    monkeypatch.chdir(ROOT / (".", "notebooks")[NOTEBOOKS.index(path) % 2])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    names = {"__name__": "notebook"}
    for cell in cells:
        exec("".join(cell["source"]), names)  # the project's own notebooks
        assert cell["outputs"] == [], "clear the outputs before committing: they would go stale"


def test_there_are_five():
    assert [path.name.partition("-")[0] for path in NOTEBOOKS] == list("12345")

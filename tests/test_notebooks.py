"""Every notebook runs from top to bottom, on what is bundled."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_runs(path, folder, monkeypatch):
    monkeypatch.chdir(ROOT / folder)
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    names = {"__name__": "notebook"}
    for cell in cells:
        exec("".join(cell["source"]), names)  # the project's own notebooks
        assert cell["outputs"] == [], "clear the outputs before committing: they would go stale"


def test_there_is_one():
    assert NOTEBOOKS

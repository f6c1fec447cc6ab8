"""Every notebook runs from top to bottom, on what is bundled, and becomes a page of the site with its figures."""

import json
import re
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from tools.documents.notebooks import render

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IMAGES = {"1-attentions": 0, "2-inspect": 7, "3-ablations": 2, "4-reid": 1, "5-train": 1}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_becomes_a_page(path, monkeypatch, tmp_path):
    """From the project's folder or from its own, by turns; what it writes goes to a temporary folder."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells), "clear the outputs before committing: they would go stale"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    page = render(path, tmp_path / "pages", ROOT / (".", "notebooks")[NOTEBOOKS.index(path) % 2])
    text = page.read_text()
    assert text.count("```python\n") == len(cells)
    images = re.findall(r"!\[.+\]\((.+)\)", text)
    assert len(images) == IMAGES[path.stem]
    for name in images:
        with Image.open(page.parent / name) as image:
            assert len(image.getcolors(image.width * image.height)) > 50


def test_a_cell_that_fails_ends_it(tmp_path):
    notebook = tmp_path / "broken.ipynb"
    cells = [{"cell_type": "code", "source": ["print('here')\n", "1 / 0"]}]
    notebook.write_text(json.dumps({"cells": cells}))
    with pytest.raises(ZeroDivisionError):
        render(notebook, tmp_path / "pages")
    assert not (tmp_path / "pages" / "broken.md").exists()


def test_there_are_five():
    assert [path.name.partition("-")[0] for path in NOTEBOOKS] == list("12345")

"""Run the notebooks and write them, with what they show, as pages of the site: docs/notebooks, which is not kept.

    python -m tools.documents.notebooks [NAME ...]

The interactive view needs a running kernel: in a page, its place is taken by the image and the map that it opens with.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from dcal import draw

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "docs" / "notebooks"
VIEW = ("dcal_explorer.view.notebook", "NotebookView")
SOURCE = "\n*This page is `notebooks/{}`, run as it stands; open that file in Jupyter to change it.*\n"


def render(notebook: Path, out: Path, folder: Path = ROOT) -> Path:
    """Run a notebook in `folder` from top to bottom and write `out`/NAME.md, its images beside it in NAME/; the page.

    Raises whatever a cell raises.
    """
    page = Page(notebook.stem, out)
    with shell(folder) as running:
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                page.add(source)
                continue
            page.add(f"```python\n{source}\n```")
            with capture_output() as seen:
                done = running.run_cell(source)
            done.raise_error()
            page.add_text(seen.stdout)
            for data in (*(output.data for output in seen.outputs), *running.displayhook.taken()):
                page.add_output(data)
    page.parts.insert(1, SOURCE.format(notebook.name))
    path = out / f"{notebook.stem}.md"
    path.write_text("\n\n".join(page.parts) + "\n", encoding="utf-8")
    return path


class Page:
    """A page that grows cell by cell. Images are files in a folder of the page's name."""

    def __init__(self, name: str, out: Path) -> None:
        self.name, self.out, self.images = name, out, 0
        self.parts: list[str] = []
        self.title = name  # the last heading, which describes the images below it
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)

    def add(self, text: str) -> None:
        self.title = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("#")), self.title)
        self.parts.append(text)

    def add_text(self, text: str) -> None:
        if text.strip():
            self.parts.append(f"```text\n{text.rstrip()}\n```")

    def add_output(self, data: Mapping[str, Any]) -> None:
        """What a cell shows: an image where there is one, else text."""
        if "image/png" not in data:
            self.add_text(str(data.get("text/plain", "")))
            return
        self.images += 1
        png, file = data["image/png"], f"{self.name}/{self.images}.png"
        (self.out / file).write_bytes(base64.b64decode(png) if isinstance(png, str) else png)
        self.parts.append(f"![{self.title}]({file})")


class Kept(DisplayHook):
    """Keeps the value of a cell's last line, in every form that it has, instead of printing it."""

    def start_displayhook(self) -> None:
        self.shown: list[Mapping[str, Any]] = []

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Any = None) -> None:
        self.shown.append(format_dict)

    def finish_displayhook(self) -> None:
        pass

    def taken(self) -> list[Mapping[str, Any]]:
        """What was shown since the last call."""
        shown, self.shown = getattr(self, "shown", []), []
        return shown


@contextmanager
def shell(folder: Path) -> Iterator[Any]:
    """IPython in this process, without its history, in a folder; it draws the live view as an image."""
    before = Path.cwd()
    running: Any = InteractiveShell.instance(displayhook_class=Kept)
    running.history_manager.enabled = False
    formatters = running.display_formatter
    formatters.active_types = ["text/plain", "image/png"]
    formatters.formatters["image/png"].for_type_by_name(*VIEW, still)
    os.chdir(folder)
    try:
        yield running
    finally:
        os.chdir(before)
        InteractiveShell.clear_instance()


def still(view: Any) -> bytes:
    """The image of a live view, and the map that it opens with."""
    seen, found = view.seen, io.BytesIO()
    both = draw.beside([draw.base_image(seen, 480), draw.overlay(seen, seen.sa_map, max_side=480)])
    Image.fromarray(both).save(found, format="PNG")
    return found.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of notebooks; all by default")
    names = parser.parse_args().names or [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    for name in names:
        print(render(ROOT / "notebooks" / f"{name}.ipynb", OUT).relative_to(ROOT), flush=True)


if __name__ == "__main__":
    main()

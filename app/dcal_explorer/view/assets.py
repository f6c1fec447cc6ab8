"""The view's JavaScript and CSS as text, for faces that take a component as one module.

The files are plain ES modules and run as they are. Joined, they are one module: their imports of each other are left
out, and only `mount` and `View` are exported.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENTRY = "view.js"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)


def order(entry: str = ENTRY) -> list[str]:
    """The module's files, each after those that it imports."""
    found: list[str] = []

    def visit(name: str) -> None:
        for imported in IMPORT.findall(source(name)):
            if imported not in found:
                visit(imported)
        found.append(name)

    visit(entry)
    return found


@lru_cache
def module() -> str:
    """The whole view as one ES module that exports `mount` and `View`."""
    parts = [re.sub(r"^export ", "", IMPORT.sub("", source(name)), flags=re.MULTILINE) for name in order()]
    return "\n".join([*parts, "export { mount, View };\n"])


@lru_cache
def stylesheet() -> str:
    return (HERE / "view.css").read_text(encoding="utf-8")


def source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")

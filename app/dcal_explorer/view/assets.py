"""The view's JavaScript and CSS as text, for faces that take a component as one module.

The files are plain ES modules and run as they are. Joined, they are one module: their imports of each other are left
out, and so are their exports.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENTRY = "view.js"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)


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
def body() -> str:
    """The whole view as one script without imports or exports; `mount` shows a view."""
    return "\n".join(EXPORT.sub("", IMPORT.sub("", source(name))) for name in order())


def adapted(adapter: str) -> str:
    """The whole view as one ES module for a face: `adapter` is the file that says how that face shows it."""
    return f"{body()}\n{source(adapter)}"


def called(adapter: str) -> str:
    """The same as the body of a function, for faces that run a component's code instead of importing it.

    The view itself is made once a page, however many components there are.
    """
    once = f'globalThis[Symbol.for("dcal-explorer.mount")] ??= (() => {{\n{body()}\nreturn mount;\n}})();'
    return f'{once}\nconst mount = globalThis[Symbol.for("dcal-explorer.mount")];\n{source(adapter)}'


@lru_cache
def stylesheet() -> str:
    return source("view.css")


def source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")

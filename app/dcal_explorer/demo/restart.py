"""The images that a page showed when it was loaded again: after the server was started anew, or by the visitor.

restart.js keeps them in the browser (sessionStorage, for this page alone) and uploads them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcal import DCALError
from dcal_explorer.demo.inputs import checked_upload

KEPT = (Path(__file__).with_name("restart.js")).read_text(encoding="utf-8")  # a function that gives what `shown` takes


@dataclass(frozen=True)
class Shown:
    """An uploaded image for each tab that showed one, and the gallery's image that was the query, by its key there."""

    inspect: Path | None = None
    compare: Path | None = None
    query: Path | None = None
    card: str | None = None


def shown(folder: Path, found: Any) -> Shown:
    """What the browser kept. Whatever is no upload below `folder` is left out."""
    given = found if isinstance(found, dict) else {}
    images = {name: _upload(folder, given.get(name)) for name in ("inspect", "compare", "query")}
    card = given.get("card")
    return Shown(**images, card=card if isinstance(card, str) else None)


def _upload(folder: Path, path: Any) -> Path | None:
    try:
        return checked_upload(folder, {"path": path})
    except DCALError:
        return None

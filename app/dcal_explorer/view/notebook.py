"""The live view in notebooks: `dcal.show(record)`."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from dcal import DCALError, Inspection
from dcal_explorer.view.answers import answered
from dcal_explorer.view.assets import adapted, stylesheet
from dcal_explorer.view.payload import payload

KEY = "shown"


class NotebookView(anywidget.AnyWidget):
    """A widget that shows one record; `show_record` gives it another, and what is chosen stays."""

    _esm = adapted("notebook.js")
    _css = stylesheet()
    payload = traitlets.Dict().tag(sync=True)

    def __init__(self, seen: Inspection, **options: Any) -> None:
        super().__init__()
        self.on_msg(self._answer)
        self.show_record(seen, **options)

    def show_record(self, seen: Inspection, **options: Any) -> None:
        """Show `seen`; options as in `payload`. The last layer's attention is stored with the notebook."""
        self.seen = seen
        self.payload = payload(seen, **{"key": KEY, "inline": [seen.num_layers - 1], **options})

    def _answer(self, _: Any, content: Any, __: Any) -> None:
        """Answer what the view fetches: {"number", "request"} comes, {"number", "arrays" or "error"} goes."""
        if not isinstance(content, dict) or "number" not in content:
            return
        found = answered(self._record, content.get("request"))
        error = found.get("error")
        self.send({"number": content["number"], **({"error": error} if error else {"arrays": found})})

    def _record(self, key: str) -> Inspection:
        if key != KEY:
            raise DCALError(f"this widget shows no record {key!r}")
        return self.seen

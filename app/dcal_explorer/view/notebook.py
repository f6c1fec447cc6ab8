"""The live view in notebooks: `dcal.show(record)`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import anywidget
import traitlets

from dcal import DCAL, DCALError, Inspection
from dcal_explorer.view.answers import answered
from dcal_explorer.view.assets import adapted, stylesheet
from dcal_explorer.view.measuring import Measurements
from dcal_explorer.view.payload import payload

KEY = "shown"


class NotebookView(anywidget.AnyWidget):
    """A widget that shows one record; `show_record` gives it another, and what is chosen stays."""

    _esm = adapted("notebook.js")
    _css = stylesheet()
    payload = traitlets.Dict().tag(sync=True)

    def __init__(self, seen: Inspection, model: DCAL | None = None, **options: Any) -> None:
        super().__init__()
        self.model, self.measurements = model, Measurements()
        self.on_msg(self._answer)
        self.show_record(seen, **options)

    def show_record(self, seen: Inspection, **options: Any) -> None:
        """Show `seen`; options as in `payload`. With a model, what only it can tell.

        The last layer's attention is stored with the notebook.
        """
        self.seen = seen
        own = {"key": KEY, "inline": [seen.num_layers - 1], "has_model": self.model is not None}
        self.payload = payload(seen, **{**own, **options})

    def _answer(self, _: Any, content: Any, __: Any) -> None:
        """Answer what the view fetches: {"number", "request"} comes, {"number", "arrays" or "error"} goes."""
        if not isinstance(content, dict) or "number" not in content:
            return
        model_of = None if self.model is None else lambda _: nullcontext(self.model)
        found = answered(self._record, content.get("request"), model_of, self.measurements)
        error = found.get("error")
        self.send({"number": content["number"], **({"error": error} if error else {"arrays": found})})

    def _record(self, key: str) -> Inspection:
        if key != KEY:
            raise DCALError(f"this widget shows no record {key!r}")
        return self.seen

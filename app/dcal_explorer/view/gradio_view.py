"""The live view as a component of the demo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dcal import Inspection
from dcal_explorer.view.answers import answered
from dcal_explorer.view.assets import called, stylesheet


class LiveView(gr.HTML):
    """Shows a payload (see payload.py), or nothing for None.

    `record_of` gives the record that a payload's key stands for: the view fetches attention from it. `link`: views of
    one name move together. Its event `look` brings what the visitor has chosen, as `gr.EventData`.
    """

    def __init__(self, record_of: Callable[[str], Inspection], link: str = "", **options: Any) -> None:
        def answer(request: Any) -> dict[str, Any]:
            return answered(record_of, request)

        super().__init__(
            html_template='<div class="dcal-host"></div>',
            css_template=stylesheet(),
            js_on_load=called("gradio.js"),
            apply_default_css=False,
            server_functions=[answer],
            link=link,
            **options,
        )

    def preprocess(self, payload: Any) -> None:
        """The view gives nothing back: what it shows came from here."""
        return None

    def postprocess(self, value: dict[str, Any] | None) -> dict[str, Any] | None:  # type: ignore[override]
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": "the image, its maps and their scales, for the live view"}

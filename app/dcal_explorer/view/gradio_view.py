"""The live view as a component of the demo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dcal import Inspection
from dcal_explorer.view.answers import ModelOf, answered
from dcal_explorer.view.assets import called, stylesheet
from dcal_explorer.view.measuring import Measurements


def live_view(
    record_of: Callable[[str], Inspection],
    link: str = "",
    model_of: ModelOf | None = None,
    parts: str = "all",
    **options: Any,
) -> gr.HTML:
    """A component that shows a payload (see payload.py), or nothing for None. Further options are `gr.HTML`'s.

    `record_of` gives the record that a payload's key stands for, or raises DCALError: the view fetches attention from
    it. `model_of` gives its model, for payloads that say `has_model`. Views of one `link` move together; those with
    the `parts` "maps" are moved by one with the parts "controls". The component's event `look` brings what the visitor
    has chosen, as `gr.EventData`; listen with `trigger_mode="multiple"`, as gradio's "always_last" calls again with the
    data of an earlier event. It is no input: the browser has nothing that the server has not.
    """
    measurements = Measurements()

    # A function, not a class of our own: gradio writes a stub file beside the source of every component class.
    def answer(request: Any) -> dict[str, Any]:
        return answered(record_of, request, model_of, measurements)

    return gr.HTML(
        html_template='<div class="dcal-host"></div>',
        css_template=stylesheet(),
        js_on_load=called("gradio.js"),
        apply_default_css=False,
        server_functions=[answer],
        link=link,
        parts=parts,
        **options,
    )

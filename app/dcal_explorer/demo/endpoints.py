"""Named endpoints of the tab "Inspect" for programs, and the page's list of them with an example that runs.

The live view shows in the browser what these draw on the server. Their inputs are components that no visitor sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.model_maps import ModelMapCallbacks
from dcal_explorer.demo.components import PUBLIC

EXAMPLE = """from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")  # this page's address
predictions, summary = client.predict(handle_file("bird.jpg"), "{checkpoint}", api_name="/inspect")
image, caption = client.predict(9, api_name="/layer")  # the rollout after layer 9
file = client.predict(api_name="/download_image")  # the same, large, with a caption
"""
ABOUT = (
    "Every map of this page is an endpoint, too: `/inspect` takes an image, the others draw from it in the same "
    "session. The link *API* at the foot of the page lists them with their arguments. `dcal demo --mcp` serves "
    "tools for assistants, too."
)
LOOK = {"colormap": ("Textbox", "viridis"), "opacity": ("Number", 0.6), "smooth": ("Checkbox", False)}


def build(callbacks: InspectCallbacks, record: gr.State, checkpoint: str) -> None:
    """The endpoints, and what the page says about them."""
    of_model = ModelMapCallbacks(callbacks)
    layer, row, column = ("Number", 1), ("Number", 1), ("Number", 1)
    text, flag = ("Textbox", ""), ("Checkbox", True)
    drawing, sentence = ("Image", "image"), ("Textbox", "sentence")
    rollout = {"fusion": ("Textbox", "mean"), "discard": ("Number", 0.0)}
    with gr.Group(visible=False):
        for function, inputs, outputs in (
            (callbacks.layer, {"layer": layer, **rollout, "one_scale": flag, **LOOK}, [drawing, sentence]),
            (callbacks.layers, {**rollout, **LOOK}, [drawing, sentence]),
            (callbacks.heads, {"layer": layer, **LOOK}, [drawing, sentence]),
            (
                callbacks.token,
                {"row": row, "column": column, "layer": layer, "head": ("Number", 0), **LOOK},
                [drawing, sentence],
            ),
            (callbacks.compare, {"kind": ("Textbox", "input"), **LOOK}, [drawing] * 3 + [sentence] * 3),
            (callbacks.select, {"ratio": ("Number", 0.1)}, [drawing, sentence]),
            (callbacks.evidence, {"target": text, **LOOK}, [drawing] * 2 + [sentence] * 2),
            (of_model.contrast, {"target": text, "rival": text, **LOOK}, [drawing, sentence]),
            (of_model.token_sizes, {"layer": layer, **LOOK}, [drawing, sentence]),
            (
                of_model.similar_patches,
                {"row": row, "column": column, "layer": layer, **LOOK},
                [drawing, sentence],
            ),
            (of_model.faithfulness, {"map": ("Textbox", "rollout")}, [("JSON", "curves")]),
            (callbacks.download_image, {}, [("File", "file")]),
        ):
            endpoint(function, record, inputs, outputs)
    with gr.Accordion("For programs", open=False):
        gr.Markdown(ABOUT, elem_classes="sentence")
        gr.Code(EXAMPLE.format(checkpoint=checkpoint), language="python", show_label=False, interactive=False)


def endpoint(
    function: Callable[..., Any], record: gr.State, inputs: dict[str, tuple[str, Any]], outputs: list[tuple[str, str]]
) -> None:
    """One endpoint of the name of its function; `inputs` are (kind of component, default) by parameter."""
    made = [getattr(gr, kind)(value=value, label=name, visible=False) for name, (kind, value) in inputs.items()]
    places = [
        getattr(gr, kind)(label=name, visible=False, **({"format": "jpeg"} if kind == "Image" else {}))
        for kind, name in outputs
    ]
    trigger = gr.Button(visible=False)
    trigger.click(function, [record, *made], places, api_name=function.__name__, **PUBLIC)

"""The demo's tools by the Model Context Protocol: gradio serves them, this says which functions are tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio.mcp import GradioMCPServer

from dcal import DCALError
from dcal_explorer.demo.callbacks.tools import Tools
from dcal_explorer.demo.components import PUBLIC

COMPONENTS = {"str": gr.Textbox, "int": gr.Number, "bool": gr.Checkbox}


def prepare() -> None:
    """Have gradio offer as tools what was made to be one.

    Its own choice is every named endpoint; the page's draw from a session's record, and a tool's caller has no session.
    Raises DCALError where the protocol's package is missing.
    """
    if find_spec("mcp") is None:
        raise DCALError('--mcp needs the package `mcp`: pip install "dcal[mcp]"')

    def tools(self: GradioMCPServer) -> dict[str, str]:
        found = {name: self.get_block_fn_from_endpoint_name(name) for name in self.api_info["named_endpoints"]}
        return {
            name.lstrip("/"): name
            for name, block in found.items()
            if block is not None and getattr(block.fn, "_mcp_type", "") == "tool"
        }

    GradioMCPServer.get_tool_to_endpoint = tools  # type: ignore[method-assign]


def add_tools(tools: Tools) -> None:
    """An endpoint for each tool, of the name of its function; to be called while the page is laid out."""
    with gr.Group(visible=False):
        for function in tools.all():
            add_tool(function)


def add_tool(function: Callable[..., Any]) -> None:
    """The endpoint of one tool. It calls without gradio's queue: who runs a model waits in the models' own."""
    parameters = inspect.signature(function).parameters.values()
    inputs = [
        COMPONENTS[str(own.annotation)](
            value=None if own.default is own.empty else own.default, label=own.name, visible=False
        )
        for own in parameters
    ]
    drawn = "RGB" in str(inspect.signature(function).return_annotation)
    outputs: list[gr.components.Component] = [gr.Textbox(label="answer", visible=False)]
    if drawn:
        outputs.insert(0, gr.Image(label="image", format="jpeg", visible=False))
    gr.Button(visible=False).click(function, inputs, outputs, api_name=function.__name__, queue=False, **PUBLIC)

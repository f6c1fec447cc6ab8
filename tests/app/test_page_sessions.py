"""What gradio keeps of a page that was opened: its states, and nothing of what it shows."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio import state_holder, utils

from dcal_explorer.demo.page_sessions import keep_small_sessions, leave_matplotlib_out


def page() -> gr.Blocks:
    """A call counts in the page's state, shows a text, and fits a slider to the count."""

    def call(count: int) -> tuple[int, str, Any]:
        return count + 1, "shown " * 1000, gr.update(maximum=count + 5)

    with gr.Blocks(analytics_enabled=False) as blocks:
        state, text, slider = gr.State(0), gr.Textbox(), gr.Slider(0, 1)
        gr.Button().click(call, state, [state, text, slider])
    return blocks


def test_pages_keep_their_states_and_nothing_that_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_holder.SessionState, "__init__", state_holder.SessionState.__init__)  # restored after
    keep_small_sessions()

    async def two_calls() -> tuple[Any, Any, list[Any], list[Any]]:
        """The first page's session after two calls, another page's, the components, and what the browser got."""
        blocks, holder = page(), state_holder.StateHolder()
        holder.set_blocks(blocks)
        first, second = holder["first"], holder["second"]
        for _ in range(2):
            sent = (await blocks.process_api(blocks.fns[0], [None], state=first))["data"]
        return first, second, list(blocks.fns[0].outputs), sent

    first, second, (count, text, slider), (_, shown, fitted) = asyncio.run(two_calls())
    assert shown.startswith("shown") and fitted["maximum"] == 6
    assert (first[count._id], second[count._id]) == (2, 0)
    assert (first[slider._id].maximum, second[slider._id].maximum) == (6, 1)  # a component belongs to its page
    assert text._id in first
    assert not list(first.components) and "shown" not in str(first.config_values)


def test_a_call_leaves_matplotlib_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    monkeypatch.setattr(utils, "MatplotlibBackendMananger", utils.MatplotlibBackendMananger)
    used: list[str] = []
    monkeypatch.setattr(matplotlib, "use", used.append)
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "agg")
    leave_matplotlib_out()
    with utils.MatplotlibBackendMananger():
        pass
    assert not used

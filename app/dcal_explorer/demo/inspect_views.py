"""The six views of the tab "Inspect": layers, heads, one patch, SA and GLCA, the selection, what speaks for a class.

Each is built to fit the record `first`, and fits itself to later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from dcal import Inspection
from dcal.model.rollout import FUSIONS
from dcal_explorer.content import captions
from dcal_explorer.demo.components import (
    PRIVATE,
    LayersView,
    TokenView,
    View,
    ViewBinding,
    fit_layer,
    picture,
    sentence,
)
from dcal_explorer.demo.events import PLAY, ClickHandlers, strongest
from dcal_explorer.demo.inspect_callbacks import InspectCallbacks

BEAT = 0.6  # seconds that a layer is shown while the rollout plays


def layer_slider(first: Inspection) -> gr.Slider:
    return gr.Slider(1, first.num_layers, first.num_layers, step=1, label="Layer", scale=4, min_width=200, buttons=[])


def layers(explorer: InspectCallbacks, record: gr.State, look: Sequence[Any], first: Inspection) -> LayersView:
    """The rollout, growing layer by layer."""
    gestures = ClickHandlers(explorer.records)
    with gr.Tab("Layers", id="layers") as tab:
        with gr.Row(elem_classes="controls"):
            layer = layer_slider(first)
            play = gr.Button(PLAY, scale=1, min_width=110, size="md", elem_id="play")
        shown, said = picture("Layer picture", clickable=True), sentence("Layer sentence")
        strip, strip_said = picture("Layer strip", clickable=True), sentence("Strip sentence")
        with gr.Accordion("How the rollout is computed", open=False), gr.Row():
            fusion = gr.Radio(list(FUSIONS), value="mean", label="Head fusion", min_width=220)
            discard = gr.Slider(0, 0.95, 0, step=0.05, label="Discard ratio", min_width=220, buttons=[])
            one_scale = gr.Checkbox(True, label="One scale for all layers")
        # inside the tab: gr.Tabs takes whatever else it holds for a tab
        playing, clock = gr.State(False), gr.Timer(BEAT, active=False)
    one = ViewBinding(explorer.layer, [record, layer, fusion, discard, one_scale, *look], [shown, said])
    every = ViewBinding(explorer.layers, [record, fusion, discard, *look], [strip, strip_said])
    one.on(layer.input, fusion.input, discard.release, one_scale.input, name="layer")
    every.on(fusion.input, discard.release, name="layers")
    one.after(strip.select(gestures.layer_at, record, layer, **PRIVATE))

    one.after(play.click(gestures.play, [record, playing, layer], [playing, clock, play, layer], **PRIVATE))
    one.after(clock.tick(gestures.beat, [record, layer], [playing, clock, play, layer], **PRIVATE))
    return LayersView(tab=tab, drawings=[every, one], fits={layer: fit_layer}, whole=shown, layer=layer)


def heads(explorer: InspectCallbacks, record: gr.State, look: Sequence[Any], first: Inspection) -> View:
    """All heads of one layer."""
    with gr.Tab("Heads", id="heads") as tab:
        layer = layer_slider(first)
        shown, said = picture("Heads picture"), sentence("Heads sentence")
    grid = ViewBinding(explorer.heads, [record, layer, *look], [shown, said])
    grid.on(layer.input, name="heads")
    return View(tab=tab, drawings=[grid], fits={layer: fit_layer})


def token(explorer: InspectCallbacks, record: gr.State, look: Sequence[Any], first: Inspection) -> TokenView:
    """What one patch attends to; the patch is clicked, or given by row and column."""
    with gr.Tab("Click a patch", id="token") as tab:
        with gr.Row(elem_classes="controls"):
            layer = layer_slider(first)
            head = gr.Dropdown(head_choices(first), value=0, label="Head", scale=2, min_width=120)
            row = gr.Number(1, minimum=1, precision=0, label="Row", scale=1, min_width=80)
            column = gr.Number(1, minimum=1, precision=0, label="Column", scale=1, min_width=80)
        shown, said = picture("Patch picture", clickable=True), sentence("Patch sentence")
    map = ViewBinding(explorer.token, [record, row, column, layer, head, *look], [shown, said])
    map.on(row.submit, row.blur, column.submit, column.blur, layer.input, head.input, name="token")
    map.after(shown.select(ClickHandlers(explorer.records).patch_at, record, [row, column], **PRIVATE))
    fits: dict[Any, Any] = {
        layer: fit_layer,
        head: lambda seen, now: gr.update(choices=head_choices(seen), value=now if now <= seen.num_heads else 0),
        row: lambda seen, now: gr.update(maximum=seen.layout.rows, value=strongest(seen)[0]),
        column: lambda seen, now: gr.update(maximum=seen.layout.cols, value=strongest(seen)[1]),
    }
    return TokenView(tab=tab, drawings=[map], fits=fits, layer=layer, place=(row, column))


def head_choices(seen: Inspection) -> list[tuple[str, int]]:
    return [("Mean of all", 0), *((f"Head {number}", number) for number in range(1, seen.num_heads + 1))]


def compare(explorer: InspectCallbacks, record: gr.State, look: Sequence[Any]) -> View:
    """SA's and GLCA's map on one scale, and their difference."""
    with gr.Tab("SA and GLCA", id="compare") as tab:
        kind = gr.Radio([(label, kind) for kind, label in captions.GLCA_KINDS.items()], value="input", label="GLCA map")
        with gr.Row():
            places = []
            for name in ("SA", "GLCA", "Difference"):
                with gr.Column(min_width=220):
                    places.append((picture(f"{name} picture"), sentence(f"{name} sentence")))
    shown, said = zip(*places, strict=True)
    maps = ViewBinding(explorer.compare, [record, kind, *look], [*shown, *said])
    maps.on(kind.input, name="compare")
    return View(tab=tab, drawings=[maps])


def select(explorer: InspectCallbacks, record: gr.State, first: Inspection) -> View:
    """What GLCA selects, and what another R does."""
    with gr.Tab("Selection", id="select") as tab:
        ratio = gr.Slider(
            0.01, 1, first.top_ratio, step=0.01, label="R, the share of patches that GLCA selects", buttons=[]
        )
        shown, said = picture("Selection picture"), sentence("Selection sentence")
    chosen = ViewBinding(explorer.select, [record, ratio], [shown, said])
    chosen.on(ratio.input, name="select")
    return View(tab=tab, drawings=[chosen], fits={ratio: lambda seen, now: gr.update(value=seen.top_ratio)})


def evidence(explorer: InspectCallbacks, record: gr.State, look: Sequence[Any], first: Inspection) -> View:
    """What speaks for a class."""
    with gr.Tab("For a class", id="evidence") as tab:
        target = gr.Dropdown(
            captions.choices(first),
            value=captions.first_choice(first),
            label="Class",
            info="Opens with the most probable one. Type to search.",
        )
        with gr.Row():
            with gr.Column(min_width=260):
                gradient, gradient_said = picture("Gradient picture"), sentence("Gradient sentence")
            with gr.Column(min_width=260):
                relevance, relevance_said = picture("Relevance picture"), sentence("Relevance sentence")
    maps = ViewBinding(explorer.evidence, [record, target, *look], [gradient, relevance, gradient_said, relevance_said])
    maps.on(target.input, name="evidence")
    fits = {target: lambda seen, now: gr.update(choices=captions.choices(seen), value=captions.first_choice(seen))}
    return View(tab=tab, drawings=[maps], fits=fits)

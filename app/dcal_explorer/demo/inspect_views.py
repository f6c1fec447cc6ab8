"""The views of the tab "Inspect": the live view, then images: class evidence, layers, heads, one patch, SA and GLCA,
the selection.

Each is built for the record `first` and fitted to later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from dcal import Inspection
from dcal.model.rollout import FUSIONS
from dcal_explorer.content import captions
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.components import (
    PRIVATE,
    LayersView,
    LiveViewTab,
    TokenView,
    View,
    ViewBinding,
    picture,
    sentence,
)
from dcal_explorer.demo.events import PLAY, ClickHandlers, strongest
from dcal_explorer.view.gradio_view import live_view

BEAT = 0.6  # seconds per layer while the rollout plays


def layer_slider(first: Inspection) -> gr.Slider:
    return gr.Slider(1, first.num_layers, first.num_layers, step=1, label="Layer", scale=4, min_width=200, buttons=[])


def live(callbacks: InspectCallbacks, record: gr.State, first: Inspection) -> LiveViewTab:
    """All maps of the record in one view that is drawn in the browser, for one class and one R."""
    with gr.Tab("Explore", id="live") as tab:
        with gr.Row(elem_classes="controls"):
            target = gr.Dropdown(
                captions.choices(first),
                value=captions.first_choice(first),
                label="Class whose evidence is shown",
                min_width=220,
                visible=captions.names_classes(first.config),
                elem_id="live-class",
            )
            ratio = gr.Slider(
                0.01,
                1,
                first.top_ratio,
                step=0.01,
                label="R, the share of patches that GLCA selects",
                min_width=240,
                buttons=[],
                visible=first.selected is not None,
                elem_id="live-ratio",
            )
        shown = live_view(callbacks.record_of, elem_id="live-view")
        caption = sentence("Live sentence")
    maps = ViewBinding(callbacks.live, [record, target, ratio], [shown, caption])
    maps.privately(target.input, ratio.release)
    fits: dict[Any, Any] = {
        target: lambda seen, now: gr.update(
            choices=captions.choices(seen),
            value=captions.first_choice(seen),
            visible=captions.names_classes(seen.config),
        ),
        ratio: lambda seen, now: gr.update(value=seen.top_ratio, visible=seen.selected is not None),
    }
    return LiveViewTab(tab=tab, drawings=[maps], fits=fits, target=target)


def layers(callbacks: InspectCallbacks, record: gr.State, layer: gr.Slider, look: Sequence[Any]) -> LayersView:
    """The rollout, layer by layer."""
    clicks = ClickHandlers(callbacks.records)
    with gr.Tab("Layers", id="layers") as tab:
        play = gr.Button(PLAY, min_width=110, size="md", elem_id="play")
        shown, caption = picture("Layer picture", clickable=True), sentence("Layer sentence")
        strip, strip_caption = picture("Layer strip", clickable=True), sentence("Strip sentence")
        with gr.Accordion("How the rollout is computed", open=False), gr.Row():
            fusion = gr.Radio(list(FUSIONS), value="mean", label="Head fusion", min_width=220)
            discard = gr.Slider(0, 0.95, 0, step=0.05, label="Discard ratio", min_width=220, buttons=[])
            one_scale = gr.Checkbox(True, label="One scale for all layers")
        # inside the tab: gr.Tabs takes everything that it holds for a tab
        playing, clock = gr.State(False), gr.Timer(BEAT, active=False)
    one = ViewBinding(callbacks.layer, [record, layer, fusion, discard, one_scale, *look], [shown, caption])
    every = ViewBinding(callbacks.layers, [record, fusion, discard, *look], [strip, strip_caption])
    one.on(fusion.input, discard.release, one_scale.input, name="layer")
    every.on(fusion.input, discard.release, name="layers")
    one.after(strip.select(clicks.layer_at, record, layer, **PRIVATE))

    one.after(play.click(clicks.play, [record, playing, layer], [playing, clock, play, layer], **PRIVATE))
    one.after(clock.tick(clicks.advance, [record, layer], [playing, clock, play, layer], **PRIVATE))
    return LayersView(tab=tab, drawings=[every, one], whole=shown)


def heads(callbacks: InspectCallbacks, record: gr.State, layer: gr.Slider, look: Sequence[Any]) -> View:
    """All heads of one layer."""
    with gr.Tab("Heads", id="heads") as tab:
        shown, caption = picture("Heads picture"), sentence("Heads sentence")
        grid = ViewBinding(callbacks.heads, [record, layer, *look], [shown, caption])
        grid.endpoint("heads")
    return View(tab=tab, drawings=[grid])


def token(
    callbacks: InspectCallbacks, record: gr.State, layer: gr.Slider, look: Sequence[Any], first: Inspection
) -> TokenView:
    """What one patch attends to; the patch is clicked, or given by row and column."""
    with gr.Tab("One patch", id="token") as tab:
        with gr.Row(elem_classes="controls"):
            head = gr.Dropdown(head_choices(first), value=0, label="Head", scale=2, min_width=120)
            row = gr.Number(1, minimum=1, precision=0, label="Row", scale=1, min_width=80)
            column = gr.Number(1, minimum=1, precision=0, label="Column", scale=1, min_width=80)
        shown, caption = picture("Patch picture", clickable=True), sentence("Patch sentence")
    map = ViewBinding(callbacks.token, [record, row, column, layer, head, *look], [shown, caption])
    map.on(row.submit, row.blur, column.submit, column.blur, head.input, name="token")
    map.after(shown.select(ClickHandlers(callbacks.records).patch_at, record, [row, column], **PRIVATE))
    fits: dict[Any, Any] = {
        head: lambda seen, now: gr.update(choices=head_choices(seen), value=now if now <= seen.num_heads else 0),
        row: lambda seen, now: gr.update(maximum=seen.layout.rows, value=strongest(seen)[0]),
        column: lambda seen, now: gr.update(maximum=seen.layout.cols, value=strongest(seen)[1]),
    }
    return TokenView(tab=tab, drawings=[map], fits=fits, place=(row, column))


def head_choices(seen: Inspection) -> list[tuple[str, int]]:
    return [("Mean of all", 0), *((f"Head {number}", number) for number in range(1, seen.num_heads + 1))]


def compare(callbacks: InspectCallbacks, record: gr.State, look: Sequence[Any]) -> View:
    """SA's and GLCA's map on one scale, and their difference."""
    with gr.Tab("SA and GLCA", id="compare") as tab:
        kind = gr.Radio([(label, kind) for kind, label in captions.GLCA_KINDS.items()], value="input", label="GLCA map")
        with gr.Row():
            places = []
            for name in ("SA", "GLCA", "Difference"):
                with gr.Column(min_width=220):
                    places.append((picture(f"{name} picture"), sentence(f"{name} sentence")))
    shown, captioned = zip(*places, strict=True)
    maps = ViewBinding(callbacks.compare, [record, kind, *look], [*shown, *captioned])
    maps.on(kind.input, name="compare")
    return View(tab=tab, drawings=[maps])


def select(callbacks: InspectCallbacks, record: gr.State, first: Inspection) -> View:
    """The patches that GLCA selects, and the effect of another R."""

    def applies(seen: Inspection) -> bool:
        return seen.selected is not None

    with gr.Tab("Selection", id="select", visible=applies(first)) as tab:
        ratio = gr.Slider(
            0.01, 1, first.top_ratio, step=0.01, label="R, the share of patches that GLCA selects", buttons=[]
        )
        shown, caption = picture("Selection picture"), sentence("Selection sentence")
    chosen = ViewBinding(callbacks.select, [record, ratio], [shown, caption])
    chosen.on(ratio.input, name="select")
    fits: dict[Any, Any] = {ratio: lambda seen, now: gr.update(value=seen.top_ratio)}
    return View(tab=tab, drawings=[chosen], fits=fits, applies=applies)


def evidence(callbacks: InspectCallbacks, record: gr.State, look: Sequence[Any], first: Inspection) -> View:
    """The evidence for a class: relevance first, as it scores best on test images."""

    def applies(seen: Inspection) -> bool:
        return captions.names_classes(seen.config)

    with gr.Tab("Class evidence", id="evidence", visible=applies(first)) as tab:
        target = gr.Dropdown(
            captions.choices(first),
            value=captions.first_choice(first),
            label="Class",
            info="The most probable one at first. Type to search.",
        )
        with gr.Row():
            places = []
            for name in ("Relevance", "Gradient"):
                with gr.Column(min_width=260):
                    places.append((picture(f"{name} picture"), sentence(f"{name} sentence")))
    shown, captioned = zip(*places, strict=True)
    maps = ViewBinding(callbacks.evidence, [record, target, *look], [*shown, *captioned])
    maps.on(target.input, name="evidence")
    fits = {target: lambda seen, now: gr.update(choices=captions.choices(seen), value=captions.first_choice(seen))}
    return View(tab=tab, drawings=[maps], fits=fits, applies=applies)
